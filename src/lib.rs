//! A synchronous library for the Bitcoin SV peer-to-peer protocol: one OS thread for each connection, blocking
//! sockets with timeouts, channels for events, and no async runtime.
//!
//! Connect, ask, and listen:
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Connection, ConnectionConfig, Network, local_node::LocalNode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let local = LocalNode::start()?; // a regtest node in this process; any other address works the same
//! local.mine(3)?;
//!
//! let config = ConnectionConfig::new(Network::Regtest);
//! let mut node = Connection::connect(&local.address().to_string(), &config)?;
//! let time = node.ping(Duration::from_secs(5))?;
//! println!("{} answers in {time:?}", node.peer_info().user_agent);
//! let block = node.block(local.tip(), Duration::from_secs(5))?;
//! println!("block {} has {} transactions", block.hash(), block.transaction_count());
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! A program may stop at any of them; each knows only those above it in this list.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`wire`] | every message of the reference node as a type, frames, merkle proofs, chain rules, the header chain: bytes alone |
//! | [`session`] | one peer's protocol as a pure state machine: handshake, keepalive, limits, misbehaviour |
//! | [`peers`] | what is known of peers: addresses, status, bans, and a [`PeerStore`](peers::PeerStore) with a file that is always whole |
//! | [`HeaderStore`] | a file of headers, from which a [`HeaderChain`](wire::HeaderChain) continues after a restart |
//! | [`discovery`] | the addresses that DNS seeds know, in bounded time |
//! | [`connection`] | one peer's socket: [`Connection`] in the caller's thread, [`PeerConnectionActor`](connection::PeerConnectionActor) with a thread of its own, [`Supervisor`](connection::Supervisor) for connections that shall come back |
//! | [`manager`] | many peers: [`Manager`] dials, lets in, keeps, remembers and bans them, as [`ManagerConfig`] wants |
//! | [`local_node`] | a node of regtest or a private network in the process, for tests and examples |
//!
//! [`network`], [`event`] and the errors of this page serve all of them.
//!
//! # What holds
//!
//! - Nothing a peer sends makes the library panic, hang, or allocate by a number that the peer claims.
//! - Every queue is bounded and every wait has a deadline; the error says which one it was.
//! - What a program sends is checked first: nothing leaves that a default node punishes with a ban.
//! - Every thread ends when its handle is dropped, and dropping waits for it. The one exception is the helper thread of
//!   [`connection::resolve`] and [`discovery::SystemResolver`], which ends when the system's resolver does.
//! - No global state: limits, nonces and events belong to objects.
//!
//! # Features
//!
//! `dns`, on by default: [`discovery`] asks name servers itself. Without it the system's resolver serves, which cannot be cut short and knows
//! no other name servers than its own.
//!
//! `serde`, off by default: `Serialize` and `Deserialize` for what the [wire](wire#serde) carries, for [`ConnectionConfig`] and
//! [`ManagerConfig`], for [`peers`] and bans, and for what is told of connections. A configuration that is read may leave fields out, which then have their defaults; durations are
//! numbers of seconds. What it says is checked by [`ConnectionConfig::validate`], as always.
//!
//! # Logs
//!
//! They go through the crate `log`: what failed here at `error` and `warn`, the life of connections at `info`, the protocol and the names of
//! messages at `debug`, what is in them at `trace`. Records have the key-values `peer_id`, `peer_address`, `direction`, `state`, `network`
//! and `error`, where there are such. Whatever a peer sends is escaped: a record is one line of printable ASCII, as far as peers
//! have a say in it. [`LogLevel`] is a limit for each owner of connections.

pub mod connection;
mod deadline;
pub mod discovery;
mod error;
pub mod event;
mod files;
mod header_store;
mod host_name;
pub mod local_node;
mod log_level;
pub mod manager;
mod memory;
pub mod peers;
mod random;
#[cfg(feature = "serde")]
mod serde_with;
pub mod session;
mod sockets;
mod system_error;
mod system_names;
pub mod wire;

pub use connection::{Connection, ConnectionConfig};
pub use error::{Error, ErrorKind, InvalidBlock, Timeout};
pub use header_store::{DamagedTail, HeaderStore, HeaderStoreError, HeaderUpdate, LoadReport};
pub use log_level::LogLevel;
pub use manager::{Manager, ManagerConfig};
pub use memory::PayloadMemory;
pub use system_error::SystemError;
pub use wire::network;
pub use wire::network::{InvalidNetworkParams, Magic, Network, NetworkParams};

/// The README's code, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
