//! The errors of an [`EventReceiver`](super::EventReceiver).

use thiserror::Error;

use crate::event::SubscriptionEndReason;

/// The subscription ended, and its queue is empty.
///
/// Returned by [`EventReceiver::recv`](super::EventReceiver::recv) and by its iterators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("subscription ended: {reason}")]
#[non_exhaustive]
pub struct RecvError {
    /// The reason.
    pub reason: SubscriptionEndReason,
}

/// The error of [`EventReceiver::try_recv`](super::EventReceiver::try_recv).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The queue is empty, and the subscription is active.
    #[error("no event is available")]
    Empty,
    /// The queue is empty, and the subscription ended.
    #[error("subscription ended: {0}")]
    Ended(SubscriptionEndReason),
}

/// The error of [`EventReceiver::recv_timeout`](super::EventReceiver::recv_timeout) and
/// [`EventReceiver::recv_deadline`](super::EventReceiver::recv_deadline).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// No event was received in time. The subscription is active.
    #[error("waiting for an event timed out")]
    Timeout,
    /// The queue is empty, and the subscription ended.
    #[error("subscription ended: {0}")]
    Ended(SubscriptionEndReason),
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        TryRecvError::Ended(error.reason)
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        RecvTimeoutError::Ended(error.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_reason() {
        let error = RecvError {
            reason: SubscriptionEndReason::TooSlow,
        };
        let expected = "subscription ended: receiver was too slow";
        assert_eq!(error.to_string(), expected);
        assert_eq!(TryRecvError::from(error).to_string(), expected);
        assert_eq!(RecvTimeoutError::from(error).to_string(), expected);
    }
}
