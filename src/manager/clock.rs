//! The clocks of a manager: monotonic and wall clock.

use std::time::{Duration, Instant, SystemTime};

/// The current time on both clocks.
///
/// Delays use the monotonic clock. Times that are stored use the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: SystemTime,
}

/// Maximum delay. Longer ones could overflow the monotonic clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Now {
    pub(super) fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Returns the instant after a delay of at most [`FAR`].
    pub(super) fn after(self, pause: Duration) -> Instant {
        self.instant + pause.min(FAR)
    }

    /// Returns when the wall clock will show `time`, or the current instant if that has passed.
    pub(super) fn instant_of(self, time: SystemTime) -> Instant {
        self.after(time.duration_since(self.wall).unwrap_or_default())
    }
}
