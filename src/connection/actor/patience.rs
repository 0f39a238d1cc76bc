//! How long a call of the program waits.

use std::time::{Duration, Instant};

use crate::deadline::deadline_after;

/// How long a call waits: until when, and how long that is in all.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            deadline: deadline_after(timeout),
            timeout,
        }
    }
}
