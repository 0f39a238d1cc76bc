//! A synchronous library for the Bitcoin SV peer-to-peer protocol.

pub mod local_node;
pub mod network;
pub mod session;
pub mod wire;

pub use network::Network;
