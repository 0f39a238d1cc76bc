//! The layers of the library, and how to choose one.
//!
//! | task | layer |
//! | --- | --- |
//! | A tool that queries one node and exits | [`Connection`](crate::Connection) |
//! | An application that receives events of a few known nodes | [`PeerConnectionActor`] and [`Supervisor`] |
//! | An application that finds peers, follows the chain, or relays transactions | [`Manager`] |
//! | Decoding captures, verifying proofs or headers | [`wire`](crate::wire) |
//! | Custom transports or event loops | [`session`] with [`FrameReader`] |
//! | Tests without a network | [`LocalNode`](crate::local_node::LocalNode) |
//!
//! # Wire
//!
//! [`wire`](crate::wire) has a type for each of the 38 messages of the reference node. If the
//! command of a message is unknown, decoding returns
//! [`Message::Unknown`](crate::wire::Message::Unknown). Decoding checks each length against the
//! remaining bytes before it allocates.
//!
//! - [`HeaderChain`](crate::wire::HeaderChain) verifies headers by the
//!   [`ChainRules`](crate::wire::ChainRules) of their network. It stores the branch with the most
//!   work and its side chains.
//! - [`Reconstruction`](crate::wire::Reconstruction) builds a block from a compact block and a pool
//!   of transactions.
//! - [`MerkleProof`](crate::wire::MerkleProof),
//!   [`PartialMerkleTree`](crate::wire::PartialMerkleTree) and
//!   [`DsDetected`](crate::wire::DsDetected) verify merkle proofs, filtered blocks and reports of
//!   double spends.
//! - [`BlockScanner`](crate::wire::BlockScanner) parses a block incrementally.
//! - [`BloomFilter`](crate::wire::BloomFilter) builds and evaluates filters.
//!
//! # Session
//!
//! [`session`](crate::session) implements the protocol of one peer as a pure state machine:
//! handshake, keepalive, limits, misbehavior. The caller passes the time and random nonces.
//!
//! If a default node would ban or disconnect the caller for a message, the session returns
//! [`SendError`](crate::session::SendError) with the rule. The rules depend on the user agent of
//! the peer: see [`PeerProfile`](crate::session::PeerProfile). Headers, blocks and transactions are
//! checked as far as that is possible without the chain. Requests are split by the smaller
//! limit of both sides. If nodes of this kind never respond to a request, it fails immediately.
//!
//! # Peers
//!
//! [`peers`](crate::peers) stores the state that must survive a restart.
//! [`PeerStore`](crate::peers::PeerStore) is a trait. An application may implement it with a
//! database, and tests may mock it.
//!
//! [`InMemoryPeerStore`](crate::peers::InMemoryPeerStore) holds 10,000 peers by default. If it is
//! full, it evicts the least valuable peer. It writes a JSON file, which is replaced atomically, so
//! a crash never leaves a truncated file. A corrupt file is moved aside and reported. A file of
//! another network is rejected.
//!
//! [`BanList`](crate::peers::BanList) bans addresses and subnets. An automatic ban lasts 24 hours
//! and applies to an IPv4 address or an IPv6 /64. A manual ban lasts until a given time, or
//! permanently. [`is_banned`](crate::peers::BanList::is_banned) returns the ban of an address. The
//! whitelist overrides every ban. The caller passes the time.
//!
//! ```
//! use std::time::SystemTime;
//! use bsv_p2p::peers::{BanConfig, BanList, BanReason};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let now = SystemTime::now();
//!     let mut bans = BanList::new(BanConfig::default());
//!     bans.set_whitelist(["203.0.113.0/28".parse()?]);
//!     bans.ban("203.0.113.0/24".parse()?, BanReason::Manual, None, now)?;
//!     assert!(bans.is_banned("203.0.113.7".parse()?, now).is_none());
//!     println!("{}", bans.is_banned("203.0.113.77".parse()?, now).unwrap());
//!     Ok(())
//! }
//! ```
//!
//! # HeaderStore
//!
//! [`HeaderStore`](crate::HeaderStore) stores the active chain of a `HeaderChain` in a file of
//! 80-byte headers, a format that other header services use as well. Opening the file verifies the
//! headers again. If the end of the file is damaged, it is removed and reported. If the headers
//! belong to another network, an error is returned.
//!
//! # Discovery
//!
//! [`discovery`](crate::discovery) resolves DNS seeds in the thread of the caller.
//! [`SeedResolver`](crate::discovery::SeedResolver) is a trait, which an application may implement
//! or mock.
//!
//! `DnsResolver` queries the name servers of `/etc/resolv.conf`, or others, directly. It queries
//! IPv4 and IPv6 addresses in parallel over UDP. If a response is truncated, it repeats the query
//! over TCP. If a server fails or does not respond within two seconds, the next server is queried.
//!
//! A lookup returns at its deadline, and within 100 ms after it is canceled.
//!
//! `DnsResolver` requires the feature `dns`, which is enabled by default. If it is disabled,
//! [`SystemResolver`](crate::discovery::SystemResolver) calls the system resolver in a helper
//! thread.
//!
//! ```no_run
//! use std::time::Duration;
//! use bsv_p2p::Network;
//! use bsv_p2p::discovery::{Deadline, default_resolver};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // An empty list selects the name servers of the system.
//!     let seeds = default_resolver(&[])?;
//!     for seed in Network::Mainnet.dns_seeds() {
//!         match seeds.resolve(seed, &Deadline::after(Duration::from_secs(10))) {
//!             Ok(addresses) => println!("{seed}: {} addresses", addresses.len()),
//!             // The error contains the failure of each name server.
//!             Err(error) => println!("{error}"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Connection
//!
//! [`Connection`](crate::Connection) has no threads. `connect` and `accept` return after the
//! handshake. The caller then uses these methods:
//!
//! - `send`, `receive`, `receive_timeout`, and the iterator `messages`,
//! - the requests `ping`, `headers`, `block`, `block_reader`, `transactions` and `addresses`,
//! - `close`, which ensures that the peer can read everything that was sent.
//!
//! If other messages arrive during a request, they are queued for `receive`.
//!
//! # PeerConnectionActor and Supervisor
//!
//! [`PeerConnectionActor`](crate::connection::PeerConnectionActor) spawns a thread for a peer. The
//! thread dials, performs the handshake, reads, replies to pings, and publishes events on an
//! [`EventBus`](crate::connection::EventBus).
//!
//! [`PeerConnectionHandle`](crate::connection::PeerConnectionHandle) has the same requests as
//! `Connection`, and can be used by several threads. Messages must not be sent before the handshake
//! is complete: [`wait_connected`](crate::connection::PeerConnectionHandle::wait_connected) waits
//! for it. A request returns its response only to its caller, not to subscribers.
//!
//! An idle peer costs one thread per stream. A writer thread runs only while the peer reads more
//! slowly than messages are sent.
//!
//! [`statistics`](crate::connection::PeerConnectionHandle::statistics) returns a snapshot: round
//! trip, messages and bytes of each command, queue lengths, memory, and the last disconnect reason.
//! [`update_config`](crate::connection::PeerConnectionHandle::update_config) reaches a live
//! connection within a second.
//!
//! [`Supervisor`](crate::connection::Supervisor) restores lost connections. One thread serves all
//! of them. After a network failure, it reconnects immediately, at most three times per hour.
//! Otherwise it waits 5 s, doubled up to 10 minutes. If the peer rejected the connection or the
//! caller closed it, the supervisor does not reconnect. The peer keeps its id. Two items define the
//! rules:
//!
//! - [`DisconnectReason::action`](crate::session::DisconnectReason::action), a table,
//! - [`RestartPolicy`](crate::connection::RestartPolicy), a pure state machine.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
//! use bsv_p2p::event::Event;
//! use bsv_p2p::wire::Message;
//! use bsv_p2p::{ConnectionConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
//!     // A subscription before the connection receives every event.
//!     let events = setup.events.subscribe();
//!     let peer = PeerConnectionActor::spawn_outbound(node.address(), setup)?;
//!     peer.wait_connected(Duration::from_secs(5))?;
//!     # assert!(node.wait_for_peers(1, Duration::from_secs(5)));
//!     node.mine(1)?;
//!     for event in events {
//!         match event? {
//!             Event::Control(event) => println!("{event}"),
//!             Event::Message(event) => {
//!                 println!("{:?}", *event.message);
//!                 // The announcement of the block.
//!                 if matches!(*event.message, Message::Inv(_) | Message::Headers(_)) {
//!                     break;
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     drop(peer); // closes the connection and joins its threads
//!     Ok(())
//! }
//! ```
//!
//! # Manager and LocalNode
//!
//! [`manager`](super::manager) describes the manager, and [`testing`](super::testing) the local
//! node.
//!
//! # Networks
//!
//! [`Network`](crate::Network) is mainnet, testnet, STN, regtest, teratestnet or tstn, or a private
//! network. [`NetworkParams`](crate::NetworkParams) contains everything that distinguishes a
//! network: name, magic, port, DNS seeds, genesis block, chain rules and checkpoints.
//! [`Network::custom`](crate::Network::custom) validates the parameters, and its error names the
//! invalid field.
//!
//! Teranode uses the magic `00000000` on STN. To connect to it, set
//! [`ConnectionConfig::magic`](crate::ConnectionConfig::magic).
//!
//! ```
//! use bsv_p2p::{ConnectionConfig, Magic, Network, NetworkParams};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let network = Network::custom(NetworkParams {
//!         name: "lab".into(),
//!         magic: Magic(*b"lab1"),
//!         port: 28444,
//!         ..NetworkParams::default() // the parameters of regtest
//!     })?;
//!     let config = ConnectionConfig::new(network);
//!     assert_eq!(config.magic().to_string(), "6c616231");
//!     Ok(())
//! }
//! ```
//!
//! If the port of an address is the default port of another network, the address is rejected,
//! because it is usually a mistake. [`allow_any_port`](crate::ConnectionConfig::allow_any_port)
//! disables this check.
//!
//! # Features
//!
//! | feature | default | effect |
//! | --- | --- | --- |
//! | `dns` | yes | Adds `DnsResolver`, which uses `hickory-proto`. |
//! | `serde` | no | Implements `Serialize` and `Deserialize` for messages, configurations, peers, bans and traffic counters. |
//!
//! If `dns` is disabled, the system resolver is used, which supports neither cancellation nor other
//! name servers. Disconnect reasons, metrics and snapshots implement only `Serialize`.
//!
//! In JSON, a message is an object with its `command`. Hashes have their printed form. Scripts and
//! payloads are hexadecimal. Blocks and transactions are complete, so deserialization returns
//! exactly the serialized value. The documentation of [`wire`](crate::wire#serde) lists the form of
//! each type.
//!
//! ```json
//! {
//!   "command": "inv",
//!   "inventory": [{
//!     "type": "block",
//!     "hash": "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
//!   }]
//! }
//! ```
//!
//! If a field of a configuration has its default, it may be omitted. Durations are in seconds. A
//! network is its name, or an object with its [`NetworkParams`](crate::NetworkParams):
//!
//! ```json
//! {
//!   "network": "testnet",
//!   "connect_timeout": 2.5,
//!   "session": {
//!     "ping_timeout": 20,
//!     "user_agents": {"require": ["*Bitcoin SV*", "*teranode*"]}
//!   }
//! }
//! ```
//!
//! [`FrameReader`]: crate::wire::FrameReader
//! [`Manager`]: crate::Manager
//! [`PeerConnectionActor`]: crate::connection::PeerConnectionActor
//! [`Supervisor`]: crate::connection::Supervisor
//! [`session`]: crate::session
