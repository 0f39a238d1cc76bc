//! Deadlines of incoming payloads and outgoing frames.

use std::time::{Duration, Instant};

use crate::deadline::saturating_add;

/// The number of payload bytes that must arrive within each stall timeout.
const STEP: u64 = 64 * 1024;
/// The maximum time of a payload, in addition to the time for its length.
const WHOLE_BASE: Duration = Duration::from_secs(60);
/// The number of payload bytes for each second that is added to [`WHOLE_BASE`].
const WHOLE_BYTES_PER_SECOND: u64 = 64 * 1024;
/// The number of bytes for each second that is added to the base timeout of a write.
const WRITE_BYTES_PER_SECOND: u64 = 256 * 1024;

/// Returns the time by which a frame of `len` bytes must be written.
pub(super) fn write_deadline(base: Duration, len: usize, now: Instant) -> Instant {
    let more = Duration::from_secs(len as u64 / WRITE_BYTES_PER_SECOND);
    saturating_add(now, base.saturating_add(more))
}

/// The deadlines of the payload that is being received.
#[derive(Debug)]
pub(super) struct ReadProgress {
    stall_timeout: Duration,
    payload: Option<Payload>,
}

#[derive(Debug)]
struct Payload {
    /// The time by which the whole payload must arrive.
    whole_deadline: Instant,
    /// The number of missing bytes when the stall timeout last started.
    missing: u64,
    stall_deadline: Instant,
}

impl ReadProgress {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self {
            stall_timeout,
            payload: None,
        }
    }

    pub(super) fn set_stall_timeout(&mut self, timeout: Duration) {
        self.stall_timeout = timeout;
    }

    /// Clears the deadlines at the end of a frame.
    pub(super) fn on_frame(&mut self) {
        self.payload = None;
    }

    /// Updates the deadlines. `arriving` is the length of the current payload and the number of its
    /// missing bytes.
    pub(super) fn on_bytes(&mut self, arriving: Option<(u64, u64)>, now: Instant) {
        let Some((len, missing)) = arriving else {
            self.payload = None;
            return;
        };
        let stall_deadline = saturating_add(now, self.stall_timeout);
        match &mut self.payload {
            Some(payload) => {
                if payload.missing.saturating_sub(missing) >= STEP {
                    payload.missing = missing;
                    payload.stall_deadline = stall_deadline;
                }
            }
            None => {
                let seconds = Duration::from_secs(len / WHOLE_BYTES_PER_SECOND);
                // An absurd length results in a deadline that never passes.
                let whole_deadline = saturating_add(now, WHOLE_BASE + seconds);
                self.payload = Some(Payload {
                    whole_deadline,
                    missing,
                    stall_deadline,
                });
            }
        }
    }

    /// Returns the time by which more bytes must arrive, or `None` between frames.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let payload = self.payload.as_ref()?;
        Some(payload.stall_deadline.min(payload.whole_deadline))
    }

    /// Extends the deadlines by `pause`, in which nothing was read on purpose.
    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        if let Some(payload) = &mut self.payload {
            payload.whole_deadline += pause;
            payload.stall_deadline += pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1024 * 1024;

    fn progress() -> (ReadProgress, Instant) {
        (ReadProgress::new(20 * SECOND), Instant::now())
    }

    #[test]
    fn stall_deadline_moves_after_64_kib() {
        let (mut progress, now) = progress();
        progress.on_bytes(Some((MIB, MIB)), now);
        assert_eq!(progress.deadline(), Some(now + 20 * SECOND));
        progress.on_bytes(Some((MIB, MIB - STEP + 1)), now + SECOND);
        assert_eq!(progress.deadline(), Some(now + 20 * SECOND));
        progress.on_bytes(Some((MIB, MIB - STEP)), now + 2 * SECOND);
        assert_eq!(progress.deadline(), Some(now + 22 * SECOND));
    }

    #[test]
    fn total_deadline_grows_with_payload_length() {
        let (mut progress, now) = progress();
        progress.on_bytes(Some((MIB, MIB)), now);
        for step in 1..=15 {
            progress.on_bytes(
                Some((MIB, MIB - step * STEP)),
                now + 5 * SECOND * step as u32,
            );
        }
        assert_eq!(
            progress.deadline(),
            Some(now + 76 * SECOND),
            "60 s and 16 times 64 KiB"
        );

        let (mut progress, now) = (ReadProgress::new(u32::MAX * SECOND), now);
        progress.on_bytes(Some((4096 * MIB, 4096 * MIB)), now);
        assert_eq!(progress.deadline(), Some(now + (60 + 65_536) * SECOND));
    }

    #[test]
    fn huge_length_does_not_overflow() {
        let (mut progress, now) = progress();
        progress.on_bytes(Some((u64::MAX, u64::MAX)), now);
        assert_eq!(progress.deadline(), Some(now + 20 * SECOND));
    }

    #[test]
    fn every_frame_has_deadlines_of_its_own() {
        let (mut progress, now) = progress();
        progress.on_bytes(Some((MIB, MIB)), now);
        progress.on_frame();
        assert_eq!(progress.deadline(), None);
        progress.on_bytes(Some((MIB, MIB)), now + 50 * SECOND);
        assert_eq!(progress.deadline(), Some(now + 70 * SECOND));
        progress.on_reads_paused(SECOND);
        assert_eq!(progress.deadline(), Some(now + 71 * SECOND));
    }

    #[test]
    fn write_timeout_grows_per_256_kib() {
        let now = Instant::now();
        assert_eq!(write_deadline(20 * SECOND, 100, now), now + 20 * SECOND);
        assert_eq!(
            write_deadline(20 * SECOND, MIB as usize, now),
            now + 24 * SECOND
        );
        assert!(write_deadline(Duration::MAX, MIB as usize, now) > now + 1_000_000 * SECOND);
    }
}
