//! The reasons for which connections end.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::system_error::SystemError;
use crate::wire::{Command, DecodeError, FrameError, MagicMismatch, Reject, Services, WireString};

/// The reason why a connection was closed or could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "reason", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
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
    #[error("name {name:?} could not be resolved: {detail}")]
    NameNotResolved {
        /// The name of the peer.
        name: String,
        /// The error of the resolver.
        detail: String,
    },
    /// Resolving the name of the peer timed out.
    #[error("resolving name {name:?} timed out after {after:?}")]
    ResolveTimeout {
        /// The name of the peer.
        name: String,
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The connection was refused: no process listens at the address.
    #[error("connection refused")]
    ConnectRefused,
    /// The connection attempt timed out.
    #[error("connection attempt timed out after {after:?}")]
    ConnectTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The host is unreachable.
    #[error("host is unreachable")]
    Unreachable(#[source] SystemError),
    /// The dial failed because of this host: exhausted descriptors or memory, no route, no usable
    /// local address, or no permission. The peer is not at fault.
    #[error("local fault while dialing")]
    LocalFault(#[source] SystemError),
    /// The peer closed or reset the connection before the handshake was complete.
    ///
    /// If it sent no `version`, these are the usual causes of a node that was dialed:
    /// - It belongs to another network, whose magic differs. Nodes then also ban the address of
    ///   this host for 24 hours.
    /// - It has banned the address of this host.
    /// - It has no free slot.
    #[error("connection closed by peer before {missing} was received{}", missing.usual_causes())]
    ClosedDuringHandshake {
        /// The message that had not been received.
        missing: AwaitedMessage,
    },
    /// The connection limit of the peer is reached (`reject` with code 0x44).
    #[error("connection limit of peer reached: {0}")]
    PeerAtCapacity(Box<Reject>),
    /// The peer rejected our `version` and closed the connection.
    #[error("version rejected by peer: {0}")]
    RejectedByPeer(Box<Reject>),
    /// The handshake timed out.
    #[error("handshake timed out after {after:?}: no {missing} received")]
    HandshakeTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
        /// The message that had not been received.
        missing: AwaitedMessage,
    },
    /// The protocol version of the peer is below the minimum.
    #[error("expected protocol version {minimum} or later, got {got}")]
    VersionTooOld {
        /// The protocol version of the peer.
        got: i32,
        /// The configured minimum.
        minimum: i32,
    },
    /// The peer does not have the required services.
    #[error("expected services {required}, got {got}")]
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
    #[error("connection leads back to this process")]
    SelfConnection,
    /// The peer's `version` could not be decoded.
    #[error("version is malformed")]
    MalformedVersion(#[source] DecodeError),
    /// The peer's `protoconf` could not be decoded, or announces less than 1 MiB.
    #[error("protoconf is malformed")]
    MalformedProtoconf(#[source] DecodeError),
    /// The peer sent a second `protoconf`.
    #[error("protoconf was already received")]
    DuplicateProtoconf,
    /// The peer requested a stream that is not offered, or sent an invalid request.
    #[error("requested stream is not offered")]
    StreamRefused,
    /// The peer sent a `streamack` that answers no `createstrm`.
    #[error("unexpected streamack")]
    UnexpectedStreamAck,
    /// The peer returned another association id than ours.
    #[error("association ID does not match")]
    AssociationMismatch,
    /// The peer requested a stream of an association that belongs to another address.
    #[error("requested stream belongs to another address")]
    StreamAddressMismatch,
    /// The peer announced an object of a type that must not be announced, only requested.
    #[error("expected an announcement of type 1 (tx) or 2 (block), got type {kind}")]
    InvalidInventoryType {
        /// The number of the type.
        kind: u32,
    },
    /// The peer sent a Bloom filter, but this side does not offer that service. The peer's protocol
    /// version predates the rule, so it is not banned.
    #[error("{command} received, bloom filters are not supported")]
    BloomFilterNotSupported {
        /// The command of the message.
        command: Command,
    },
    /// The peer reset the connection.
    #[error("connection reset by peer")]
    ConnectionReset,
    /// The peer closed the connection.
    #[error("connection closed by peer")]
    ConnectionClosed,
    /// An operation on the socket failed.
    #[error("socket failed: {0}")]
    Io(
        #[cfg_attr(
            feature = "serde",
            serde(serialize_with = "crate::serde_util::io_kind")
        )]
        io::ErrorKind,
    ),
    /// A ping was not answered within the timeout.
    #[error("ping timed out after {after:?}")]
    PingTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// No data was received within the idle timeout.
    #[error("connection idle for {after:?}")]
    IdleTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The transfer of a received message stalled.
    #[error("message of {len} bytes stalled with {missing} bytes missing")]
    ReadStall {
        /// The length of the payload in bytes.
        len: u64,
        /// The number of missing bytes.
        missing: u64,
    },
    /// The peer did not respond to a request on which the synchronization of the chain depends.
    #[error("response timed out after {after:?}")]
    ResponseTimeout {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The peer reads more slowly than the send queue and its timeout allow.
    #[error("peer reads too slowly: {waiting} bytes queued")]
    SlowReader {
        /// The number of unsent bytes.
        waiting: u64,
    },
    /// The peer reached its limit of payload memory and waited for its timeout, or another peer
    /// did, and this one held the most shared memory by incomplete payloads. See
    /// [`PayloadMemory`](crate::PayloadMemory).
    #[error("payload memory exhausted")]
    PayloadMemoryExhausted,
    /// The application dropped the reader of a block before its end. The protocol cannot cancel a
    /// transfer.
    #[error("block reader was dropped before the end of the block")]
    BlockReaderAbandoned,
    /// The misbehavior score of the peer reached the threshold.
    #[error("misbehavior score {score} reached the ban threshold")]
    Misbehaved {
        /// The score of the peer.
        score: u32,
    },
    /// The header of a frame claims a longer payload than its command allows.
    #[error("{command}: expected a payload of at most {limit} bytes, got {len}")]
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
    #[error("peer follows another chain")]
    WrongChain,
    /// Another connection to this peer exists.
    #[error("already connected to this peer")]
    Duplicate,
    /// The address of the peer was banned for a reason other than the events of this connection.
    #[error("address is banned")]
    AddressBanned,
    /// The connection limit of this side is reached.
    #[error("connection limit reached")]
    AtCapacity,
    /// The owner of the connection shuts down.
    #[error("shutting down")]
    Shutdown,
    /// The application closed the connection.
    #[error("closed by the application")]
    Requested,
    /// A bug in this library, such as a panic in the thread of the peer.
    #[error("internal error")]
    InternalError,
}

/// The message of the peer that an incomplete handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
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
                "; the node may belong to another network, have banned this host, or be at capacity"
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::session::{Misbehavior, SendError, StreamSetupError};

    #[test]
    fn cause_is_the_source_and_not_repeated() {
        let decode = DecodeError::SizeTooLarge {
            field: "user agent",
            value: 5_000_000_000,
        };
        let system = SystemError::from(io::Error::from_raw_os_error(113));
        let command = Command::new("version");
        let refused = DisconnectReason::ConnectRefused;
        let errors: [(&dyn Error, &str); 7] = [
            (
                &DisconnectReason::Unreachable(system),
                "host is unreachable",
            ),
            (
                &DisconnectReason::LocalFault(system),
                "local fault while dialing",
            ),
            (
                &DisconnectReason::MalformedVersion(decode.clone()),
                "version is malformed",
            ),
            (
                &Misbehavior::Malformed {
                    command,
                    error: decode.clone(),
                },
                "version is malformed",
            ),
            (
                &SendError::Malformed {
                    command,
                    error: decode,
                },
                "version cannot be decoded by a receiver",
            ),
            (
                &StreamSetupError::BindFailed(system),
                "binding to the local address of the first connection failed",
            ),
            (
                &StreamSetupError::ConnectFailed(Box::new(refused)),
                "second connection could not be opened",
            ),
        ];
        for (error, text) in errors {
            assert_eq!(error.to_string(), text);
            let source = error.source().unwrap().to_string();
            assert!(!text.contains(&source), "{text}: {source}");
        }
        assert!(DisconnectReason::ConnectionClosed.source().is_none());
    }
}
