//! Moments at which waits are over.

use std::time::{Duration, Instant};

/// A time so far away that nobody lives to see it.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The moment that comes so much later. A time that no clock can show never comes.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now + NEVER)
}

/// When a wait that begins now is over.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    later(Instant::now(), timeout)
}
