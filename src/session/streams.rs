//! The streams of a peer: assignment of messages, and reasons of missing streams.

use std::time::Duration;

use super::DisconnectReason;
use crate::system_error::SystemError;
use crate::wire::{DecodeError, Reject, RejectCode};

/// The reason why a second stream could not be opened. The connection continues with one stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "error", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum StreamSetupError {
    /// The peer did not return our association id: it does not support further streams.
    #[error("association ID not echoed by peer")]
    AssociationNotEchoed,
    /// The peer supports none of the offered policies.
    #[error("no common stream policy")]
    NoCommonPolicy,
    /// The second connection could not be bound to the local address of the first one, from which
    /// the node requires it to be opened.
    #[error("binding to the local address of the first connection failed")]
    BindFailed(#[source] SystemError),
    /// The second connection could not be opened.
    #[error("second connection could not be opened")]
    ConnectFailed(#[source] Box<DisconnectReason>),
    /// The peer rejected the stream.
    #[error("stream rejected by peer: {0}")]
    Rejected(Box<Reject>),
    /// The peer closed the second connection without an answer.
    #[error("connection closed by peer before streamack was received")]
    Closed,
    /// The peer did not answer within the timeout.
    #[error("streamack timed out after {after:?}")]
    TimedOut {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The peer sent another message than the requested `streamack`, a `verack` or a `protoconf`,
    /// or more than 8 of the latter two.
    #[error("expected streamack, got another message")]
    UnexpectedReply,
    /// A thread could not be spawned for the stream.
    #[error("spawning a thread failed")]
    ThreadSpawnFailed,
}

/// The error of an invalid `createstrm` (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
/// `ProcessCreateStreamMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// It cannot be decoded.
    Malformed,
    /// The stream does not exist, or no policy uses it.
    TypeOutOfRange,
    /// The association id is null.
    NullAssociation,
    /// No peer has the association id.
    UnknownAssociation,
    /// The peer with the association id has another address.
    AddressMismatch,
    /// The peer with the association id already has a stream of this type.
    AlreadyOpen,
    /// The policy does not exist.
    UnknownPolicy,
    /// A `version` was already exchanged on the connection, so it cannot become a stream.
    NotFirst,
}

impl StreamError {
    /// Returns the error of a `createstrm` that cannot be decoded.
    pub(crate) fn from_decode(error: &DecodeError) -> Self {
        match error {
            DecodeError::InvalidValue {
                field: "stream type",
                ..
            } => StreamError::TypeOutOfRange,
            _ => StreamError::Malformed,
        }
    }

    /// Returns the `reject` that is sent to the peer.
    pub(crate) fn reject(self) -> Reject {
        let (code, text) = match self {
            StreamError::Malformed => (RejectCode::STREAM_SETUP, "Badly formatted message"),
            StreamError::TypeOutOfRange => (RejectCode::STREAM_SETUP, "StreamType out of range"),
            StreamError::NullAssociation => (RejectCode::STREAM_SETUP, "NULL association ID"),
            StreamError::UnknownAssociation => (
                RejectCode::STREAM_SETUP,
                "No node found with association ID",
            ),
            StreamError::AddressMismatch => (
                RejectCode::STREAM_SETUP,
                "Attempt to move stream between peers with different IPs",
            ),
            StreamError::AlreadyOpen => (
                RejectCode::STREAM_SETUP,
                "Attempt to overwrite existing stream in move",
            ),
            StreamError::UnknownPolicy => (RejectCode::STREAM_SETUP, "Unknown stream policy name"),
            StreamError::NotFirst => (RejectCode::NONSTANDARD, "Invalid createstream scenario"),
        };
        Reject::new("createstrm", code, text)
    }

    /// Returns the reason for which the connection is closed.
    pub(crate) fn reason(self) -> DisconnectReason {
        match self {
            StreamError::AddressMismatch => DisconnectReason::StreamAddressMismatch,
            _ => DisconnectReason::StreamRefused,
        }
    }
}
