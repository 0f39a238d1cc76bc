//! The security model: verified data, attacks, and weaknesses of the protocol.
//!
//! # Guarantees
//!
//! A remote peer is untrusted. These guarantees hold for all data, in any order and at any speed:
//!
//! - The library does not panic or hang. Memory use never depends on a length that the peer claims.
//!   `unsafe` code is forbidden.
//! - Every queue is bounded, and every wait for a peer has a timeout: see
//!   [`limits`](super::limits).
//! - If a default node would ban or disconnect the caller for a message, the message is rejected
//!   before it is sent. The rules depend on the user agent of the peer
//!   ([`PeerProfile`](crate::session::PeerProfile)). Content that only a full node can judge is not
//!   checked: [`SendError`](crate::session::SendError#not-checked) has the list.
//! - Data from peers is escaped in log records and in the text of events, so that each record is
//!   one line of printable ASCII.
//!
//! # Verified data
//!
//! | data | verified | not verified |
//! | --- | --- | --- |
//! | frame | magic, limit of the command, checksum | - |
//! | message | every length and count, and the ranges of the protocol | meaning of its content |
//! | header | linkage, proof of work, difficulty, times, versions, checkpoints; minimum work in [`sync_headers`](crate::Manager::sync_headers) | - |
//! | block | structure; merkle root of the transactions against the header | transactions, scripts, signatures |
//! | transaction | structure | everything else |
//! | merkle proof | against the root of its header | - |
//! | user agent, services, height, time of a peer | - | claims of the peer |
//!
//! A block with valid headers above it can be invalid, or unavailable. Full nodes do not build on
//! an invalid block, so a caller should wait for confirmations. The table at
//! [`HeaderChain`](crate::wire::HeaderChain#verification) shows how many, depending on the hash
//! rate of an attacker.
//!
//! # Classes of peers
//!
//! Decisions depend on the origin of a peer:
//!
//! | class | peers | trusted for |
//! | --- | --- | --- |
//! | configured | fixed peers, manual peers, whitelist | headers; never banned automatically |
//! | outbound | peers that the manager dialed | headers |
//! | inbound | peers that dialed this host | headers, only if no peer of another class is connected |
//!
//! If no configured or outbound peer is connected, inbound peers select the headers that the chain
//! receives. These headers must still follow the rules of the network.
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
//! If following a wrong chain would be expensive, you should configure peers that you trust, by
//! [`start_fixed`](crate::Manager::start_fixed) or [`connect`](crate::Manager::connect).
//!
//! # Denial of service
//!
//! - Connections from banned addresses are closed at once.
//! - Handshakes and connections are limited per address. If slots are needed, stalled handshakes
//!   are closed.
//! - If a peer sends faster than the caller processes, reading pauses. If a peer does not read, it
//!   is disconnected.
//! - A large payload counts until its last holder drops it. If a caller keeps messages, their
//!   memory stays in use, and peers that send more large payloads are not read when the limit is
//!   reached. Other messages of all peers are still received.
//! - Each peer has payload memory of its own, and waiting peers are served in order. If peers hold
//!   all memory with payloads that do not complete, the one that holds the most is disconnected.
//! - A subscription that takes no event ends after 15 s and does not affect others.
//! - Life-cycle events are never dropped, and violations without a score cause at most one event per
//!   second. A peer cannot hide the events of other peers.
//!
//! # Weaknesses of the protocol
//!
//! The protocol has no encryption and no authentication. An attacker on the network path can read,
//! change and drop messages, and can impersonate a peer. Verified data remains protected, but an
//! attacker can delay or withhold it.
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
//! If a dial fails because of this host, the record of the peer does not change. Examples are a
//! missing route, exhausted file descriptors, and an unavailable local address.
//! [`LocalFault`](crate::event::ControlEvent::LocalFault) reports such failures.
//!
//! # Files
//!
//! The peer store and the header store verify their files when they open them. A damaged file of
//! peers is moved aside, and a damaged file of headers is truncated. Both are reported. A file of
//! another network is rejected and stays unchanged. Only one process can open a file at a time.
//!
//! # Reporting a vulnerability
//!
//! The file `.github/SECURITY.md` in the repository describes how to report one.
