//! Failures of requests.

use crate::error::Error;
use crate::session::DisconnectReason;
use crate::wire::BlockHash;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer does not have the block.
    NotFound(BlockHash),
    /// The answer arrived and was discarded: its length, and the maximum length that is kept.
    TooLarge { bytes: u64, limit: u64 },
    /// The connection has ended.
    Ended(DisconnectReason),
}

impl Failure {
    /// Returns the error for the caller. `peer` is the name of the peer.
    pub(in crate::connection) fn into_error(self, peer: String) -> Error {
        match self {
            Failure::NotFound(hash) => Error::NotFound { peer, hash },
            Failure::TooLarge { bytes, limit } => Error::PayloadTooLarge { peer, bytes, limit },
            Failure::Ended(reason) => Error::Disconnected { peer, reason },
        }
    }
}

/// Why a request was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connection) enum NotAsked {
    /// The connection has ended.
    Ended(DisconnectReason),
    /// The maximum number of requests is open.
    TooMany { limit: usize },
    /// The request is possible once per connection and was already made.
    Already,
}

impl NotAsked {
    /// Returns the error for the caller. `peer` is the name of the peer.
    pub(in crate::connection) fn into_error(self, peer: String) -> Error {
        match self {
            NotAsked::Ended(reason) => Error::Disconnected { peer, reason },
            NotAsked::TooMany { limit } => Error::TooManyRequests { peer, limit },
            NotAsked::Already => Error::AlreadyRequested { peer },
        }
    }
}
