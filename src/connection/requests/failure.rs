//! How a request ends without what was asked for.

use crate::error::Error;
use crate::session::DisconnectReason;
use crate::wire::BlockHash;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The peer does not have the block.
    NotFound(BlockHash),
    /// The answer arrived and was discarded: its length, and the maximum length of an answer that is kept.
    TooLarge { bytes: u64, limit: u64 },
    /// The connection has ended.
    Ended(DisconnectReason),
}

impl Failure {
    /// The error for the program: of which peer.
    pub(in crate::connection) fn into_error(self, peer: String) -> Error {
        match self {
            Failure::NotFound(hash) => Error::NotFound { peer, hash },
            Failure::TooLarge { bytes, limit } => Error::PayloadTooLarge { peer, bytes, limit },
            Failure::Ended(reason) => Error::Disconnected { peer, reason },
        }
    }
}

/// Why a question was not even taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connection) enum NotAsked {
    /// The connection has ended.
    Ended(DisconnectReason),
    /// So many are open that there is no room.
    TooMany { limit: usize },
    /// It can be asked once, and has been.
    Already,
}

impl NotAsked {
    /// The error for the program: of which peer.
    pub(in crate::connection) fn into_error(self, peer: String) -> Error {
        match self {
            NotAsked::Ended(reason) => Error::Disconnected { peer, reason },
            NotAsked::TooMany { limit } => Error::TooManyRequests { peer, limit },
            NotAsked::Already => Error::AlreadyRequested { peer },
        }
    }
}
