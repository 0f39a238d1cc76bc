//! The security model: verified data, attacks, and limits of the protocol.
//!
//! # Guarantees
//!
//! A remote peer is untrusted. Whatever it sends, and in whatever order and speed:
//!
//! - The library does not panic, hang, or allocate memory proportional to a number that the peer
//!   claims. `unsafe` code is forbidden.
//! - Every queue is bounded, and every wait has a timeout: see [`limits`](super::limits).
//! - Messages of the caller for which a default node would ban or disconnect the caller are
//!   rejected before they are sent. The rules are those of the kind of node that the peer
//!   identifies itself as ([`PeerProfile`](crate::session::PeerProfile)).
//! - Data from peers is escaped in log records and events, so that each record is one line of
//!   printable ASCII.
//!
//! # Verified data
//!
//! | data | verified | not verified |
//! | --- | --- | --- |
//! | frame | magic, limit of the command, checksum | - |
//! | message | every length and count, and the ranges of the protocol | meaning of its content |
//! | header | linkage, proof of work, difficulty, times, versions, checkpoints; minimum work in [`sync_headers`](crate::Manager::sync_headers) | - |
//! | block | the transactions are those to which the header commits; structure | transactions, scripts, signatures |
//! | transaction | structure | everything else |
//! | merkle proof | against the root of its header | - |
//! | user agent, services, height, time of a peer | - | claims of the peer |
//!
//! A block with valid headers above it can be invalid, or unavailable. Full nodes do not build on
//! an invalid block, so confirmations are the protection. The table at
//! [`HeaderChain`](crate::wire::HeaderChain#verification) relates their number to the share of an
//! attacker.
//!
//! # Classes of peers
//!
//! Decisions depend on how a peer was found:
//!
//! | class | peers | trusted for |
//! | --- | --- | --- |
//! | configured | fixed peers, manual peers, whitelist | headers; never banned automatically |
//! | outbound | peers that the manager dialed | headers |
//! | inbound | peers that dialed this host | nothing, while a peer of another class is connected |
//!
//! While no configured or outbound peer is connected, inbound peers decide which headers the chain
//! receives, within the rules of the network.
//!
//! # Eclipse attacks
//!
//! An attacker who controls all peers of a host controls all data that it receives. These rules
//! make this difficult:
//!
//! - Slots are reserved for outbound connections.
//! - Outbound peers are in different address groups: /16 of IPv4, or /32 of IPv6.
//! - An address group can advertise one eighth of the table at most, and cannot evict known-good
//!   peers.
//! - Peers that worked before are dialed first.
//! - An inbound peer can advertise only its own address.
//!
//! If a wrong chain would be expensive, name peers that you trust
//! ([`start_fixed`](crate::Manager::start_fixed), [`connect`](crate::Manager::connect)).
//!
//! # Denial of service
//!
//! - Connections from banned addresses are closed at once.
//! - Handshakes and connections are limited per address; stalled handshakes are closed if slots are
//!   needed.
//! - A peer that sends faster than the caller processes is not read. A peer that does not read is
//!   disconnected.
//! - Payloads are counted until the last holder drops them. A caller that keeps messages keeps
//!   their memory, and slows down its peers.
//! - A slow subscription ends after 30 s and does not affect others.
//!
//! # Limits of the protocol
//!
//! The protocol has no encryption and no authentication. An attacker on the network path can read,
//! change and drop messages, and can answer in the name of a peer. Verified data stays verified,
//! but an attacker can delay it or withhold it.
//!
//! A peer can withhold transactions and blocks, and can announce data that it does not have.
//! Requests then fail with a timeout. [`fetch_block`](crate::Manager::fetch_block) requests a block
//! from one peer after the other.
//!
//! A missing `reject` does not mean that a transaction was accepted: see
//! [`transactions`](super::transactions).
//!
//! # Local faults
//!
//! A missing route, exhausted file descriptors, or an unavailable address of this host do not
//! change the record of a peer. [`LocalFault`](crate::event::ControlEvent::LocalFault) reports
//! them.
//!
//! # Files
//!
//! The peer store and the header store verify their files when they open them. A damaged file is
//! moved aside or truncated, and reported. A file of another network is rejected and unchanged.
//! Only one process at a time can open a file.
//!
//! # Reporting a vulnerability
//!
//! The file `.github/SECURITY.md` in the repository describes how to report one.
