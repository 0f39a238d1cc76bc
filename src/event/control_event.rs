//! Events about connections, the listener, discovery, stores and the followed chain.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::end_reasons::{InboundRejectReason, SubscriptionEndReason};
use crate::discovery::ResolveError;
use crate::error::WithSources;
use crate::header_store::HeaderStoreError;
use crate::peers::{Ban, PeerId, PeerRef, StoreError};
use crate::session::{Direction, DisconnectReason, Misbehavior, PeerInfo, StreamSetupError};
use crate::system_error::SystemError;
use crate::wire::{Command, StreamPolicy, StreamType};

/// An event about a connection, the listener, discovery, a store or the followed chain.
///
/// The events of one connection are emitted in a fixed order, each at most once:
/// - `ConnectionEstablished`
/// - `HandshakeComplete`
/// - `StreamOpened` or `StreamRefused`, if either
/// - one of `ConnectionLost`, `ConnectionRestarting`, `ConnectionFailed` and
///   `ConnectionRejectedCapacity`. The last three may be emitted without the events before them.
///
/// After `ConnectionRestarting` the events of the peer's next connection follow in the same order.
/// If the restart is canceled, `ConnectionFailed` follows instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ControlEvent {
    /// The TCP connection was established; the handshake has started.
    ConnectionEstablished {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The side that opened the connection.
        direction: Direction,
    },
    /// The handshake is complete: messages can be sent.
    HandshakeComplete {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The content of the peer's `version`.
        info: Box<PeerInfo>,
    },
    /// A second TCP connection to the peer was opened. Both sides route messages between the two as
    /// `policy` specifies. Both connections belong to one peer and are closed together.
    StreamOpened {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The type of the new stream.
        stream: StreamType,
        /// The policy that assigns messages to streams.
        policy: StreamPolicy,
    },
    /// A second stream was requested and is unavailable. The peer continues with the first one.
    /// Emitted at most once per connection.
    StreamRefused {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The reason.
        error: StreamSetupError,
    },
    /// The connection was closed or could not be opened. It will be opened again.
    ConnectionRestarting {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The reason of the end.
        reason: DisconnectReason,
        /// The delay before the peer is dialed again. Zero means immediately.
        after: Duration,
    },
    /// An inbound connection was closed because the connection limit is reached.
    ///
    /// The peer received a `reject` after its handshake, or its stalled handshake was closed in
    /// favor of a newer connection. This is the last event of the connection.
    ConnectionRejectedCapacity {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
    },
    /// The connection was closed after the handshake. It will not be opened again.
    ConnectionLost {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The connection could not be opened, or was closed before the handshake was complete. It will
    /// not be opened again.
    ConnectionFailed {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The peer violated the protocol. The violation by itself does not close the connection, but
    /// its score may reach the threshold.
    ///
    /// Violations that score nothing are limited to one event per second: the first is emitted
    /// immediately, and those of the next second together, at its end.
    PeerMisbehavior {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The violation. If there are several, the last one.
        misbehavior: Misbehavior,
        /// The score of the peer, including this violation.
        score: u32,
        /// The number of violations. Above 1 only for violations that score nothing.
        count: u64,
    },
    /// An address or a subnet was banned. Connections to it are closed.
    PeerBanned {
        /// The banned peer. `None` if the application banned an address or a subnet.
        peer: Option<PeerRef>,
        /// The ban: its subnet, reason and duration.
        ban: Ban,
    },
    /// An inbound connection was accepted. The events of the connection follow.
    ///
    /// Emitted when the first message of the socket has arrived, the socket was closed, or the
    /// handshake timed out. Not emitted for the second stream of a peer.
    InboundConnectionAccepted {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
    },
    /// An inbound connection was rejected. Its socket was closed before any data was sent, except a
    /// `reject` for [`InboundRejectReason::StreamRejected`].
    InboundConnectionRejected {
        /// The address of the peer.
        address: SocketAddr,
        /// The reason.
        reason: InboundRejectReason,
    },
    /// The listener accepts connections.
    ListenerStarted {
        /// The address of the listener, with the actual port if the system chose it.
        address: SocketAddr,
    },
    /// The listener could not bind to its address.
    ListenerBindFailed {
        /// The configured address.
        address: SocketAddr,
        /// The error of the system.
        error: SystemError,
        /// The delay before the next attempt.
        retry_after: Duration,
    },
    /// This machine cannot dial or accept connections at the moment. The operation is repeated
    /// after a pause of 100 ms to 30 s, and no peer is at fault.
    ///
    /// While dialing, the pause applies to candidates of the address family concerned, or of both
    /// families if the machine is out of descriptors or memory. Emitted once until an operation of
    /// the same kind succeeds or the error changes.
    LocalFault {
        /// The operation.
        operation: LocalOperation,
        /// The error of the system.
        error: SystemError,
    },
    /// No DNS seed returned an address. The lookup is repeated.
    DiscoveryFailed {
        /// The error of each seed.
        failures: Vec<SeedFailure>,
        /// The delay before the next lookup.
        retry_after: Duration,
    },
    /// An operation of the peer store failed. The manager continues with its data in memory.
    StoreFailed {
        /// The error of the store.
        error: StoreError,
    },
    /// Writing the followed chain to its file failed, or the file had a damaged end.
    ///
    /// The manager continues with the chain in memory. A failed write is repeated every 5 s, and
    /// before the manager is shut down. Emitted once until a write succeeds or the error changes.
    HeaderStoreFailed {
        /// The error.
        error: HeaderStoreError,
    },
    /// The network, or at least one peer, follows a branch that is not the active chain of the
    /// manager.
    ///
    /// Emitted when a peer sends a branch that a checkpoint refuses. Also emitted when peers are on
    /// two branches of at least two blocks each that differ by the work of at most six blocks.
    /// Emitted once for each fork. A peer on a refused branch is disconnected with
    /// [`DisconnectReason::WrongChain`].
    ChainSplit {
        /// The height of the last common block.
        fork_height: u32,
        /// The peers that sent the branch that is not the active chain.
        peers: Vec<PeerRef>,
    },
    /// The tip of the followed chain did not change for
    /// [`ManagerConfig::stale_tip_timeout`](crate::ManagerConfig::stale_tip_timeout).
    ///
    /// Emitted once for each tip.
    TipStale {
        /// The time of the last change of the tip, or of the start of the manager if there was
        /// none.
        since: SystemTime,
    },
    /// A payload exceeded its maximum length, and was discarded while it arrived.
    PayloadDiscarded {
        /// The id of the peer.
        peer_id: PeerId,
        /// The address of the peer.
        address: SocketAddr,
        /// The command of the message.
        command: Command,
        /// The payload's length in bytes.
        len: u64,
    },
    /// A subscription dropped events because its receiver was too slow. [Life-cycle
    /// events](Self::is_life_cycle) are never dropped.
    ///
    /// A subscription to control events, or to both kinds of events, receives this event itself.
    /// For a subscription to messages only, the event is emitted to the control subscriptions.
    Lagged {
        /// The name of the subscription.
        subscription: Arc<str>,
        /// The number of events dropped since the last `Lagged` of this subscription.
        missed: u64,
    },
    /// A subscription failed and was ended, for all peers. Its receiver gets the
    /// [reason](SubscriptionEndReason). The events in its queue are lost.
    SubscriptionEnded {
        /// The name of the subscription.
        subscription: Arc<str>,
        /// The reason.
        reason: SubscriptionEndReason,
    },
}

/// The maximum number of peers that the text of an event contains.
const MAX_DISPLAYED_PEERS: usize = 8;

/// An operation that fails for a cause on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalOperation {
    /// Opening a connection to a peer.
    Dial,
    /// Accepting a connection of a peer.
    Accept,
}

impl fmt::Display for LocalOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocalOperation::Dial => "dialing",
            LocalOperation::Accept => "accepting connections",
        })
    }
}

impl ControlEvent {
    /// Returns the name of the event, such as `HandshakeComplete`.
    pub const fn name(&self) -> &'static str {
        match self {
            ControlEvent::ConnectionEstablished { .. } => "ConnectionEstablished",
            ControlEvent::HandshakeComplete { .. } => "HandshakeComplete",
            ControlEvent::StreamOpened { .. } => "StreamOpened",
            ControlEvent::StreamRefused { .. } => "StreamRefused",
            ControlEvent::ConnectionRestarting { .. } => "ConnectionRestarting",
            ControlEvent::ConnectionRejectedCapacity { .. } => "ConnectionRejectedCapacity",
            ControlEvent::ConnectionLost { .. } => "ConnectionLost",
            ControlEvent::ConnectionFailed { .. } => "ConnectionFailed",
            ControlEvent::PeerMisbehavior { .. } => "PeerMisbehavior",
            ControlEvent::PeerBanned { .. } => "PeerBanned",
            ControlEvent::InboundConnectionAccepted { .. } => "InboundConnectionAccepted",
            ControlEvent::InboundConnectionRejected { .. } => "InboundConnectionRejected",
            ControlEvent::ListenerStarted { .. } => "ListenerStarted",
            ControlEvent::ListenerBindFailed { .. } => "ListenerBindFailed",
            ControlEvent::LocalFault { .. } => "LocalFault",
            ControlEvent::DiscoveryFailed { .. } => "DiscoveryFailed",
            ControlEvent::StoreFailed { .. } => "StoreFailed",
            ControlEvent::HeaderStoreFailed { .. } => "HeaderStoreFailed",
            ControlEvent::ChainSplit { .. } => "ChainSplit",
            ControlEvent::TipStale { .. } => "TipStale",
            ControlEvent::PayloadDiscarded { .. } => "PayloadDiscarded",
            ControlEvent::Lagged { .. } => "Lagged",
            ControlEvent::SubscriptionEnded { .. } => "SubscriptionEnded",
        }
    }

    /// Returns whether the event reports a change of a connection, a stream or a subscription.
    ///
    /// Receivers of control events get each life-cycle event, however many other events are
    /// pending. [`EventBus`](crate::connection::EventBus) documents the limit.
    pub const fn is_life_cycle(&self) -> bool {
        matches!(
            self,
            ControlEvent::ConnectionEstablished { .. }
                | ControlEvent::HandshakeComplete { .. }
                | ControlEvent::StreamOpened { .. }
                | ControlEvent::StreamRefused { .. }
                | ControlEvent::ConnectionRestarting { .. }
                | ControlEvent::ConnectionRejectedCapacity { .. }
                | ControlEvent::ConnectionLost { .. }
                | ControlEvent::ConnectionFailed { .. }
                | ControlEvent::SubscriptionEnded { .. }
        )
    }

    /// Returns the id and address of the peer whose connection the event belongs to.
    ///
    /// Returns `None` for all other events, also for `PeerBanned` and `InboundConnectionRejected`.
    pub const fn peer(&self) -> Option<(PeerId, SocketAddr)> {
        match self {
            ControlEvent::ConnectionEstablished {
                peer_id, address, ..
            }
            | ControlEvent::HandshakeComplete {
                peer_id, address, ..
            }
            | ControlEvent::StreamOpened {
                peer_id, address, ..
            }
            | ControlEvent::StreamRefused {
                peer_id, address, ..
            }
            | ControlEvent::ConnectionRestarting {
                peer_id, address, ..
            }
            | ControlEvent::ConnectionRejectedCapacity {
                peer_id, address, ..
            }
            | ControlEvent::ConnectionLost {
                peer_id, address, ..
            }
            | ControlEvent::ConnectionFailed {
                peer_id, address, ..
            }
            | ControlEvent::PeerMisbehavior {
                peer_id, address, ..
            }
            | ControlEvent::InboundConnectionAccepted { peer_id, address }
            | ControlEvent::PayloadDiscarded {
                peer_id, address, ..
            } => Some((*peer_id, *address)),
            ControlEvent::PeerBanned { .. }
            | ControlEvent::InboundConnectionRejected { .. }
            | ControlEvent::ListenerStarted { .. }
            | ControlEvent::ListenerBindFailed { .. }
            | ControlEvent::LocalFault { .. }
            | ControlEvent::DiscoveryFailed { .. }
            | ControlEvent::StoreFailed { .. }
            | ControlEvent::HeaderStoreFailed { .. }
            | ControlEvent::ChainSplit { .. }
            | ControlEvent::TipStale { .. }
            | ControlEvent::Lagged { .. }
            | ControlEvent::SubscriptionEnded { .. } => None,
        }
    }
}

impl fmt::Display for ControlEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlEvent::ConnectionEstablished {
                address, direction, ..
            } => {
                write!(f, "{address}: {direction} connection established")
            }
            ControlEvent::HandshakeComplete { address, info, .. } => {
                let PeerInfo {
                    version,
                    user_agent,
                    start_height,
                    services,
                    ..
                } = &**info;
                write!(
                    f,
                    "{address}: handshake complete with {user_agent}, version {version}, \
                     services {services}, height {start_height}"
                )
            }
            ControlEvent::StreamOpened {
                address,
                stream,
                policy,
                ..
            } => write!(f, "{address}: stream {stream} opened, policy {policy}"),
            ControlEvent::StreamRefused { address, error, .. } => write!(
                f,
                "{address}: second stream unavailable: {}",
                WithSources(error)
            ),
            ControlEvent::ConnectionRestarting {
                address,
                reason,
                after,
                ..
            } => {
                let reason = WithSources(reason);
                if after.is_zero() {
                    write!(f, "{address}: reconnecting immediately: {reason}")
                } else {
                    write!(f, "{address}: reconnecting in {after:.1?}: {reason}")
                }
            }
            ControlEvent::ConnectionRejectedCapacity { address, .. } => {
                write!(f, "{address}: rejected: connection limit reached")
            }
            ControlEvent::ConnectionLost {
                address, reason, ..
            } => {
                write!(f, "{address}: connection lost: {}", WithSources(reason))
            }
            ControlEvent::ConnectionFailed {
                address, reason, ..
            } => {
                write!(f, "{address}: connection failed: {}", WithSources(reason))
            }
            ControlEvent::PeerMisbehavior {
                address,
                misbehavior,
                score,
                count,
                ..
            } => {
                write!(f, "{address}: misbehavior (score {score}")?;
                if *count > 1 {
                    write!(f, ", {count} times")?;
                }
                write!(f, "): {}", WithSources(misbehavior))
            }
            ControlEvent::PeerBanned { peer, ban } => {
                if let Some(peer) = peer {
                    write!(f, "{peer}: ")?;
                }
                write!(f, "{ban}")
            }
            ControlEvent::InboundConnectionAccepted { address, .. } => {
                write!(f, "{address}: inbound connection accepted")
            }
            ControlEvent::InboundConnectionRejected { address, reason } => {
                write!(f, "{address}: inbound connection rejected: {reason}")
            }
            ControlEvent::ListenerStarted { address } => write!(f, "listening on {address}"),
            ControlEvent::ListenerBindFailed {
                address,
                error,
                retry_after,
            } => write!(
                f,
                "listening on {address} failed, retrying in {retry_after:.1?}: {error}"
            ),
            ControlEvent::LocalFault { operation, error } => {
                write!(f, "{operation} failed: {error}")
            }
            ControlEvent::DiscoveryFailed {
                failures,
                retry_after,
            } => {
                f.write_str("no DNS seed returned an address")?;
                for failure in failures {
                    write!(f, "; {failure}")?;
                }
                write!(f, "; retrying in {retry_after:?}")
            }
            ControlEvent::StoreFailed { error } => {
                write!(f, "peer store failed: {}", WithSources(error))
            }
            ControlEvent::HeaderStoreFailed { error } => {
                write!(f, "header store failed: {}", WithSources(error))
            }
            ControlEvent::ChainSplit { fork_height, peers } => {
                write!(
                    f,
                    "chain split above height {fork_height}, on the other branch: "
                )?;
                for (at, peer) in peers.iter().take(MAX_DISPLAYED_PEERS).enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{peer}")?;
                }
                match peers.len().saturating_sub(MAX_DISPLAYED_PEERS) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            ControlEvent::TipStale { since } => {
                let unix = since.duration_since(SystemTime::UNIX_EPOCH);
                let seconds = unix.unwrap_or_default().as_secs();
                write!(f, "no new block since Unix time {seconds}")
            }
            ControlEvent::PayloadDiscarded {
                address,
                command,
                len,
                ..
            } => {
                write!(f, "{address}: {command} of {len} bytes discarded")
            }
            ControlEvent::Lagged {
                subscription,
                missed,
            } => write!(f, "subscription {subscription} dropped {missed} events"),
            ControlEvent::SubscriptionEnded {
                subscription,
                reason,
            } => write!(f, "subscription {subscription} ended: {reason}"),
        }
    }
}

/// The failed lookup of a DNS seed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedFailure {
    /// The host name of the seed.
    pub seed: String,
    /// The error. Its text includes the name of the seed.
    pub error: ResolveError,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", WithSources(&self.error))
    }
}
