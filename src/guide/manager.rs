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
//!     let messages = manager.subscribe_messages(); // subscribe before `start` to receive every message
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     let block = manager.block(PeerSelector::Best, node.tip(), Duration::from_secs(10))?;
//!     println!("block {} has {} transactions", block.hash(), block.transaction_count());
//!     node.mine(1)?;
//!     let event = messages.recv_timeout(Duration::from_secs(10))?;
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
//! | [`start_fixed`](crate::Manager::start_fixed) | Keeps the given peers (addresses or host names) connected for as long as the manager runs, and dials no other peer. |
//! | [`connect`](crate::Manager::connect) | Dials one peer in addition (a manual peer). |
//!
//! [`Manager::with_file`](crate::Manager::with_file) stores known peers and bans in a file, and
//! [`Manager::with_store`](crate::Manager::with_store) in any
//! [`PeerStore`](crate::peers::PeerStore). Both survive a restart.
//!
//! # Configuration
//!
//! | field | default | meaning |
//! | --- | --- | --- |
//! | `target_connections` | 8 | The number of connections to maintain. 0 disables dialing of peers that the caller does not name. |
//! | `max_connections` | 20 | The maximum number of connections. |
//! | `min_outbound` | 4 | The number of slots reserved for outbound connections. |
//! | `discovery` | the seeds of the network, every hour | The sources of peers: seeds, addresses, name servers, and whether peers are asked for addresses. |
//! | `listener.enabled`, `.address` | no, `0.0.0.0` and the port of the network | Whether and where inbound peers are accepted. |
//! | `listener.external_address` | none | The address under which this host can be dialed. It is advertised to peers. |
//! | `restarts` | 5 s, doubled up to 10 minutes, 10 times; 3 at once per hour; after local faults 250 ms, doubled up to 30 s | When lost peers are dialed again. |
//! | `cooldown` | 1 hour | The pause after which a peer is dialed again that was unreachable or unsuitable. |
//! | `bans`, `whitelist` | 24 hours; empty | The rules of automatic bans, and addresses that are never banned. |
//! | `connection` | | The configuration of each connection: timeouts, limits, user agents. |
//!
//! [`ManagerConfig`](crate::ManagerConfig) documents every field.
//! [`update_config`](crate::Manager::update_config) changes everything but the network and the
//! magic while the manager runs. [`validate`](crate::ManagerConfig::validate) returns an error that
//! names the first invalid field.
//!
//! # Finding peers
//!
//! [`start`](crate::Manager::start) dials peers that worked before at once. It queries the DNS
//! seeds of the network, or those of `discovery`, at the start and every hour, in a separate
//! thread. If every seed fails, [`DiscoveryFailed`](crate::event::ControlEvent::DiscoveryFailed) is
//! emitted and the lookup is retried with exponential backoff. While there are neither connections
//! nor candidates, it is retried every minute.
//!
//! Outbound peers are asked for the addresses they know. Advertised addresses are accepted under
//! these rules:
//!
//! - An outbound peer may advertise the addresses it was asked for, and 50 more, then one per 10 s.
//!   An inbound peer may advertise only its own address.
//! - Only addresses of the public internet are accepted. On regtest, loopback and private addresses
//!   are accepted as well.
//! - Ports of well-known services are rejected: all below 1,024, and those of common databases,
//!   mail, chat and remote access.
//! - Addresses older than a week are ignored.
//! - At most four ports of one address are stored.
//! - At most one eighth of the table comes from one address group. No source can evict known-good
//!   peers, or gain dial attempts by advertising more addresses.
//! - An advertised address with another port than the default of the network is dialed only when no
//!   other candidate is left.
//!
//! Configured and manual addresses may have any port. They must not have an IPv6 scope;
//! [`Connection::connect`](crate::Connection::connect) and the listener accept such addresses.
//!
//! Every inbound peer that asks for addresses receives the same sample for a day: 23 % of the known
//! peers, at most 1,000.
//!
//! [`with_resolver`](crate::Manager::with_resolver) replaces the resolver of seeds.
//!
//! # Outbound connections
//!
//! The manager dials at most one peer of each address group: /16 of IPv4, or /32 of IPv6. It
//! reserves slots for outbound connections, so that inbound peers can never be all peers. Lost
//! peers are dialed again with exponential backoff.
//!
//! A dial fails for a local cause in one of these cases:
//!
//! - This machine is out of file descriptors or memory.
//! - It has no route, or no usable local address.
//! - It does not permit the connection.
//!
//! Nothing is then recorded about the peer, and there is no cool-down.
//! [`LocalFault`](crate::event::ControlEvent::LocalFault) reports the error of the system, and the
//! dial is repeated after a short pause. Failed accepts for lack of descriptors or memory are
//! reported in the same way.
//!
//! # Inbound connections
//!
//! Connections from banned addresses are closed at once. Handshakes are limited to 64 in total, 4
//! per address, and 10 s each. If handshakes occupy all slots, the oldest one that sent nothing for
//! half a second is closed. With more handshakes this time is shorter. Until then new connections
//! wait in the kernel.
//!
//! If no slot is free, a peer receives a handshake and a `reject`, and the connection is closed.
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
//! - another chain, if `session.required_block` names a block that a peer must have.
//!
//! A user agent that `session.user_agents` does not accept is not a cause for a ban. By default
//! these are the user agents of nodes of other chains. The peer is dialed again after the
//! cool-down.
//!
//! The whitelist overrides manual bans, and manual bans override automatic ones. A peer that the
//! caller named is disconnected instead of banned. The same holds for loopback and private
//! addresses, if they may be peers (`allow_private`, which is on for regtest and private networks).
//!
//! [`ban`](crate::Manager::ban), [`unban`](crate::Manager::unban), [`bans`](crate::Manager::bans)
//! and [`find_ban`](crate::Manager::find_ban) manage bans.
//!
//! # Requests
//!
//! [`PeerSelector`](crate::manager::PeerSelector) selects the peer of a request: a peer by its id,
//! or the best one. The best peer is the one with the shortest round trip, among the peers that
//! serve blocks if there are any. A failed request is not sent to another peer, except by
//! [`fetch_block`](crate::Manager::fetch_block); see [`chain`](super::chain).
//!
//! # Threads
//!
//! A single supervisor thread makes all decisions and never blocks. Its decisions are a pure state
//! machine, which is tested over months of simulated time. Other threads accept sockets, write the
//! store, query seeds, and follow the chain, if these are used.
//! [`architecture`](super::architecture) describes them.
