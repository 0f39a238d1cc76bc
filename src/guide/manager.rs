//! The manager: finding peers, maintaining connections, accepting inbound peers, bans.
//!
//! [`Manager`](crate::Manager) maintains connections to many peers. A caller configures the network
//! and the number of connections.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::manager::PeerSelector;
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(3)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     // A subscription before the start receives every message.
//!     let messages = manager.subscribe_messages();
//!     manager.start_fixed([node.address()])?;
//!     let timeout = Duration::from_secs(10);
//!     manager.wait_for_peers(1, timeout)?;
//!     let block = manager.block(PeerSelector::Best, node.tip(), timeout)?;
//!     println!("{}: {} transactions", block.hash(), block.transaction_count());
//!     node.mine(1)?;
//!     let event = messages.recv_timeout(timeout)?;
//!     println!("{}: {:?}", event.address, event.message);
//!     manager.shutdown()?; // joins every thread and ends every receiver
//!     Ok(())
//! }
//! ```
//!
//! # Starting
//!
//! | method | peers |
//! | --- | --- |
//! | [`start`](crate::Manager::start) | Dials known peers, and finds others. |
//! | [`start_fixed`] | Keeps the given peers (addresses or host names) connected, and dials no other peer. |
//! | [`connect`](crate::Manager::connect) | Dials one more peer, a manual peer. |
//!
//! [`Manager::with_file`](crate::Manager::with_file) stores known peers and bans in a file, and
//! [`Manager::with_store`](crate::Manager::with_store) in any
//! [`PeerStore`](crate::peers::PeerStore). Both survive a restart.
//!
//! # Configuration
//!
//! | field | default | meaning |
//! | --- | --- | --- |
//! | `target_connections` | 8 | The number of connections to maintain. If 0, only named peers are dialed. |
//! | `max_connections` | 20 | The maximum number of connections. |
//! | `min_outbound` | 4 | The number of slots reserved for outbound connections. |
//! | `discovery` | the seeds of the network, every hour | Seeds, fixed addresses, name servers, and whether addresses are requested from peers. |
//! | `listener.enabled`, `.address` | no, `0.0.0.0` and the port of the network | Whether and where inbound peers are accepted. |
//! | `listener.external_address` | none | The address under which this host can be dialed. It is advertised to peers. |
//! | `restarts` | [see `limits`](super::limits#restarts) | When lost peers are dialed again. |
//! | `cooldown` | 1 hour | The pause before an unreachable or unsuitable peer is dialed again. |
//! | `bans` | 24 hours | The rules of automatic bans. |
//! | `whitelist` | empty | Addresses that are never banned. |
//! | `connection` | | The configuration of each connection: timeouts, limits, user agents. |
//!
//! [`ManagerConfig`](crate::ManagerConfig) documents every field.
//! [`update_config`](crate::Manager::update_config) changes the configuration of a running manager,
//! except the network and the magic. If a field is invalid,
//! [`validate`](crate::ManagerConfig::validate) returns an error with its name.
//!
//! # Finding peers
//!
//! [`start`](crate::Manager::start) immediately dials known peers that were connected before. A
//! separate thread queries the DNS seeds of the network, or of `discovery`, at the start and every
//! hour. If every seed fails, [`DiscoveryFailed`](crate::event::ControlEvent::DiscoveryFailed) is
//! emitted, and the lookup is retried with exponential backoff. If there are neither connections
//! nor candidates, it is retried every minute.
//!
//! The manager also requests addresses from outbound peers. Advertised addresses must follow these
//! rules:
//!
//! - An outbound peer may send one response of 1,000 addresses and 50 more, then one per 10 s. An
//!   inbound peer may advertise only its own address.
//! - Only addresses of the public internet are accepted. On regtest, loopback and private addresses
//!   are accepted as well.
//! - Ports of well-known services are rejected: all below 1,024, and those of common databases,
//!   mail, chat and remote access.
//! - Addresses older than a week are ignored.
//! - At most four ports of one address are stored.
//! - At most one eighth of the table comes from one address group. A source cannot evict known-good
//!   peers. It does not gain dial attempts by advertising more addresses.
//! - An address that does not have the default port of the network is dialed only if no other
//!   candidate is left.
//!
//! Configured and manual addresses may have any port. They must not have an IPv6 scope, which only
//! [`Connection::connect`](crate::Connection::connect) and the listener accept.
//!
//! If inbound peers request addresses, all of them receive the same sample for a day: 23 % of the
//! known peers, at most 1,000.
//!
//! [`with_resolver`](crate::Manager::with_resolver) replaces the resolver of seeds.
//!
//! # Outbound connections
//!
//! The manager dials at most one peer of each address group: /16 of IPv4, or /32 of IPv6. It
//! reserves slots for outbound connections, so inbound peers cannot occupy all slots. Lost peers
//! are dialed again with exponential backoff.
//!
//! A dial may fail because of this host:
//!
//! - File descriptors or memory are exhausted.
//! - There is no route, or no usable local address.
//! - The system does not permit the connection.
//!
//! In these cases, nothing is recorded about the peer, and no cool-down applies.
//! [`LocalFault`](crate::event::ControlEvent::LocalFault) reports the error of the system, and the
//! dial is repeated after a short pause. If an accept fails because descriptors or memory are
//! exhausted, it is reported by this event as well.
//!
//! # Inbound connections
//!
//! An inbound socket is admitted in two steps:
//!
//! 1. When it is accepted: sockets from banned addresses are closed at once. Handshakes, and sockets
//!    without a decision, are limited to 64 in total. An address may have 4 handshakes, 4 such
//!    sockets, and one more socket for each of its connected peers. First message and handshake may
//!    take 10 s together. If there
//!    are 64, the oldest stalled one is closed: by default after 500 ms without data, or sooner
//!    under load. Until then, new connections wait in the kernel.
//! 2. When its first message has arrived: a second stream belongs to its peer and counts toward no
//!    limit. Any other socket becomes a connection, which takes a slot and counts toward the 8
//!    connections of its address. [`InboundConnectionAccepted`] is emitted then.
//!
//! If the connection limit is reached, the handshake is completed, `reject` is sent, and the
//! connection is closed. If handshakes occupy the last slots, the oldest stalled one is closed
//! first.
//!
//! A socket that sends nothing takes no slot. When it is closed or times out, it is reported like
//! any other connection that failed during its handshake. If no slot is free then, or if it was
//! closed in favor of a newer one, [`InboundConnectionRejected`] is emitted instead.
//!
//! [`ListenerConfig`](crate::manager::ListenerConfig) documents the limits.
//!
//! # Bans
//!
//! Misbehaving peers are banned for 24 hours, by IPv4 address or IPv6 /64. The causes are:
//!
//! - a score of 100, by the table of the reference node,
//! - a frame above its limit,
//! - the magic of another network,
//! - another chain, if `session.required_block` names a block that a peer must have,
//! - a request for a second stream of a peer at another address.
//!
//! If `session.user_agents` does not accept a user agent, the peer is disconnected, but not banned.
//! It is dialed again after the cool-down. By default, the user agents of nodes of other chains are
//! rejected.
//!
//! The whitelist overrides manual bans, and manual bans override automatic bans. A peer that the
//! caller named is disconnected instead of banned. This also applies to loopback and private
//! addresses if `allow_private` is set, as it is for regtest and private networks.
//!
//! [`ban`](crate::Manager::ban), [`unban`](crate::Manager::unban), [`bans`](crate::Manager::bans)
//! and [`find_ban`](crate::Manager::find_ban) manage bans.
//!
//! # Requests
//!
//! [`PeerSelector`](crate::manager::PeerSelector) selects the peer of a request: a peer by its id,
//! or the best peer. The best peer has the shortest round trip of the peers that serve blocks, or
//! of all peers if none of them serves blocks. If a request fails, it returns an error. Only
//! [`fetch_block`](crate::Manager::fetch_block) and
//! [`fetch_block_reader`](crate::Manager::fetch_block_reader) try other peers: see
//! [`chain`](super::chain).
//!
//! # Threads
//!
//! A single supervisor thread makes all decisions and never blocks. The decisions are a pure state
//! machine, which is tested over months of simulated time. If these features are used, other
//! threads accept sockets, write the store, query seeds, and follow the chain.
//! [`architecture`](super::architecture) describes all threads.
//!
//! [`InboundConnectionAccepted`]: crate::event::ControlEvent::InboundConnectionAccepted
//! [`InboundConnectionRejected`]: crate::event::ControlEvent::InboundConnectionRejected
//! [`start_fixed`]: crate::Manager::start_fixed
