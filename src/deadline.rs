//! Deadlines that never overflow the clock.

use std::time::{Duration, Instant};

/// The maximum distance of a deadline: 136 years. It is never reached, and leaves room to extend the
/// deadline.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Returns the time `by` after `now`, and at most 136 years after it.
pub(crate) fn saturating_add(now: Instant, by: Duration) -> Instant {
    now + by.min(NEVER)
}

/// Returns the deadline of a wait that starts now.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    saturating_add(Instant::now(), timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_deadline_can_be_extended() {
        let now = Instant::now();
        let day = Duration::from_secs(24 * 3600);
        let mut almost = Duration::MAX;
        while now.checked_add(almost).is_none() {
            almost -= almost / 4;
        }
        for by in [Duration::MAX, almost, NEVER] {
            assert_eq!(saturating_add(now, by) + day, now + NEVER + day);
        }
        assert_eq!(saturating_add(now, day), now + day);
    }
}
