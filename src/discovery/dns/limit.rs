//! How long one server may take of the time that a lookup has.

use std::time::{Duration, Instant};

use crate::discovery::Deadline;
use crate::discovery::until::SLICE;

/// The end of the lookup or of the try, whichever comes first.
#[derive(Debug)]
pub(super) struct Limit<'a> {
    until: &'a Deadline,
    began: Instant,
    end: Instant,
}

impl<'a> Limit<'a> {
    /// A try that begins now and takes at most `share`.
    pub(super) fn new(until: &'a Deadline, share: Duration) -> Self {
        let began = Instant::now();
        Self {
            until,
            began,
            end: began + share,
        }
    }

    /// The try ends so soon, unless it ends sooner anyway.
    pub(super) fn shorten(&mut self, left: Duration) {
        self.end = self.end.min(Instant::now() + left);
    }

    /// How much time there is; `None` once there is none.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = left.min(self.until.remaining()?);
        (!left.is_zero()).then_some(left)
    }

    /// How long one wait may take before [`Limit::left`] is asked again.
    pub(super) fn slice(&self) -> Option<Duration> {
        Some(self.left()?.min(SLICE))
    }

    /// When all waits are over, unless somebody stops them.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// How long the try has lasted, in milliseconds.
    pub(super) fn lasted(&self) -> Duration {
        Duration::from_millis(self.began.elapsed().as_millis() as u64)
    }
}
