//! Log records, snapshots and metrics.
//!
//! # Log records
//!
//! Records go through the crate `log`.
//!
//! | level | records |
//! | --- | --- |
//! | `error`, `warn` | failures on this side |
//! | `info` | start and end of connections |
//! | `debug` | the protocol, and the names of messages |
//! | `trace` | the contents of messages, up to 2,000 bytes each |
//!
//! Records have these key-values, where they apply:
//!
//! | key | value |
//! | --- | --- |
//! | `peer_id` | the identity of the peer |
//! | `peer_address` | its address |
//! | `direction` | inbound or outbound |
//! | `state` | the state of the connection |
//! | `network` | the network |
//! | `error` | the cause |
//!
//! Data from peers is escaped: each record is one line of printable ASCII, as far as peers can
//! influence it.
//!
//! [`ManagerConfig::log_level`](crate::ManagerConfig::log_level) limits the records of a manager
//! and its connections. [`LogLevel`](crate::LogLevel) limits those of other owners of connections.
//! The global level of the crate `log` applies in addition. An update takes effect with the next
//! record.
//!
//! `RUST_LOG=bsv_p2p=debug` before any example prints the messages in both directions. The targets
//! of the records start with `bsv_p2p`.
//!
//! # Events
//!
//! Control events report changes of connections: see [`ControlEvent`](crate::event::ControlEvent).
//! Each has a one-line description ([`Display`](std::fmt::Display)), and
//! [`name`](crate::event::ControlEvent::name).
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
//! | [`Manager::snapshot`](crate::Manager::snapshot) | people | peers, connections, bans, waiting peers |
//! | [`Manager::metrics`](crate::Manager::metrics) | machines | counters and gauges: see [`Metrics`](crate::manager::Metrics) |
//! | [`Manager::connections`](crate::Manager::connections) | both | [`ConnectionStatistics`](crate::connection::ConnectionStatistics) of each connection |
//! | [`PeerConnectionHandle::statistics`](crate::connection::PeerConnectionHandle::statistics) | both | the same type, for one connection |
//!
//! [`Metrics`](crate::manager::Metrics) counts since the start of the manager: dialed peers,
//! accepted and rejected connections, handshakes, failures, bans, and messages and bytes in both
//! directions, in total and for each command. Gauges are the connected peers, connections, slots,
//! payload memory and bans.
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
//! With the feature `serde`, these types implement `Serialize`.
