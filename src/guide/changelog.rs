//! Changes of each version.
//!
//! Versions follow [semantic versioning](https://semver.org). Before 1.0, a new minor version may
//! contain incompatible changes.
//!
//! # 0.1.0 (not yet released)
//!
//! The first version.
//!
//! - [`wire`](crate::wire): the 38 messages of the reference node, normal and extended frames,
//!   merkle proofs, bloom filters and compact blocks. Chain rules, and the header chain with side
//!   chains.
//! - [`network`](crate::network): mainnet, testnet, STN, regtest, teratestnet, tstn, and private
//!   networks.
//! - [`session`](crate::session): handshake, keepalive, limits, misbehavior, profiles of SV Node
//!   and Teranode, validation of outgoing messages.
//! - [`peers`](crate::peers): peer store with an atomic JSON file, bans, whitelist.
//! - [`HeaderStore`](crate::HeaderStore): a file of verified headers.
//! - [`discovery`](crate::discovery): DNS seed lookups with deadlines.
//! - [`connection`](crate::connection): `Connection`, `PeerConnectionActor`, `Supervisor`, second
//!   streams, block readers. A pause for a subscriber, payload memory or a block reader ends after
//!   15 s, before the write timeout of the other side (20 s). Blocks and transactions above
//!   [`limits.unrequested`](crate::wire::PayloadLimits::unrequested) are buffered only while a
//!   request for them is open.
//! - [`manager`](crate::manager): peer discovery, inbound peers, bans, header synchronization,
//!   block downloads, transaction broadcasts, metrics.
//! - [`local_node`](crate::local_node): an in-process node that behaves like an SV Node or a
//!   Teranode.
//! - Tools: `monitor`, `listen`, `ping`, `conform`, `headers`, `block`, `crawl`, `follow`,
//!   `broadcast`, `decode`.
//! - Short examples: `connect`, `subscribe`, `manager`, `sync_headers`, `serve`.
