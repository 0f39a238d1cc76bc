//! The second TCP connection of a peer, which carries blocks.
//!
//! Nodes transfer blocks, headers and pings over a second TCP connection, together with the
//! messages that announce and request them. A block of several gigabytes therefore does not delay
//! transactions. Both connections form an *association* with the stream policy
//! [`BlockPriority`](crate::wire::StreamPolicy::BlockPriority).
//!
//! All connections with a thread use a second stream, in both directions. For the caller, only the
//! speed changes: there is one peer, one identity, one end, and one connection slot. A
//! [`Connection`](crate::Connection), which has no thread, always has one stream.
//!
//! # Opening
//!
//! The side that dialed opens the second stream, from the same address, once both sides have
//! advertised their policies.
//! [`SessionConfig::stream_policies`](crate::session::SessionConfig::stream_policies) lists the
//! policies in the order of preference.
//!
//! | event | meaning |
//! | --- | --- |
//! | [`StreamOpened`](crate::event::ControlEvent::StreamOpened) | The peer has a second stream. |
//! | [`StreamRefused`](crate::event::ControlEvent::StreamRefused) | The second stream is unavailable, for the given reason. The connection uses a single stream. |
//!
//! The behavior towards peers is as follows:
//!
//! - Messages are accepted on either stream.
//! - Teranode repeats `verack` and `protoconf` on a second stream. They are ignored there.
//! - Streams of the types DATA2 to DATA4 are refused with the reject code 0x60, although a node
//!   acknowledges them. No policy routes messages to them, no node opens them, and each would cost
//!   a socket and a thread.
//!
//! [`multistreams`](crate::session::SessionConfig::multistreams) `= false` disables second streams.
//!
//! # Which stream carries a message
//!
//! [`StreamPolicy::stream_for`](crate::wire::StreamPolicy::stream_for) returns the stream of a
//! message.
//!
//! | stream | messages |
//! | --- | --- |
//! | [`GENERAL`](crate::wire::StreamType::General) | all others, and everything while there is one stream |
//! | [`DATA1`](crate::wire::StreamType::Data1) | `ping`, `pong`, `block`, `cmpctblock`, `blocktxn`, `getblocktxn`, `headers`, `getheaders`, `hdrsen`, `gethdrsen`, and `inv` and `getdata` with blocks |
//!
//! Messages are ordered on each stream, and not between streams. Requests of a handle take this
//! into account.
//!
//! [`PeerConnectionHandle::statistics`](crate::connection::PeerConnectionHandle::statistics) counts
//! each stream, and the tool `monitor` prints them.
//!
//! # Inbound connections
//!
//! A peer opens its second stream by a further inbound connection. A caller that spawns inbound
//! connections must give all of them the same
//! [`AssociationRegistry`](crate::connection::AssociationRegistry), which connects both. A
//! [`Manager`](crate::Manager) and a [`LocalNode`](crate::local_node::LocalNode) do this.
//!
//! Only the first message of an inbound connection shows whether it is a peer or a second stream.
//! [`ListenerConfig`](crate::manager::ListenerConfig) describes how limits apply until then.
//!
//! # Costs
//!
//! A second stream costs a socket, a thread and about 25 KiB of memory.
//! [`performance`](super::performance#two-streams) shows its effect on the duration of a
//! transaction exchange.
