//! The reasons why inbound connections are rejected and subscriptions end.

use std::fmt;

#[cfg(doc)]
use super::ControlEvent;
use crate::peers::BanReason;

/// The reason why an inbound connection was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InboundRejectReason {
    /// The address of the peer is banned.
    Banned(BanReason),
    /// The address of the peer has reached its maximum number of connections.
    AddressLimit,
    /// The address of the peer has reached its maximum number of pending handshakes.
    HandshakeLimit,
    /// The socket did not become a connection for one of these reasons:
    ///
    /// - The connection limit is reached, and so is the number of peers that may receive a `reject`
    ///   at once.
    /// - The handshake limit is reached, and a newer socket replaced it.
    /// - It waited 10 s for a slot, or ended while no slot was free.
    /// - It was closed after its admission, before the connection started.
    Capacity,
    /// The peer requested a second stream in an invalid way. It received a `reject`.
    StreamRejected,
    /// A thread could not be spawned for the connection.
    ThreadSpawnFailed,
}

impl fmt::Display for InboundRejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InboundRejectReason::Banned(reason) => write!(f, "address is banned: {reason}"),
            InboundRejectReason::AddressLimit => {
                f.write_str("connection limit of the address reached")
            }
            InboundRejectReason::HandshakeLimit => {
                f.write_str("handshake limit of the address reached")
            }
            InboundRejectReason::Capacity => f.write_str("connection limit reached"),
            InboundRejectReason::StreamRejected => f.write_str("stream request rejected"),
            InboundRejectReason::ThreadSpawnFailed => f.write_str("spawning a thread failed"),
        }
    }
}

/// The reason why a subscription ended.
///
/// If the [`EventReceiver`](crate::connection::EventReceiver) is dropped, the subscription is
/// canceled without a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscriptionEndReason {
    /// The [`Manager`](crate::Manager) was shut down or dropped, or had been before the
    /// subscription was created.
    Shutdown,
    /// The [`EventBus`](crate::connection::EventBus) and the handles of all connections that use it
    /// were dropped.
    ///
    /// The end of a connection does not end a subscription while the handle exists, even if the
    /// connection is not reopened. A [`ControlEvent`] reports it.
    PublishersDropped,
    /// The receiver was too slow. The events in its queue were discarded.
    ///
    /// With [`OverflowPolicy::Block`](crate::connection::OverflowPolicy::Block), it took no event
    /// for [`ConnectionConfig::subscriber_timeout`](crate::ConnectionConfig::subscriber_timeout)
    /// while reading from a peer was paused. With control events, it may also have left 16,384
    /// [life-cycle events](super::ControlEvent::is_life_cycle) untaken.
    TooSlow,
    /// The thread that published the events panicked. Only possible for
    /// [`Manager::subscribe_blocks`](crate::Manager::subscribe_blocks).
    InternalError,
}

impl SubscriptionEndReason {
    /// Returns whether the subscription ended although its publisher was neither shut down nor
    /// dropped. Events are then missing.
    pub const fn is_failure(self) -> bool {
        match self {
            SubscriptionEndReason::Shutdown | SubscriptionEndReason::PublishersDropped => false,
            SubscriptionEndReason::TooSlow | SubscriptionEndReason::InternalError => true,
        }
    }
}

impl fmt::Display for SubscriptionEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubscriptionEndReason::Shutdown => "manager was shut down",
            SubscriptionEndReason::PublishersDropped => "event bus and connections were dropped",
            SubscriptionEndReason::TooSlow => "receiver was too slow",
            SubscriptionEndReason::InternalError => "publishing thread panicked",
        })
    }
}
