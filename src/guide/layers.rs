//! Choosing a layer, and the purpose of each layer.
//!
//! | task | layer |
//! | --- | --- |
//! | A tool that asks one node and exits | [`Connection`](crate::Connection) |
//! | A program that reacts to events of a few known nodes | [`PeerConnectionActor`](crate::connection::PeerConnectionActor) and [`Supervisor`](crate::connection::Supervisor) |
//! | A program that needs the network: peers, the chain, blocks, transactions | [`Manager`](crate::Manager) |
//! | Reading a capture, verifying proofs or headers | [`wire`](crate::wire) |
//! | Own sockets or an own event loop | [`session`](crate::session) with [`FrameReader`](crate::wire::FrameReader) |
//! | Tests without a network | [`LocalNode`](crate::local_node::LocalNode) |
//!
//! # Wire
//!
//! [`wire`](crate::wire) has a type for each of the 38 messages of the reference node. A message
//! with another command is kept as [`Message::Unknown`](crate::wire::Message::Unknown). Decoding
//! checks each length against the remaining bytes before it allocates.
//!
//! - [`HeaderChain`](crate::wire::HeaderChain) verifies headers by the
//!   [`ChainRules`](crate::wire::ChainRules) of their network, as a node does. It keeps the branch
//!   with the most work and its side chains.
//! - [`Reconstruction`](crate::wire::Reconstruction) builds a block from a compact block and a pool
//!   of transactions.
//! - [`MerkleProof`](crate::wire::MerkleProof),
//!   [`PartialMerkleTree`](crate::wire::PartialMerkleTree) and
//!   [`DsDetected`](crate::wire::DsDetected) verify their claims.
//! - [`BlockScanner`](crate::wire::BlockScanner) parses a block incrementally.
//! - [`BloomFilter`](crate::wire::BloomFilter) builds and evaluates filters.
//!
//! # Session
//!
//! [`session`](crate::session) implements the protocol of one peer as a pure state machine:
//! handshake, keepalive, limits, misbehavior. Time and nonces are arguments.
//!
//! Messages for which a default node would ban or disconnect the caller are rejected with
//! [`SendError`](crate::session::SendError), which names the rule. The rules are those of the kind
//! of node that the peer identifies itself as: see [`PeerProfile`](crate::session::PeerProfile).
//! Requests are split by the smaller of the limits of both sides. A request that a peer of its kind
//! never answers fails at once.
//!
//! # Peers
//!
//! [`peers`](crate::peers) stores the state that must survive a restart.
//! [`PeerStore`](crate::peers::PeerStore) is a trait: an application may implement it with a
//! database, or mock it in its tests.
//!
//! [`InMemoryPeerStore`](crate::peers::InMemoryPeerStore) holds 10,000 peers by default. When it is
//! full, it forgets the least valuable peer. It writes a JSON file, which is replaced atomically,
//! so a crash never leaves a truncated file. A corrupt file is moved aside and reported. A file of
//! another network is rejected.
//!
//! [`BanList`](crate::peers::BanList) bans addresses and subnets, IPv6 by /64. Automatic bans last
//! 24 hours, and manual bans as long as required. It reports the ban that applies to an address.
//! The whitelist overrides every ban. This module does not read the clock: times are arguments.
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
//! [`HeaderStore`](crate::HeaderStore) keeps the active chain of a `HeaderChain` in a file of
//! 80-byte headers. Other header services exchange the same format. Opening the file verifies all
//! rules again, removes and reports a damaged end, and rejects the headers of another network.
//!
//! # Discovery
//!
//! [`discovery`](crate::discovery) resolves DNS seeds in the thread of the caller.
//! [`SeedResolver`](crate::discovery::SeedResolver) is a trait: an application may implement or
//! mock it.
//!
//! `DnsResolver` queries name servers directly: those of `/etc/resolv.conf`, or others. It queries
//! IPv4 and IPv6 at the same time, over UDP, and over TCP if an answer is long. If a server does
//! not answer, refuses, or sends an invalid answer, the next server is queried within two seconds
//! at most. A lookup ends at its deadline, and within 100 ms after a cancellation flag is set.
//! `DnsResolver` requires the feature `dns`, which is enabled by default. Without it,
//! [`SystemResolver`](crate::discovery::SystemResolver) uses the system resolver in a helper
//! thread.
//!
//! ```no_run
//! use std::time::Duration;
//! use bsv_p2p::Network;
//! use bsv_p2p::discovery::{Deadline, default_resolver};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let seeds = default_resolver(&[])?; // or the addresses of name servers
//!     for seed in Network::Mainnet.dns_seeds() {
//!         match seeds.resolve(seed, &Deadline::after(Duration::from_secs(10))) {
//!             Ok(addresses) => println!("{seed} has {} addresses", addresses.len()),
//!             Err(error) => println!("{error}"), // names each server and its failure
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Connection
//!
//! [`Connection`](crate::Connection) has no threads. `connect` and `accept` return after the
//! handshake. Then the caller uses `send`, `receive` and `receive_timeout`, and the requests
//! `ping`, `headers`, `block`, `transactions` and `addresses`. Messages that arrive while a request
//! waits are kept for `receive`.
//!
//! # PeerConnectionActor and Supervisor
//!
//! [`PeerConnectionActor`](crate::connection::PeerConnectionActor) gives a peer a thread. It dials,
//! performs the handshake, reads, answers pings, and publishes events to an
//! [`EventBus`](crate::connection::EventBus). Its
//! [`PeerConnectionHandle`](crate::connection::PeerConnectionHandle) sends messages, and has the
//! requests of a `Connection`, from any number of threads. Each request returns the response to its
//! caller. Responses are not sent to subscribers.
//!
//! An idle peer costs one thread per stream. A writer thread runs only while the peer reads more
//! slowly than messages are sent.
//!
//! [`statistics`](crate::connection::PeerConnectionHandle::statistics) returns a copy of the state:
//! round trip, messages and bytes of each kind in both directions, queue lengths, memory, and the
//! reason of the last end.
//! [`update_config`](crate::connection::PeerConnectionHandle::update_config) reaches a live
//! connection within a second.
//!
//! [`Supervisor`](crate::connection::Supervisor) restores lost connections, with one thread for all
//! of them. After a network failure it reconnects at once, three times per hour. Otherwise it waits
//! 5 s, doubled up to 10 minutes. It does not reconnect if the peer or the caller does not want it.
//! The identity of the peer is kept. The rules are one table
//! ([`DisconnectReason::action`](crate::session::DisconnectReason::action)) and one pure state
//! machine ([`RestartPolicy`](crate::connection::RestartPolicy)).
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
//!     let events = setup.events.subscribe(); // subscribe before connecting to receive every event
//!     let peer = PeerConnectionActor::spawn_outbound(node.address(), setup)?;
//!     assert!(node.wait_for_peers(1, Duration::from_secs(5)));
//!     node.mine(1)?;
//!     for event in events {
//!         match event? {
//!             Event::Control(event) => println!("{event}"),
//!             Event::Message(event) => {
//!                 println!("{:?}", *event.message);
//!                 if matches!(*event.message, Message::Inv(_) | Message::Headers(_)) {
//!                     break; // the announcement of the block
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     drop(peer); // closes the connection and joins its thread
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
//! Teranode uses the magic `00000000` on STN. Set
//! [`ConnectionConfig::magic`](crate::ConnectionConfig::magic) for it.
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
//! An address whose port is the default port of another network is rejected, because it is usually
//! a mistake. Set [`allow_any_port`](crate::ConnectionConfig::allow_any_port) to connect anyway.
//!
//! # Features
//!
//! | feature | default | effect |
//! | --- | --- | --- |
//! | `dns` | yes | `DnsResolver`, which uses `hickory-proto`. Without it the system resolver is used, whose lookups cannot be canceled and which uses its own name servers only. |
//! | `serde` | no | `Serialize` and `Deserialize` for messages, [`ConnectionConfig`](crate::ConnectionConfig) and [`ManagerConfig`](crate::ManagerConfig), peers, bans, and the traffic counters of connections. `Serialize` only for disconnect reasons, metrics and snapshots. |
//!
//! In JSON a message is an object with its `command`. Hashes have their usual printed form. Scripts
//! and payloads are hexadecimal. Blocks and transactions are complete. Reading restores exactly the
//! written value. The documentation of [`wire`](crate::wire#serde) lists the form of each type.
//!
//! ```json
//! {"command":"inv","inventory":[{"type":"block","hash":"00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"}]}
//! ```
//!
//! A configuration contains only the fields that differ from the defaults. Durations are in
//! seconds. A network is its name, or the object of its [`NetworkParams`](crate::NetworkParams):
//!
//! ```json
//! {"network":"testnet","connect_timeout":2.5,"session":{"ping_timeout":20,"user_agents":{"require":["*Bitcoin SV*","*teranode*"]}}}
//! ```
