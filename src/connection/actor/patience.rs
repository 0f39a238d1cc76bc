//! How long a call of the program waits.

use std::time::{Duration, Instant};

use crate::deadline::deadline_after;

/// How long a call waits: until when, and how long that is in all.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    /// How long the peer may stand still meanwhile, if that matters.
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

    /// The same for as long as the peer does not stand still for longer than `stall`.
    pub(super) fn unless_still(self, stall: Duration) -> Self {
        Self {
            stall: Some(stall),
            ..self
        }
    }
}
