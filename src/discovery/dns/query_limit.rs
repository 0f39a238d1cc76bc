//! The time limit of one query.

use std::time::{Duration, Instant};

use crate::discovery::Deadline;
use crate::discovery::deadline::POLL_INTERVAL;

/// The end of the lookup or of the query, whichever is earlier.
#[derive(Debug)]
pub(super) struct QueryLimit<'a> {
    until: &'a Deadline,
    began: Instant,
    end: Instant,
}

impl<'a> QueryLimit<'a> {
    /// Creates a limit that starts now and ends after `share`.
    pub(super) fn new(until: &'a Deadline, share: Duration) -> Self {
        let began = Instant::now();
        Self {
            until,
            began,
            end: began + share,
        }
    }

    /// Moves the end to `left` from now, if it is later.
    pub(super) fn shorten(&mut self, left: Duration) {
        self.end = self.end.min(Instant::now() + left);
    }

    /// Returns the remaining time, or `None` if it is over.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = left.min(self.until.remaining()?);
        (!left.is_zero()).then_some(left)
    }

    /// Returns the timeout of one wait, after which [`QueryLimit::remaining`] must be checked.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        Some(self.remaining()?.min(POLL_INTERVAL))
    }

    /// Returns the end of the query. The lookup may be canceled before it.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Returns the elapsed time, rounded down to milliseconds.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.began.elapsed().as_millis() as u64)
    }
}
