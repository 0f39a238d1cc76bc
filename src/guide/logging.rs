//! Log records, snapshots and metrics.
//!
//! # Log records
//!
//! Records are emitted through the crate `log`, with key-values. Each component has its own target:
//!
//! | target | component |
//! | --- | --- |
//! | `bsv_p2p::connection` | [`Connection`](crate::Connection), actor connections, subscriptions |
//! | `bsv_p2p::manager` | [`Manager`](crate::Manager): dialing, listener, bans, header sync |
//! | `bsv_p2p::discovery` | lookups of DNS seeds by a manager |
//! | `bsv_p2p::peers` | the peer store of a manager |
//! | `bsv_p2p::header_store` | the header file of a manager |
//! | `bsv_p2p::local_node` | [`LocalNode`](crate::local_node::LocalNode) |
//!
//! [`HeaderStore`](crate::HeaderStore), [`PeerStore`](crate::peers::PeerStore) and
//! [`SeedResolver`](crate::discovery::SeedResolver) return their errors and write no records. The
//! modules `wire` and `session` write no records.
//!
//! | level | records |
//! | --- | --- |
//! | `error` | failures of this side: sockets, threads, stores, the listener |
//! | `warn` | bans, failed seeds, slow subscriptions, chain splits, misbehavior at local nodes |
//! | `info` | start and end of connections and managers, handshakes, reconnections |
//! | `debug` | command and size of each message, misbehavior, rejected connections, new tips |
//! | `trace` | the contents of messages, up to 2,000 bytes each |
//!
//! A key is present only if it applies to the record:
//!
//! | key | value | records |
//! | --- | --- | --- |
//! | `peer_id` | the [id](crate::peers::PeerId) of the peer | all about a peer, except of `Connection` |
//! | `peer_address` | the address of the peer, or the subnet of a ban | all about a peer or a ban |
//! | `direction` | `inbound` or `outbound` | all about a connection |
//! | `state` | the [state](crate::session::ConnectionState) | those of connections |
//! | `network` | the network | all, except about subscriptions and evicted orphans |
//! | `command` | the command of the message | all about a message |
//! | `height` | the height of the tip | new tips |
//! | `subscription` | the name of the subscription | all about a subscription |
//! | `error` | the cause, followed by its sources | failures |
//!
//! The text starts with the address and ends with the cause, if the record has them:
//! `203.0.113.7:8333: reconnecting in 5.0s: connection refused`.
//!
//! Data from peers is escaped, so a peer cannot add lines, control characters or non-ASCII
//! characters to a record.
//!
//! [`ManagerConfig::log_level`](crate::ManagerConfig::log_level) limits the records of a manager,
//! its connections and its subscriptions. [`LogLevel`](crate::LogLevel) limits those of other actor
//! connections. The global level of the crate `log` applies in addition, and is the only limit of
//! `Connection` and `LocalNode`. An update takes effect with the next record. A disabled record is
//! not formatted and allocates nothing.
//!
//! The examples read `RUST_LOG`: `RUST_LOG=bsv_p2p=debug` prints the command of each message in
//! both directions.
//!
//! # Events
//!
//! Control events report changes of connections: see [`ControlEvent`](crate::event::ControlEvent).
//! [`Display`](std::fmt::Display) describes an event in one line, and
//! [`name`](crate::event::ControlEvent::name) returns its name.
//!
//! ```
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//! use bsv_p2p::event::ControlEvent;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let control = manager.subscribe_control();
//!     manager.start_fixed([node.address()])?;
//!     for event in control {
//!         let event = event?;
//!         println!("{event}");
//!         if let ControlEvent::HandshakeComplete { .. } = event {
//!             break;
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Statistics
//!
//! | method | for | contents |
//! | --- | --- | --- |
//! | [`Manager::snapshot`](crate::Manager::snapshot) | people | peers, connections, bans, pending restarts |
//! | [`Manager::metrics`](crate::Manager::metrics) | machines | counters and gauges: see [`Metrics`](crate::manager::Metrics) |
//! | [`Manager::connections`](crate::Manager::connections) | both | [`ConnectionStatistics`](crate::connection::ConnectionStatistics) of each connection |
//! | [`PeerConnectionHandle::statistics`](crate::connection::PeerConnectionHandle::statistics) | both | the same type, for one connection |
//!
//! [`Metrics`](crate::manager::Metrics) contains two kinds of values:
//!
//! - Counters since the start of the manager: dialed peers, accepted and rejected connections,
//!   handshakes, failures and bans. Messages and bytes are counted in both directions, in total and
//!   for each command.
//! - Gauges: connected peers, connections, slots, payload memory and bans.
//!
//! ```
//! use bsv_p2p::{Manager, ManagerConfig, Network};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let metrics = manager.metrics();
//!     println!("peers {}", metrics.connected);
//!     println!("bytes received {}", metrics.traffic.bytes_received);
//!     Ok(())
//! }
//! ```
//!
//! If the feature `serde` is enabled, these types implement `Serialize`.
