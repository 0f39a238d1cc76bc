//! Every way in which a connection can end.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::system_error::SystemError;
use crate::wire::{Command, DecodeError, FrameError, MagicMismatch, Reject, Services, WireString};

/// Why a connection ended, or could not begin. The list is closed: there is no other end.
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
        /// The name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The peer's name has no address.
    #[error("the name {name:?} could not be resolved: {detail}")]
    NameNotResolved {
        /// The name.
        name: String,
        /// What the resolver said.
        detail: String,
    },
    /// The peer's name was not resolved in time.
    #[error("the name {name:?} was not resolved within {after:?}")]
    ResolveTimeout {
        /// The name.
        name: String,
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// Nobody listens at the address.
    #[error("the connection was refused: nobody listens there")]
    ConnectRefused,
    /// The host did not answer in time.
    #[error("the host did not answer within {after:?}")]
    ConnectTimeout {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// The host cannot be reached.
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
    /// The peer has no room for us (`reject` with code 0x44).
    #[error("the peer has no room: {0}")]
    PeerAtCapacity(Box<Reject>),
    /// The peer refused our `version`, and closed the connection.
    #[error("the peer refused our version: {0}")]
    RejectedByPeer(Box<Reject>),
    /// The handshake was not complete in time.
    #[error("the handshake was not complete within {after:?}: the peer sent no {missing}")]
    HandshakeTimeout {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
        /// The message that had not been received.
        missing: AwaitedMessage,
    },
    /// The peer speaks a protocol that is too old.
    #[error("the peer speaks protocol version {got}, at least {minimum} is expected")]
    VersionTooOld {
        /// What it speaks.
        got: i32,
        /// What we ask for.
        minimum: i32,
    },
    /// The peer does not serve what we need.
    #[error("the peer serves {got}, {required} is expected")]
    ServicesMissing {
        /// What it serves.
        got: Services,
        /// What we need.
        required: Services,
    },
    /// The connection leads back to this program.
    ///
    /// The received `version` carries a nonce that this program has sent: on this very connection,
    /// as an echo server returns it, or on another one.
    #[error("the connection leads to ourselves")]
    SelfConnection,
    /// The peer's `version` could not be read.
    #[error("the peer's version is malformed: {0}")]
    MalformedVersion(DecodeError),
    /// The peer's `protoconf` could not be read, or announces too little.
    #[error("the peer's protoconf is malformed: {0}")]
    MalformedProtoconf(DecodeError),
    /// The peer sent a second `protoconf`.
    #[error("the peer sent a second protoconf")]
    DuplicateProtoconf,
    /// The peer asked for a stream that we do not offer, or in a way that cannot be.
    #[error("the peer asked for a stream that is not offered")]
    StreamRefused,
    /// The peer sent a `streamack` that does not answer a `createstrm`.
    #[error("the peer sent a streamack out of place")]
    UnexpectedStreamAck,
    /// The peer sent back another association ID than ours.
    #[error("the peer sent back another association ID than ours")]
    AssociationMismatch,
    /// The peer asked for a stream of an association that another address has.
    #[error("the peer asked for a stream of another address's association")]
    StreamAddressMismatch,
    /// The connection has become a stream of a peer that is connected already, and is told of under that one's identity.
    #[error("the connection has become a stream of a peer that is connected already")]
    AttachedAsStream,
    /// The peer announced an object of a type that is never announced, only asked for.
    #[error("the peer announced an object of type {kind}, only 1 (tx) and 2 (block) are expected")]
    BadInventoryType {
        /// The type's number.
        kind: u32,
    },
    /// The peer sent a bloom filter, which we have not announced to serve, and is too old to know that this is needed.
    #[error("the peer sent {command}, and bloom filters are not served")]
    BloomFilterNotSupported {
        /// The message's name.
        command: Command,
    },
    /// The peer reset the connection.
    #[error("the peer reset the connection")]
    ConnectionReset,
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    ConnectionClosed,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(
        #[cfg_attr(
            feature = "serde",
            serde(serialize_with = "crate::serde_with::io_kind")
        )]
        io::ErrorKind,
    ),
    /// The peer did not answer a ping in time.
    #[error("a ping was not answered within {after:?}")]
    PingTimeout {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// The peer sent nothing for too long.
    #[error("nothing came for {after:?}")]
    IdleTimeout {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// A message began to arrive and did not get on.
    #[error("a message of {len} bytes stalled with {missing} bytes missing")]
    ReadStall {
        /// The payload's length in bytes.
        len: u64,
        /// How many of them had not come.
        missing: u64,
    },
    /// The peer did not send what was asked for, and holds up the chain.
    #[error("a request was not answered within {after:?}")]
    ResponseTimeout {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// The peer does not read what we send.
    #[error("the peer does not read what we send: {waiting} bytes are waiting")]
    SlowReader {
        /// How many bytes were waiting to be sent.
        waiting: u64,
    },
    /// There was no memory for what the peer sends.
    #[error("the budget for payloads had no room")]
    PayloadMemoryExhausted,
    /// The program gave up a block that it was reading.
    #[error("the program gave up a block that it was reading")]
    BlockReaderAbandoned,
    /// The peer's misbehaviour reached the threshold.
    #[error("the peer's misbehaviour reached a score of {score}")]
    Misbehaved {
        /// The score.
        score: u32,
    },
    /// A frame's header claims more than its command may have.
    #[error("{command}: the header claims {len} bytes, at most {limit} are allowed")]
    FrameTooLarge {
        /// The command, as it came.
        command: WireString,
        /// The claimed length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The peer speaks another protocol, or that of another network.
    #[error("{0}")]
    WrongMagic(MagicMismatch),
    /// The [policy for user agents](super::UserAgentPolicy) does not accept the peer's user agent.
    #[error("user agent {user_agent:?} not accepted: {why}")]
    UserAgentRejected {
        /// What it calls itself.
        user_agent: WireString,
        /// The rule that it breaks, in words.
        why: String,
    },
    /// The peer follows another chain.
    #[error("the peer follows another chain")]
    WrongChain,
    /// There is a connection to this peer already.
    #[error("there is a connection to this peer already")]
    Duplicate,
    /// The peer's address was banned for another reason than what happened on this connection.
    #[error("the peer's address was banned")]
    AddressBanned,
    /// We have no room for the peer.
    #[error("we have no room for the peer")]
    AtCapacity,
    /// The program shuts down.
    #[error("the program shuts down")]
    Shutdown,
    /// The program ended the connection.
    #[error("the program ended the connection")]
    Requested,
    /// A mistake of this library: a panic in the peer's thread.
    #[error("a mistake of this library ended the connection")]
    InternalError,
}

/// The message of the peer that a handshake was waiting for.
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
    /// Whether the peer, or the network, has cut the connection: what came before can still be read.
    pub(crate) const fn is_cut(&self) -> bool {
        matches!(
            self,
            DisconnectReason::ConnectionReset | DisconnectReason::ConnectionClosed
        )
    }
}

impl From<FrameError> for DisconnectReason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::WrongMagic(foreign) => DisconnectReason::WrongMagic(foreign),
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
