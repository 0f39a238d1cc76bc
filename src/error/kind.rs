//! The parties that cause errors.

use std::fmt;

use super::Error;
use crate::session::DisconnectReason;

/// The party that caused an [`Error`]. Displays as a word such as `peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer: it violated a rule of the protocol.
    Peer,
    /// The peer is not suitable: it is too old, full, of another kind, or follows another network
    /// or chain.
    Incompatible,
    /// The network: the connection was lost or could not be opened.
    Network,
    /// A timeout expired.
    Timeout,
    /// The caller: an invalid value, a message that must not be sent, or an action of its own.
    Usage,
    /// This machine, or a bug in this library.
    System,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Peer => "peer",
            ErrorKind::Incompatible => "incompatible peer",
            ErrorKind::Network => "network",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Usage => "usage",
            ErrorKind::System => "system",
        })
    }
}

impl Error {
    /// Returns whether another attempt may succeed, immediately or after a pause.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Error::Disconnected { reason, .. } => reason.is_retryable(),
            Error::Timeout { .. }
            | Error::TooManyRequests { .. }
            | Error::NoPeers
            | Error::FetchFailed { .. }
            | Error::TooFewPeers { .. }
            | Error::ConnectionLimit { .. }
            | Error::Io { .. } => true,
            _ => false,
        }
    }

    /// Returns whether the network caused the error, rather than the caller or the peer.
    pub const fn is_network_failure(&self) -> bool {
        matches!(self, Error::Disconnected { reason, .. } if reason.is_network_failure())
    }

    /// Returns the reason if the error leads to a ban of the peer's address.
    pub const fn ban_reason(&self) -> Option<&DisconnectReason> {
        match self {
            Error::Disconnected { reason, .. } if reason.is_ban() => Some(reason),
            _ => None,
        }
    }

    /// Returns the party that caused the error.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Error::Config(_)
            | Error::PortMismatch { .. }
            | Error::Send { .. }
            | Error::PayloadTooLarge { .. }
            | Error::AlreadyRequested { .. }
            | Error::BlockAlreadyRead { .. }
            | Error::TooManyRequests { .. }
            | Error::UnknownPeer { .. }
            | Error::ConnectionLimit { .. }
            | Error::TooManyManualPeers { .. }
            | Error::TooManyTransactions { .. }
            | Error::InvalidTransaction { .. }
            | Error::Banned { .. }
            | Error::ScopedAddress(_)
            | Error::Ban(_)
            | Error::AlreadyStarted
            | Error::NotRunning => ErrorKind::Usage,
            Error::NotSupportedByPeer { .. } => ErrorKind::Incompatible,
            Error::NoPeers | Error::FetchFailed { .. } => ErrorKind::Network,
            Error::Disconnected { reason, .. } => kind_of(reason),
            Error::Timeout { .. } | Error::TooFewPeers { .. } | Error::ShutdownTimedOut { .. } => {
                ErrorKind::Timeout
            }
            Error::NotFound { .. } | Error::InvalidBlock { .. } => ErrorKind::Peer,
            Error::Io { .. } | Error::Store(_) | Error::HeaderStore(_) => ErrorKind::System,
        }
    }
}

/// Returns the party that caused the end of a connection.
const fn kind_of(reason: &DisconnectReason) -> ErrorKind {
    use DisconnectReason::*;
    match reason {
        _ if reason.is_network_failure() => ErrorKind::Network,
        Misbehaved { .. }
        | FrameTooLarge { .. }
        | MalformedVersion(_)
        | MalformedProtoconf(_)
        | DuplicateProtoconf
        | StreamRefused
        | UnexpectedStreamAck
        | AssociationMismatch
        | StreamAddressMismatch
        | InvalidInventoryType { .. }
        | BloomFilterNotSupported { .. } => ErrorKind::Peer,
        PeerAtCapacity(_)
        | RejectedByPeer(_)
        | VersionTooOld { .. }
        | ServicesMissing { .. }
        | SelfConnection
        | WrongMagic(_)
        | UserAgentRejected { .. }
        | WrongChain => ErrorKind::Incompatible,
        HandshakeTimeout { .. }
        | PingTimeout { .. }
        | IdleTimeout { .. }
        | ReadStall { .. }
        | ResponseTimeout { .. }
        | SlowReader { .. } => ErrorKind::Timeout,
        InvalidName { .. }
        | Duplicate
        | AddressBanned
        | AtCapacity
        | Shutdown
        | Requested
        | BlockReaderAbandoned
        | PayloadMemoryExhausted => ErrorKind::Usage,
        _ => ErrorKind::System,
    }
}
