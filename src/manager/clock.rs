//! The two clocks by which a manager decides.

use std::time::{Duration, Instant, SystemTime};

/// One moment on both clocks: waits are measured by the one that never goes back, and what outlives the program by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: SystemTime,
}

/// Stands for never where a time is too far away for the clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Now {
    pub(super) fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The moment so much later.
    pub(super) fn after(self, pause: Duration) -> Instant {
        self.instant + pause.min(FAR)
    }

    /// When the wall clock will show `time`; now, if it has.
    pub(super) fn instant_of(self, time: SystemTime) -> Instant {
        self.after(time.duration_since(self.wall).unwrap_or_default())
    }
}
