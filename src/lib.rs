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
//! println!("{} answered in {time:?}", node.peer_info().user_agent);
//! let block = node.block(local.tip(), Duration::from_secs(5))?;
//! println!("block {} has {} transactions", block.hash(), block.transaction_count());
//! node.close();
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] contains recipes, all limits, the security model and benchmark results.
//!
//! # Layers
//!
//! A module depends only on modules above it in this list, and can be used without the modules
//! below it:
//!
//! - [`wire`]: a type for each message of the reference node, frames, merkle proofs, chain rules
//!   and the header chain. No I/O.
//! - [`session`]: the protocol of one peer as a pure state machine: handshake, keepalive, limits,
//!   misbehavior.
//! - [`peers`]: the addresses, status and bans of peers, and a [`PeerStore`](peers::PeerStore)
//!   whose file is replaced atomically.
//! - [`HeaderStore`]: a file of verified headers. After a restart, a
//!   [`HeaderChain`](wire::HeaderChain) continues from it.
//! - [`discovery`]: lookups of DNS seeds, each with a deadline.
//! - [`connection`]: the socket of one peer. [`Connection`] runs on the caller's thread,
//!   [`PeerConnectionActor`](connection::PeerConnectionActor) on its own thread, and
//!   [`Supervisor`](connection::Supervisor) restarts lost connections.
//! - [`manager`]: many peers. [`Manager`] dials, accepts, remembers and bans peers as configured by
//!   [`ManagerConfig`].
//! - [`local_node`]: an in-process node of regtest or a private network, for tests and examples.
//!
//! All modules share [`network`], [`event`] and the errors on this page.
//!
//! # Guarantees
//!
//! - Input from a peer cannot cause a panic or a hang. Memory use never depends on a length that
//!   the peer claims.
//! - Every queue is bounded, and every wait for a peer has a timeout. Errors name the limit or the
//!   wait.
//! - Outgoing messages are validated. If a default node would ban the sender of a message, the
//!   message is rejected with an error.
//! - Every thread ends when its handle is dropped, and dropping waits for it. The one exception is
//!   the helper thread of [`connection::resolve`] and [`discovery::SystemResolver`], which ends
//!   when the system resolver returns.
//! - There is no global state: limits, nonces and events belong to objects.
//!
//! # Features
//!
//! `dns`, enabled by default: [`discovery`] queries name servers directly. If it is disabled, the
//! system resolver is used, which supports neither cancellation nor other name servers.
//!
//! `serde`, disabled by default: implements `Serialize` and `Deserialize` for these types:
//!
//! - the types of [`wire`](wire#serde)
//! - [`ConnectionConfig`] and [`ManagerConfig`]
//! - peers and bans of [`peers`]
//! - [`PeerInfo`](session::PeerInfo) and the traffic counters of connections
//!
//! Disconnect reasons, metrics and snapshots implement only `Serialize`. If a field of a
//! configuration is missing, it has its default. Durations are numbers of seconds. A deserialized
//! configuration may be invalid. [`ConnectionConfig::validate`] and every function that takes a
//! configuration check it.
//!
//! # Re-exported crates
//!
//! Types of these crates occur in signatures. An application should use the re-exports instead of
//! dependencies of its own, because their versions always match:
//!
//! - [`bytes`](https://docs.rs/bytes/1): payloads of messages
//! - [`crossbeam_channel`](https://docs.rs/crossbeam-channel/0.5): channels of subscriptions,
//!   and `select!`
//! - [`log`](https://docs.rs/log/0.4): the level of [`LogLevel`]
//! - [`uuid`](https://docs.rs/uuid/1): association ids of streams
//!
//! ```
//! use bsv_p2p::connection::{EventBus, QueuedEvent};
//! use bsv_p2p::crossbeam_channel::Receiver;
//! use bsv_p2p::event::ControlEvent;
//! use bsv_p2p::wire::{AssociationId, Tx};
//! use bsv_p2p::{LogLevel, bytes, log, uuid};
//!
//! let events = EventBus::new().subscribe_control();
//! let channel: &Receiver<QueuedEvent<ControlEvent>> = events.as_receiver();
//! let level = LogLevel::new(log::LevelFilter::Info);
//! let id = AssociationId::Uuid(uuid::Uuid::nil());
//! assert!(Tx::from_payload(bytes::Bytes::from_static(b"invalid")).is_err());
//! # let _ = (channel, level, id);
//! ```
//!
//! # Logs
//!
//! Log records are emitted through the crate `log`:
//!
//! - `error` and `warn`: failures on this side
//! - `info`: opened and closed connections
//! - `debug`: protocol events, and the command of each message
//! - `trace`: the contents of messages
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
