//! The second TCP connection of a peer, which carries blocks.
//!
//! Nodes transfer blocks, headers and pings over a second TCP connection. Announcements and
//! requests of blocks use it as well. A block of several gigabytes therefore does not delay
//! transactions. Both connections form an *association* with the stream policy
//! [`BlockPriority`](crate::wire::StreamPolicy::BlockPriority).
//!
//! All connections with threads use a second stream if the peer supports it, inbound and outbound.
//! Both streams belong to one peer: they share an id, a connection slot and a disconnect reason. A
//! [`Connection`](crate::Connection), which has no threads, always has one stream.
//!
//! # Opening
//!
//! After both sides advertised their policies, the side that dialed opens the second stream from
//! the same address.
//! [`SessionConfig::stream_policies`](crate::session::SessionConfig::stream_policies) lists the
//! policies in order of preference.
//!
//! | event | meaning |
//! | --- | --- |
//! | [`StreamOpened`](crate::event::ControlEvent::StreamOpened) | The peer has a second stream. |
//! | [`StreamRefused`](crate::event::ControlEvent::StreamRefused) | The second stream is unavailable, for the given reason. The connection uses a single stream. |
//!
//! - Messages are accepted on either stream.
//! - Requests continue while the second stream is opened. If the peer lacks the requested block or
//!   headers, they end once the stream is open or unavailable.
//! - If a Teranode repeats `verack` and `protoconf` on a second stream, they are ignored.
//! - Streams of the types DATA2 to DATA4 are refused with the reject code 0x60. A node acknowledges
//!   them, but no policy uses them, and each would cost a socket and a thread.
//!
//! If [`multistreams`](crate::session::SessionConfig::multistreams) is `false`, second streams are
//! disabled.
//!
//! # Routing
//!
//! [`StreamPolicy::stream_for`](crate::wire::StreamPolicy::stream_for) returns the stream of a
//! message.
//!
//! | stream | messages |
//! | --- | --- |
//! | [`GENERAL`](crate::wire::StreamType::General) | all others; all messages if there is one stream |
//! | [`DATA1`](crate::wire::StreamType::Data1) | `ping`, `pong`, `block`, `cmpctblock`, `blocktxn`, `getblocktxn`, `headers`, `getheaders`, `hdrsen`, `gethdrsen`, and `inv` and `getdata` with blocks |
//!
//! The order of messages is preserved on each stream, but not between streams. The requests of a
//! handle take this into account.
//!
//! [`PeerConnectionHandle::statistics`](crate::connection::PeerConnectionHandle::statistics)
//! returns counters for each stream. The tool `monitor` prints them.
//!
//! # Inbound connections
//!
//! A peer opens its second stream by another inbound connection. The first message of the socket
//! shows whether it is a new peer or a second stream.
//! [`PeerConnectionActor::accept`](crate::connection::PeerConnectionActor::accept) reads this
//! message before a connection exists:
//!
//! - A `createstrm` attaches the socket to its peer. No event is emitted for the socket itself.
//! - An invalid `createstrm` is answered by `reject`, and the socket is closed.
//! - Everything else starts a connection to a new peer.
//!
//! All accepted sockets must share one
//! [`AssociationRegistry`](crate::connection::AssociationRegistry), which finds the peer of a
//! stream. [`Manager`](crate::Manager) and [`LocalNode`](crate::local_node::LocalNode) do this.
//! [`ListenerConfig`](crate::manager::ListenerConfig) documents the limits of a manager before the
//! first message.
//!
//! # Costs
//!
//! A second stream costs a socket, a thread and about 18 KiB of memory.
//! [`performance`](super::performance#two-streams) shows its effect on the duration of a
//! transaction exchange.
