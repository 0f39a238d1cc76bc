//! A synchronous library for the Bitcoin SV peer-to-peer protocol.

pub mod connection;
mod error;
pub mod event;
pub mod local_node;
pub mod network;
pub mod session;
pub mod wire;

pub use connection::{Connection, ConnectionConfig};
pub use error::{Blame, Error, Wait};
pub use network::Network;
