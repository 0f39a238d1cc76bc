//! Detects that no block was found for a long time.

use std::time::{Duration, Instant, SystemTime};

use crate::manager::clock::Now;

/// The time of the last change of the tip.
#[derive(Debug)]
pub(super) struct StaleTip {
    changed_at: Now,
    is_reported: bool,
}

impl StaleTip {
    pub(super) fn new(now: Now) -> Self {
        Self {
            changed_at: now,
            is_reported: false,
        }
    }

    pub(super) fn on_new_tip(&mut self, now: Now) {
        *self = Self::new(now);
    }

    /// Returns the time of the last change if it is older than `timeout`, once per tip. A timeout
    /// of zero disables the check.
    pub(super) fn check(&mut self, timeout: Duration, now: Instant) -> Option<SystemTime> {
        let is_due = self
            .deadline(timeout)
            .is_some_and(|deadline| now >= deadline);
        self.is_reported |= is_due;
        is_due.then_some(self.changed_at.wall)
    }

    /// Returns when the tip becomes stale, unless that was reported.
    pub(super) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        let is_enabled = !self.is_reported && !timeout.is_zero();
        is_enabled.then(|| self.changed_at.after(timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_tip_is_reported_once_per_tip() {
        const TIMEOUT: Duration = Duration::from_secs(3600);
        let start = Now::read();
        let mut tip = StaleTip::new(start);
        let due = start.instant + TIMEOUT;
        assert_eq!(tip.check(Duration::ZERO, due), None);
        assert_eq!(tip.check(TIMEOUT, due - Duration::from_nanos(1)), None);
        assert_eq!(tip.deadline(TIMEOUT), Some(due));
        assert_eq!(tip.check(TIMEOUT, due), Some(start.wall));
        assert_eq!(
            (tip.check(TIMEOUT, due), tip.deadline(TIMEOUT)),
            (None, None)
        );
        tip.on_new_tip(start);
        assert_eq!(tip.check(TIMEOUT, due), Some(start.wall));
    }
}
