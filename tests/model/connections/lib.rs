//! The connections of the library, and all that they depend on, in schedules of the checker.

#![allow(
    dead_code,
    unused_imports,
    reason = "parts of the library are left out"
)]

extern crate model_checker as crossbeam_channel;
extern crate model_checker as parking_lot;
extern crate model_checker as socket2;
#[macro_use]
extern crate model_checker as std;

#[path = "../../../src/connection/mod.rs"]
pub mod connection;
#[path = "../../../src/deadline.rs"]
mod deadline;
#[path = "../../../src/discovery/mod.rs"]
pub mod discovery;
#[path = "../../../src/error/mod.rs"]
mod error;
#[path = "../../../src/event/mod.rs"]
pub mod event;
#[path = "../../../src/files.rs"]
mod files;
#[path = "../../../src/header_store/mod.rs"]
mod header_store;
#[path = "../../../src/host_name.rs"]
mod host_name;
#[path = "../../../src/log_level.rs"]
mod log_level;
#[path = "../../../src/log_record.rs"]
mod log_record;
#[path = "../../../src/memory/mod.rs"]
mod memory;
#[path = "../../../src/peers/mod.rs"]
pub mod peers;
#[path = "../../../src/random.rs"]
mod random;
#[path = "../../../src/session/mod.rs"]
pub mod session;
#[path = "../../../src/sockets.rs"]
mod sockets;
#[path = "../../../src/system_error.rs"]
mod system_error;
#[path = "../../../src/system_resolver.rs"]
mod system_resolver;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;

pub use bytes;
pub use connection::{Connection, ConnectionConfig};
pub use error::{Error, ErrorKind, InvalidBlock, Timeout};
pub use log_level::LogLevel;
pub use memory::PayloadMemory;
pub use system_error::SystemError;
pub use uuid;
pub use wire::network;
pub use wire::network::{InvalidNetworkParams, Magic, Network, NetworkParams};
