//! Deadlines that tolerate overflow of the clock.

use std::time::{Duration, Instant};

/// The distance of a deadline that overflows the clock: 136 years.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Returns the time `by` after `now`. If the clock cannot represent it, returns a time in 136
/// years, which is never reached.
pub(crate) fn saturating_add(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now + NEVER)
}

/// Returns the deadline of a wait that starts now.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    saturating_add(Instant::now(), timeout)
}
