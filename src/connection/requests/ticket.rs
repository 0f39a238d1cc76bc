//! The ends of an open request: the ticket of its caller and the responder in the table.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::Error;
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, Message};

/// The caller's end of an open request.
#[derive(Debug)]
pub(in crate::connection) struct Ticket<T> {
    /// The id of the request. Later requests have higher ids.
    pub(in crate::connection) id: u64,
    /// Receives the answer, once.
    pub(in crate::connection) answer: Receiver<Result<T, Failure>>,
}

/// Delivers the answer. The answer is dropped if the caller has timed out.
#[derive(Debug)]
pub(in crate::connection) struct Responder<T>(Sender<Result<T, Failure>>);

impl<T> Responder<T> {
    pub(in crate::connection) fn answer(self, answer: Result<T, Failure>) {
        let _ = self.0.try_send(answer);
    }

    /// Fails the request with the reason of the close.
    pub(super) fn close(self, reason: &DisconnectReason) {
        self.answer(Err(Failure::Ended(reason.clone())));
    }
}

/// A request that was entered into the table, and the messages to send for it: all of them in this
/// order, over the stream of the first one.
pub(in crate::connection) type Opened<T> = (Ticket<T>, Vec<Message>);

pub(super) fn pair<T>(id: u64) -> (Ticket<T>, Responder<T>) {
    let (sender, answer) = bounded(1);
    (Ticket { id, answer }, Responder(sender))
}

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
pub(in crate::connection) enum RequestError {
    /// The connection has ended.
    Ended(DisconnectReason),
    /// The maximum number of requests is open.
    TooMany { limit: usize },
    /// The request is possible once per connection and was already made.
    Already,
}

impl RequestError {
    /// Returns the error for the caller. `peer` is the name of the peer.
    pub(in crate::connection) fn into_error(self, peer: String) -> Error {
        match self {
            RequestError::Ended(reason) => Error::Disconnected { peer, reason },
            RequestError::TooMany { limit } => Error::TooManyRequests { peer, limit },
            RequestError::Already => Error::AlreadyRequested { peer },
        }
    }
}
