//! Counter of immediate restarts within a time window.

use std::time::{Duration, Instant};

/// A counter of the immediate restarts of one connection within a time window.
///
/// A window starts with its first restart. The first restart after its end starts the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartTracking {
    /// The number of restarts in the current window.
    pub restart_count: u32,
    /// The start of the current window, or `None` before the first restart.
    pub restart_window_start: Option<Instant>,
    /// The maximum number of restarts in a window.
    pub max_restarts: u32,
    /// The length of a window.
    pub restart_window: Duration,
}

impl RestartTracking {
    /// Creates a counter without restarts.
    pub fn new(max_restarts: u32, restart_window: Duration) -> Self {
        Self {
            restart_count: 0,
            restart_window_start: None,
            max_restarts,
            restart_window,
        }
    }

    /// Counts a restart if the window has one left. Returns whether it was counted.
    #[must_use]
    pub fn try_restart(&mut self, now: Instant) -> bool {
        let within = |start: Instant| now.saturating_duration_since(start) < self.restart_window;
        if !self.restart_window_start.is_some_and(within) {
            self.restart_window_start = Some(now);
            self.restart_count = 0;
        }
        let left = self.restart_count < self.max_restarts;
        self.restart_count += u32::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_window_has_its_own_restarts() {
        let mut tracking = RestartTracking::new(2, 10 * SECOND);
        let begin = Instant::now();
        assert!(tracking.try_restart(begin));
        assert!(tracking.try_restart(begin + 9 * SECOND));
        assert!(!tracking.try_restart(begin + 9 * SECOND));
        let still_within = begin + 10 * SECOND - Duration::from_nanos(1);
        assert!(!tracking.try_restart(still_within));
        assert!(tracking.try_restart(begin + 10 * SECOND));
        assert_eq!(tracking.restart_window_start, Some(begin + 10 * SECOND));
        assert_eq!(tracking.restart_count, 1);
    }

    #[test]
    fn with_a_maximum_of_zero_nothing_restarts() {
        let mut tracking = RestartTracking::new(0, 10 * SECOND);
        assert!(!tracking.try_restart(Instant::now()));
    }
}
