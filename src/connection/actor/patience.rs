//! Timeouts of a blocking request.

use std::time::{Duration, Instant};

use crate::deadline::deadline_after;

/// The timeouts of a blocking request.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    /// The maximum time without progress of the peer, if it is limited.
    pub(super) stall: Option<Duration>,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            deadline: deadline_after(timeout),
            timeout,
            stall: None,
        }
    }

    /// Adds a maximum time without progress of the peer.
    pub(super) fn unless_still(self, stall: Duration) -> Self {
        Self {
            stall: Some(stall),
            ..self
        }
    }
}
