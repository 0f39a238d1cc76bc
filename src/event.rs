//! What a program hears of its peers.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::discovery::ResolveError;
use crate::header_store::HeaderStoreError;
use crate::memory::MemoryGuard;
use crate::peers::{Ban, BanReason, StoreError};
use crate::session::{Direction, DisconnectReason, Misbehavior, PeerInfo, StreamSetupError};
use crate::system_error::SystemError;
use crate::wire::{Command, Message, StreamPolicy, StreamType};

/// Something that happened to a peer's connection.
///
/// The events of one connection come in one order, each once: `ConnectionEstablished`, `HandshakeComplete`, at most one of `StreamOpened` and
/// `StreamRefused`, then one of
/// `ConnectionLost`, `ConnectionRestarting`, `ConnectionFailed` and `ConnectionRejectedCapacity`; the last three also without the others.
/// After `ConnectionRestarting` the same peer's next connection follows in the same order, or `ConnectionFailed` if there will be none
/// after all.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ControlEvent {
    /// TCP stands; the handshake begins.
    ConnectionEstablished {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// Who opened the connection.
        direction: Direction,
    },
    /// Both sides have accepted each other: messages may be sent.
    HandshakeComplete {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// What it said of itself.
        info: Box<PeerInfo>,
    },
    /// The peer has a further TCP connection from now on: what `policy` says goes over it, both ways. It is still one peer, and both end
    /// together.
    StreamOpened {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// Which of its streams this is.
        stream: StreamType,
        /// What goes over which.
        policy: StreamPolicy,
    },
    /// The peer has no second stream, where one was wanted. It goes on with the first. Told once for a connection.
    StreamRefused {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// Why.
        refusal: StreamSetupError,
    },
    /// The connection ended or could not be opened, and will be opened again.
    ConnectionRestarting {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// Why it ended.
        reason: DisconnectReason,
        /// After which pause it is dialled again; zero for at once.
        after: Duration,
    },
    /// We had no room for a peer that dialled us, and told it so; or its handshake stood still and gave way to another. Nothing follows.
    ConnectionRejectedCapacity {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
    },
    /// The connection ended after the handshake. It will not be opened again.
    ConnectionLost {
        /// The peer.
        peer_id: Uuid,
        /// Where it was.
        address: SocketAddr,
        /// Why.
        reason: DisconnectReason,
    },
    /// The connection could not be opened, or ended before the handshake was complete. It will not be opened again.
    ConnectionFailed {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// Why.
        reason: DisconnectReason,
    },
    /// The peer did something wrong that did not end the connection by itself.
    PeerMisbehavior {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// What it did.
        misbehavior: Misbehavior,
        /// Its score, this included.
        score: u32,
    },
    /// An address is banned from now on. A connection to it ends.
    PeerBanned {
        /// The peer for which it was banned; `None` if the program banned an address or a subnet.
        peer_id: Option<Uuid>,
        /// Whom it covers, why, and for how long.
        ban: Ban,
    },
    /// A peer that dialled us is let in: its connection's own events follow. Not told of a connection that becomes a peer's second stream.
    InboundConnectionAccepted {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
    },
    /// A peer that dialled us is not let in, and its socket was closed without a word.
    InboundConnectionRejected {
        /// Where it is.
        address: SocketAddr,
        /// Why.
        reason: InboundRejectReason,
    },
    /// Peers can dial us from now on.
    ListenerStarted {
        /// Where; with the port that the system chose, if it did.
        address: SocketAddr,
    },
    /// Peers cannot dial us, because the address is not to be had.
    ListenerBindFailed {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system said.
        error: SystemError,
        /// After which pause it is tried again.
        retry_after: Duration,
    },
    /// This machine cannot dial or accept now. The operation is repeated after a pause of 100 ms to
    /// 30 s, and no peer is at fault.
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
    /// No seed has given an address. They are asked again.
    DiscoveryFailed {
        /// What became of each.
        failures: Vec<SeedFailure>,
        /// After which pause they are asked again.
        retry_after: Duration,
    },
    /// The store of peers could not do what it was asked for; the manager goes on with what it has in memory.
    StoreFailed {
        /// What the store said.
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
    /// The network, or at least a peer, follows a branch that is not the active chain of the manager.
    ///
    /// Emitted when a peer sends a branch that a checkpoint refuses, and when peers are on two
    /// branches of at least two blocks each that differ by the work of at most six blocks. Emitted
    /// once for each fork. A peer on a refused branch is disconnected with
    /// [`DisconnectReason::WrongChain`].
    ChainSplit {
        /// The height of the last common block.
        fork_height: u32,
        /// The peers that sent the branch that is not the active chain.
        peer_ids: Vec<Uuid>,
    },
    /// The tip of the followed chain did not change for
    /// [`ManagerConfig::stale_tip_timeout`](crate::ManagerConfig::stale_tip_timeout).
    ///
    /// Emitted once for each tip.
    TipStale {
        /// The time of the last change, or of the start if there was none.
        since: SystemTime,
    },
    /// A payload was too long to be kept, and was discarded while it arrived.
    PayloadDiscarded {
        /// The peer.
        peer_id: Uuid,
        /// Where it is.
        address: SocketAddr,
        /// The message's name.
        command: Command,
        /// The payload's length in bytes.
        len: u64,
    },
    /// A subscription did not take its events in time, and missed so many: this receiver's own if it is one of control events or of both
    /// kinds, or else one of messages alone, whose receiver cannot say it.
    Lagged {
        /// The subscription's name.
        subscription: Arc<str>,
        /// How many events it has missed since this was last said.
        missed: u64,
    },
    /// A subscription has ended, for all peers: its receiver gets what is in its queue, and then ends. What waited for a place in it is lost.
    SubscriptionEnded {
        /// The subscription's name.
        subscription: Arc<str>,
        /// Why.
        reason: SubscriptionEndReason,
    },
}

/// An operation that failed for a cause on this machine.
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

/// Why a peer that dialled us is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InboundRejectReason {
    /// Its address is banned.
    Banned(BanReason),
    /// Its address has as many connections with us as one may have.
    AddressLimit,
    /// Its address has as many handshakes going on as one may have.
    HandshakeLimit,
    /// There is no room, and as many are being turned away politely as may be.
    Capacity,
    /// The system has no thread for it.
    ThreadSpawnFailed,
}

impl fmt::Display for InboundRejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InboundRejectReason::Banned(reason) => write!(f, "it is banned: {reason}"),
            InboundRejectReason::AddressLimit => {
                f.write_str("its address has as many connections as one may have")
            }
            InboundRejectReason::HandshakeLimit => {
                f.write_str("its address has as many handshakes going on as one may have")
            }
            InboundRejectReason::Capacity => f.write_str("there is no room, and many are told so"),
            InboundRejectReason::ThreadSpawnFailed => f.write_str("there is no thread for it"),
        }
    }
}

/// Why a subscription ended that the program did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionEndReason {
    /// It took nothing for
    /// [`ConnectionConfig::subscriber_timeout`](crate::ConnectionConfig::subscriber_timeout), while a peer was not read for its sake.
    TooSlow,
}

impl fmt::Display for SubscriptionEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubscriptionEndReason::TooSlow => "it did not take its events in time",
        })
    }
}

impl ControlEvent {
    /// The event's name, without its content.
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

    /// The peer, if the event is about one.
    pub const fn peer(&self) -> Option<(Uuid, SocketAddr)> {
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
            ControlEvent::StreamRefused {
                address, refusal, ..
            } => write!(f, "{address}: one stream only: {refusal}"),
            ControlEvent::ConnectionRestarting {
                address,
                reason,
                after,
                ..
            } => {
                write!(f, "{address}: connection ended: {reason}; dialling again ")?;
                if after.is_zero() {
                    f.write_str("at once")
                } else {
                    write!(f, "in {after:.1?}")
                }
            }
            ControlEvent::ConnectionRejectedCapacity { address, .. } => {
                write!(f, "{address}: turned away, there is no room")
            }
            ControlEvent::ConnectionLost {
                address, reason, ..
            } => {
                write!(f, "{address}: connection lost: {reason}")
            }
            ControlEvent::ConnectionFailed {
                address, reason, ..
            } => {
                write!(f, "{address}: connection failed: {reason}")
            }
            ControlEvent::PeerMisbehavior {
                address,
                misbehavior,
                score,
                ..
            } => {
                write!(f, "{address}: misbehaviour: {misbehavior} (score {score})")
            }
            ControlEvent::PeerBanned { ban, .. } => write!(f, "{ban}"),
            ControlEvent::InboundConnectionAccepted { address, .. } => {
                write!(f, "{address}: let in")
            }
            ControlEvent::InboundConnectionRejected { address, reason } => {
                write!(f, "{address}: not let in: {reason}")
            }
            ControlEvent::ListenerStarted { address } => write!(f, "listening at {address}"),
            ControlEvent::ListenerBindFailed {
                address,
                error,
                retry_after,
            } => write!(
                f,
                "cannot listen at {address}: {error}; trying again in {retry_after:.1?}"
            ),
            ControlEvent::LocalFault { operation, error } => {
                write!(f, "local fault while {operation}: {error}")
            }
            ControlEvent::DiscoveryFailed {
                failures,
                retry_after,
            } => {
                f.write_str("no seed has given an address")?;
                for failure in failures {
                    write!(f, "; {failure}")?;
                }
                write!(f, "; trying again in {retry_after:?}")
            }
            ControlEvent::StoreFailed { error } => write!(f, "the store of peers: {error}"),
            ControlEvent::HeaderStoreFailed { error } => write!(f, "header store: {error}"),
            ControlEvent::ChainSplit {
                fork_height,
                peer_ids,
            } => write!(
                f,
                "chain split above height {fork_height}, {} peers on the other branch",
                peer_ids.len()
            ),
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
                write!(
                    f,
                    "{address}: a {command} of {len} bytes was too long to be kept"
                )
            }
            ControlEvent::Lagged {
                subscription,
                missed,
            } => write!(
                f,
                "the subscription {subscription} has missed {missed} events"
            ),
            ControlEvent::SubscriptionEnded {
                subscription,
                reason,
            } => write!(f, "the subscription {subscription} has ended: {reason}"),
        }
    }
}

/// What became of a seed that gave no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedFailure {
    /// The seed's name.
    pub seed: String,
    /// What went wrong; it names the seed as well.
    pub error: ResolveError,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

/// A message that a peer sent.
#[derive(Clone, Debug, PartialEq)]
pub struct BitcoinMessageEvent {
    /// The peer.
    pub peer_id: Uuid,
    /// The message.
    pub message: SharedMessage,
}

/// A message that several holders share: a clone is cheap, and reads as the [`Message`].
#[derive(Clone, Debug, PartialEq)]
pub struct SharedMessage(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    message: Message,
    payload_len: u64,
    /// The payload's memory, unless the message itself holds it.
    memory: Option<MemoryGuard>,
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        (&self.message, self.payload_len) == (&other.message, other.payload_len)
    }
}

impl SharedMessage {
    /// Shares a message whose payload had `payload_len` bytes on the wire.
    pub fn new(message: Message, payload_len: u64) -> Self {
        Self::with_memory(message, payload_len, None)
    }

    /// The same, holding the memory that the payload is counted with.
    pub(crate) fn with_memory(
        message: Message,
        payload_len: u64,
        memory: Option<MemoryGuard>,
    ) -> Self {
        Self(Arc::new(Shared {
            message,
            payload_len,
            memory,
        }))
    }

    /// The message, which is copied if somebody else shares it, what its payload had on the wire, and the memory that it is counted
    /// with.
    pub(crate) fn into_parts(self) -> (Message, u64, Option<MemoryGuard>) {
        match Arc::try_unwrap(self.0) {
            Ok(shared) => (shared.message, shared.payload_len, shared.memory),
            Err(shared) => (shared.message.clone(), shared.payload_len, None),
        }
    }

    /// The length of the payload as it came, in bytes, without the frame's header.
    pub fn payload_len(&self) -> u64 {
        self.0.payload_len
    }
}

impl Deref for SharedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0.message
    }
}

/// Either kind of event, for a receiver that wants both in the order in which they were sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something happened to a connection.
    Control(ControlEvent),
    /// A peer sent a message.
    Message(BitcoinMessageEvent),
}
