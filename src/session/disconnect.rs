//! The reasons for which connections end.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::system_error::SystemError;
use crate::wire::{Command, DecodeError, FrameError, MagicMismatch, Reject, Services, WireString};

/// The reason why a connection was closed or could not be opened. The list is exhaustive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "reason", content = "detail", rename_all = "snake_case")
)]
pub enum DisconnectReason {
    /// The name of the peer is neither an address nor a host name. No lookup was made.
    #[error("invalid peer name {name:?}: {detail}")]
    InvalidName {
        /// The name of the peer.
        name: String,
        /// The violated rule.
        detail: String,
    },
    /// The name of the peer could not be resolved.
    #[error("the name {name:?} could not be resolved: {detail}")]
    NameNotResolved {
        /// The name of the peer.
        name: String,
        /// The error of the resolver.
        detail: String,
    },
    /// Resolving the name of the peer timed out.
    #[error("the name {name:?} was not resolved within {after:?}")]
    ResolveTimeout {
        /// The name of the peer.
        name: String,
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The connection was refused: no process listens at the address.
    #[error("the connection was refused: nobody listens there")]
    ConnectRefused,
    /// The connection attempt timed out.
    #[error("the host did not answer within {after:?}")]
    ConnectTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The host is unreachable.
    #[error("the host cannot be reached: {0}")]
    Unreachable(SystemError),
    /// This machine could not dial: it is out of descriptors or memory, has no route or no usable
    /// local address, or does not permit the connection. The peer is not at fault.
    #[error("local fault while dialing: {0}")]
    LocalFault(SystemError),
    /// The peer closed or reset the connection before the handshake was complete.
    ///
    /// If it sent no `version`, these are the usual causes of a node that was dialed:
    /// - It belongs to another network, whose magic differs. Nodes then also ban the address of
    ///   this host for 24 hours.
    /// - It has banned the address of this host.
    /// - It has no free slot.
    #[error("the peer closed the connection before it sent a {missing}{}", missing.usual_causes())]
    ClosedDuringHandshake {
        /// The message that had not been received.
        missing: AwaitedMessage,
    },
    /// The connection limit of the peer is reached (`reject` with code 0x44).
    #[error("the peer has no room: {0}")]
    PeerAtCapacity(Box<Reject>),
    /// The peer rejected our `version` and closed the connection.
    #[error("the peer refused our version: {0}")]
    RejectedByPeer(Box<Reject>),
    /// The handshake timed out.
    #[error("the handshake was not complete within {after:?}: the peer sent no {missing}")]
    HandshakeTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
        /// The message that had not been received.
        missing: AwaitedMessage,
    },
    /// The protocol version of the peer is below the minimum.
    #[error("the peer speaks protocol version {got}, at least {minimum} is expected")]
    VersionTooOld {
        /// The protocol version of the peer.
        got: i32,
        /// The configured minimum.
        minimum: i32,
    },
    /// The peer does not have the required services.
    #[error("the peer serves {got}, {required} is expected")]
    ServicesMissing {
        /// The services of the peer.
        got: Services,
        /// The required services.
        required: Services,
    },
    /// The connection leads back to this process.
    ///
    /// The received `version` carries a nonce that this process has sent: on this very connection,
    /// as an echo server returns it, or on another one.
    #[error("the connection leads to ourselves")]
    SelfConnection,
    /// The peer's `version` could not be decoded.
    #[error("the peer's version is malformed: {0}")]
    MalformedVersion(DecodeError),
    /// The peer's `protoconf` could not be decoded, or announces less than 1 MiB.
    #[error("the peer's protoconf is malformed: {0}")]
    MalformedProtoconf(DecodeError),
    /// The peer sent a second `protoconf`.
    #[error("the peer sent a second protoconf")]
    DuplicateProtoconf,
    /// The peer requested a stream that is not offered, or sent an invalid request.
    #[error("the peer asked for a stream that is not offered")]
    StreamRefused,
    /// The peer sent a `streamack` that answers no `createstrm`.
    #[error("the peer sent a streamack out of place")]
    UnexpectedStreamAck,
    /// The peer returned another association id than ours.
    #[error("the peer sent back another association ID than ours")]
    AssociationMismatch,
    /// The peer requested a stream of an association that belongs to another address.
    #[error("the peer asked for a stream of another address's association")]
    StreamAddressMismatch,
    /// The connection was attached as a stream to a peer that is already connected. Its events are
    /// emitted under the id of that peer.
    #[error("the connection has become a stream of a peer that is connected already")]
    AttachedAsStream,
    /// The peer announced an object of a type that must not be announced, only requested.
    #[error("the peer announced an object of type {kind}, only 1 (tx) and 2 (block) are expected")]
    InvalidInventoryType {
        /// The number of the type.
        kind: u32,
    },
    /// The peer sent a Bloom filter, but this side does not offer that service. The peer's protocol
    /// version predates the rule, so it is not banned.
    #[error("the peer sent {command}, and bloom filters are not served")]
    BloomFilterNotSupported {
        /// The command of the message.
        command: Command,
    },
    /// The peer reset the connection.
    #[error("the peer reset the connection")]
    ConnectionReset,
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    ConnectionClosed,
    /// An operation on the socket failed.
    #[error("the socket failed: {0}")]
    Io(
        #[cfg_attr(
            feature = "serde",
            serde(serialize_with = "crate::serde_util::io_kind")
        )]
        io::ErrorKind,
    ),
    /// A ping was not answered within the timeout.
    #[error("a ping was not answered within {after:?}")]
    PingTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// No data was received within the idle timeout.
    #[error("nothing came for {after:?}")]
    IdleTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The transfer of a received message stalled.
    #[error("a message of {len} bytes stalled with {missing} bytes missing")]
    ReadStall {
        /// The length of the payload in bytes.
        len: u64,
        /// The number of missing bytes.
        missing: u64,
    },
    /// The peer did not respond to a request on which the synchronization of the chain depends.
    #[error("a request was not answered within {after:?}")]
    ResponseTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The peer reads more slowly than the send queue and its timeout allow.
    #[error("the peer does not read what we send: {waiting} bytes are waiting")]
    SlowReader {
        /// The number of unsent bytes.
        waiting: u64,
    },
    /// The payload memory budget had no capacity for the peer within the timeout.
    #[error("the budget for payloads had no room")]
    PayloadMemoryExhausted,
    /// The application dropped the reader of a block before its end. The protocol cannot cancel a
    /// transfer.
    #[error("the program gave up a block that it was reading")]
    BlockReaderAbandoned,
    /// The misbehavior score of the peer reached the threshold.
    #[error("the peer's misbehaviour reached a score of {score}")]
    Misbehaved {
        /// The score of the peer.
        score: u32,
    },
    /// The header of a frame claims a longer payload than its command allows.
    #[error("{command}: the header claims {len} bytes, at most {limit} are allowed")]
    FrameTooLarge {
        /// The command, as received.
        command: WireString,
        /// The claimed length in bytes.
        len: u64,
        /// The maximum length in bytes.
        limit: u64,
    },
    /// The peer uses another protocol, or belongs to another network.
    #[error("{0}")]
    WrongMagic(MagicMismatch),
    /// The [policy for user agents](super::UserAgentPolicy) does not accept the peer's user agent.
    #[error("user agent {user_agent:?} not accepted: {rule}")]
    UserAgentRejected {
        /// The user agent of the peer.
        user_agent: WireString,
        /// The violated rule, as text.
        rule: String,
    },
    /// The peer follows another chain.
    #[error("the peer follows another chain")]
    WrongChain,
    /// Another connection to this peer exists.
    #[error("there is a connection to this peer already")]
    Duplicate,
    /// The address of the peer was banned for a reason other than the events of this connection.
    #[error("the peer's address was banned")]
    AddressBanned,
    /// The connection limit of this side is reached.
    #[error("we have no room for the peer")]
    AtCapacity,
    /// The owner of the connection shuts down.
    #[error("the program shuts down")]
    Shutdown,
    /// The application closed the connection.
    #[error("the program ended the connection")]
    Requested,
    /// A bug in this library, such as a panic in the thread of the peer.
    #[error("a mistake of this library ended the connection")]
    InternalError,
}

/// The message of the peer that an incomplete handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AwaitedMessage {
    /// The peer's `version`.
    Version,
    /// The peer's `verack`, after its `version`.
    Verack,
}

impl AwaitedMessage {
    /// Returns the usual causes of a close at this point, as the end of a sentence.
    const fn usual_causes(self) -> &'static str {
        match self {
            AwaitedMessage::Version => {
                "; a dialed node may belong to another network, have banned this host, or be full"
            }
            AwaitedMessage::Verack => "",
        }
    }
}

impl fmt::Display for AwaitedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AwaitedMessage::Version => "version",
            AwaitedMessage::Verack => "verack",
        })
    }
}

impl DisconnectReason {
    /// Returns whether the peer or the network closed the connection. Data received before can
    /// still be read.
    pub(crate) const fn is_peer_close(&self) -> bool {
        matches!(
            self,
            DisconnectReason::ConnectionReset | DisconnectReason::ConnectionClosed
        )
    }
}

impl From<FrameError> for DisconnectReason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::MagicMismatch(foreign) => DisconnectReason::WrongMagic(foreign),
            FrameError::TooLong {
                command,
                len,
                limit,
            } => DisconnectReason::FrameTooLarge {
                command,
                len,
                limit,
            },
        }
    }
}
