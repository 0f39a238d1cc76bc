//! A synchronous library for the Bitcoin SV peer-to-peer protocol.
//!
//! Connections use blocking sockets with timeouts and one OS thread each. Events are delivered
//! through channels. There is no async runtime.
//!
//! Connect to a node, measure its round-trip time and request a block:
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Connection, ConnectionConfig, Network, local_node::LocalNode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A regtest node in this process. Any other address can be used instead.
//! let local = LocalNode::start()?;
//! local.mine(3)?;
//!
//! let config = ConnectionConfig::new(Network::Regtest);
//! let mut node = Connection::connect(local.address(), &config)?;
//! let time = node.ping(Duration::from_secs(5))?;
//! println!("{} answers in {time:?}", node.peer_info().user_agent);
//! let block = node.block(local.tip(), Duration::from_secs(5))?;
//! println!("block {} has {} transactions", block.hash(), block.transaction_count());
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] has recipes, all limits, the security model and the results of benchmarks.
//!
//! # Layers
//!
//! Each module can be used without those below it in this list, and depends only on those above it:
//!
//! - [`wire`]: all messages of the reference node as types, frames, Merkle proofs, chain rules and
//!   the header chain. Operates on bytes only.
//! - [`session`]: the protocol of one peer as a pure state machine: handshake, keepalive, limits,
//!   misbehavior.
//! - [`peers`]: the addresses, status and bans of peers, and a [`PeerStore`](peers::PeerStore)
//!   whose file is replaced atomically.
//! - [`HeaderStore`]: a file of headers, from which a [`HeaderChain`](wire::HeaderChain) continues
//!   after a restart.
//! - [`discovery`]: lookups of DNS seeds with bounded duration.
//! - [`connection`]: the socket of one peer. [`Connection`] runs on the caller's thread,
//!   [`PeerConnectionActor`](connection::PeerConnectionActor) on its own thread, and
//!   [`Supervisor`](connection::Supervisor) restarts lost connections.
//! - [`manager`]: many peers. [`Manager`] dials, accepts, remembers and bans peers as configured by
//!   [`ManagerConfig`].
//! - [`local_node`]: a node of regtest or a private network inside the process, for tests and
//!   examples.
//!
//! [`network`], [`event`] and the errors of this page are shared by all of them.
//!
//! # Guarantees
//!
//! - No input from a peer makes the library panic, hang, or allocate memory by a length that the
//!   peer claims.
//! - Every queue is bounded and every wait has a deadline. Errors name the limit or the wait.
//! - Outgoing messages are validated: a message for which a default node would ban the sender is
//!   rejected with an error.
//! - Every thread ends when its handle is dropped, and dropping waits for it. The one exception is
//!   the helper thread of [`connection::resolve`] and [`discovery::SystemResolver`], which ends
//!   when the system resolver returns.
//! - There is no global state: limits, nonces and events belong to objects.
//!
//! # Features
//!
//! `dns`, enabled by default: [`discovery`] sends queries to name servers itself. Without it the
//! system resolver is used. Its lookups cannot be canceled, and use the name servers of the system
//! only.
//!
//! `serde`, disabled by default: `Serialize` and `Deserialize` for
//! - the types of [wire](wire#serde)
//! - [`ConnectionConfig`] and [`ManagerConfig`]
//! - peers and bans, see [`peers`]
//! - [`PeerInfo`](session::PeerInfo) and the traffic counters of connections
//!
//! Disconnect reasons, metrics and snapshots can only be serialized. If a field of a configuration
//! is missing, it has its default. Durations are numbers of seconds. A deserialized configuration
//! may be invalid. [`ConnectionConfig::validate`] checks it, and so does each function that
//! receives one.
//!
//! # Re-exported crates
//!
//! Types of these crates are part of signatures. The re-exports have the matching version, so that
//! a program needs no dependency of its own on them:
//!
//! - [`bytes`]: payloads of messages
//! - [`crossbeam_channel`]: the channel of a subscription, for example for its `select!`
//! - [`log`]: the level of [`LogLevel`]
//! - [`uuid`]: association ids of streams
//!
//! ```
//! use bsv_p2p::connection::EventBus;
//! use bsv_p2p::crossbeam_channel::Receiver;
//! use bsv_p2p::event::ControlEvent;
//! use bsv_p2p::wire::{AssociationId, Tx};
//! use bsv_p2p::{LogLevel, bytes, log, uuid};
//!
//! let events = EventBus::new().subscribe_control();
//! let channel: &Receiver<ControlEvent> = events.as_receiver();
//! let level = LogLevel::new(log::LevelFilter::Info);
//! let id = AssociationId::Uuid(uuid::Uuid::nil());
//! assert!(Tx::from_payload(bytes::Bytes::from_static(b"invalid")).is_err());
//! # let _ = (channel, level, id);
//! ```
//!
//! # Logs
//!
//! Records are written with the crate `log`:
//!
//! - `error` and `warn`: failures on this side
//! - `info`: the start and the end of connections
//! - `debug`: the protocol and the names of messages
//! - `trace`: the content of messages
//!
//! Records have the key-values `peer_id`, `peer_address`, `direction`, `state`, `network`,
//! `command` and `error`, if they apply: see [`guide::logging`]. Data from peers is escaped, so that
//! each record is one line of printable ASCII. [`LogLevel`] limits the records of each owner of
//! connections.

pub mod connection;
mod deadline;
pub mod discovery;
mod error;
pub mod event;
mod files;
pub mod guide;
mod header_store;
mod host_name;
pub mod local_node;
mod log_level;
mod log_record;
pub mod manager;
mod memory;
pub mod peers;
mod random;
#[cfg(feature = "serde")]
mod serde_util;
pub mod session;
mod sockets;
mod system_error;
mod system_resolver;
#[cfg(test)]
#[allow(
    unreachable_pub,
    reason = "tests/support exports the items of this file"
)]
mod test_random;
pub mod wire;

pub use bytes;
pub use connection::{Connection, ConnectionConfig};
pub use crossbeam_channel;
pub use error::{Error, ErrorKind, InvalidBlock, Timeout};
pub use header_store::{DamagedTail, HeaderStore, HeaderStoreError, HeaderUpdate, LoadReport};
pub use log;
pub use log_level::LogLevel;
pub use manager::{Manager, ManagerConfig};
pub use memory::PayloadMemory;
pub use system_error::SystemError;
pub use uuid;
pub use wire::network;
pub use wire::network::{InvalidNetworkParams, Magic, Network, NetworkParams};

/// The code of the README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
