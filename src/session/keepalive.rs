//! Pings, their timeout, and round-trip times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The highest protocol version whose pings have no nonce and are not answered (`src/version.h`).
pub(super) const PING_WITHOUT_NONCE: i32 = 60000;

/// The maximum number of pending pings of the application. The oldest is evicted. A connection has
/// at most 1,024 pending requests, and the other entries are requests that have timed out.
const MAX_OPEN: usize = 2048;

/// The round-trip time of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RoundTrip {
    /// The latest value.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::optional_seconds"))]
    pub last: Option<Duration>,
    /// The minimum.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::optional_seconds"))]
    pub min: Option<Duration>,
    /// The smoothed value: each new value has a weight of one eighth.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::optional_seconds"))]
    pub smoothed: Option<Duration>,
}

impl RoundTrip {
    fn add(&mut self, sample: Duration) {
        self.last = Some(sample);
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        self.smoothed = Some(
            self.smoothed
                .map_or(sample, |smoothed| (smoothed * 7 + sample) / 8),
        );
    }
}

/// The pings of one connection: periodic pings and pings that the application requests.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// Whether a ping is sent at each interval, even if one is pending or reading is paused.
    repeats: bool,
    next_ping: Instant,
    /// The nonce and the time of the connection's own pending ping.
    open: Option<(u64, Instant)>,
    /// The nonces and times of pending pings that the application requested.
    requested: VecDeque<(u64, Instant)>,
    /// The last time at which bytes of a large frame were transferred. A pong cannot overtake them.
    last_transfer: Instant,
    round_trip: RoundTrip,
}

/// The action that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepaliveAction {
    None,
    Ping,
    TimedOut,
}

impl Keepalive {
    /// Creates a keepalive whose first ping is due immediately.
    pub(super) fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            repeats: false,
            next_ping: now,
            open: None,
            requested: VecDeque::new(),
            last_transfer: now,
            round_trip: RoundTrip::default(),
        }
    }

    /// Sets whether a ping is sent at each interval, even if one is pending. The timeout applies to
    /// the oldest pending ping.
    pub(super) fn repeat(&mut self, repeats: bool) {
        self.repeats = repeats;
    }

    /// Returns whether a repeated ping is due.
    pub(super) fn must_repeat(&self, now: Instant) -> bool {
        self.repeats && now >= self.next_ping
    }

    /// Replaces the interval and the timeout, also for the pending ping and the next one.
    pub(super) fn set(&mut self, interval: Duration, timeout: Duration) {
        // If the clock cannot represent the time of the last ping, the next one keeps its time.
        let earlier = self.next_ping.checked_sub(self.interval);
        self.next_ping = earlier.map_or(self.next_ping, |last_ping| last_ping + interval);
        self.interval = interval;
        self.timeout = timeout;
    }

    pub(super) fn round_trip(&self) -> RoundTrip {
        self.round_trip
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.timeout_at() {
            Some(timeout) if self.repeats => timeout.min(self.next_ping),
            Some(timeout) => timeout,
            None => self.next_ping,
        }
    }

    /// Returns the deadline of the pending ping, if there is one.
    fn timeout_at(&self) -> Option<Instant> {
        let (_, sent) = self.open?;
        Some(sent.max(self.last_transfer) + self.timeout)
    }

    /// Returns the action that is due at `now`. The peer's data was read up to `read_until`, so that
    /// the pending ping cannot time out later than that.
    pub(super) fn next_action(&self, now: Instant, read_until: Instant) -> KeepaliveAction {
        if self
            .timeout_at()
            .is_some_and(|timeout| read_until >= timeout)
        {
            KeepaliveAction::TimedOut
        } else if now >= self.next_ping && (self.open.is_none() || self.repeats) {
            KeepaliveAction::Ping
        } else {
            KeepaliveAction::None
        }
    }

    /// Records a ping of the connection. It is not answered if it has no nonce.
    pub(super) fn on_ping(&mut self, nonce: Option<u64>, now: Instant) {
        if self.open.is_none() {
            self.open = nonce.map(|nonce| (nonce, now));
        }
        self.next_ping = now + self.interval;
    }

    pub(super) fn on_requested_ping(&mut self, nonce: u64, now: Instant) {
        if self.requested.len() == MAX_OPEN {
            self.requested.pop_front();
        }
        self.requested.push_back((nonce, now));
    }

    /// Handles a pong. Returns the round-trip time, or `None` if no pending ping has this nonce.
    pub(super) fn on_pong(&mut self, nonce: u64, now: Instant) -> Option<Duration> {
        let sent = match self.open.take_if(|(open, _)| *open == nonce) {
            Some((_, sent)) => sent,
            None => {
                let at = self.requested.iter().position(|(open, _)| *open == nonce)?;
                self.requested.remove(at)?.1
            }
        };
        let round_trip = now.saturating_duration_since(sent);
        self.round_trip.add(round_trip);
        Some(round_trip)
    }

    /// Handles a pong without a usable nonce, which completes the pending ping, as in the node.
    pub(super) fn on_pong_without_nonce(&mut self) {
        self.open = None;
    }

    pub(super) fn on_partial_frame(&mut self, now: Instant) {
        self.last_transfer = now;
    }

    /// Shifts the deadlines by a pause of reading.
    ///
    /// A deadline that was pending at the start of the pause is shifted by its length. The deadline
    /// of a ping sent during the pause is shifted by the remainder. Repeated pings are also sent
    /// during a pause, so the time of the next one is not shifted.
    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        if !self.repeats {
            self.next_ping += until.saturating_duration_since(from);
        }
        self.last_transfer += overlap(self.last_transfer, from, until);
        let open = self.open.iter_mut().chain(&mut self.requested);
        open.for_each(|(_, sent)| *sent += overlap(*sent, from, until));
    }
}

/// Returns the part of a pause after `start`.
pub(super) fn overlap(start: Instant, from: Instant, until: Instant) -> Duration {
    until.saturating_duration_since(start.max(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the action of a connection that has read everything.
    fn action_at(keepalive: &Keepalive, now: Instant) -> KeepaliveAction {
        keepalive.next_action(now, now)
    }

    fn keepalive() -> (Keepalive, Instant) {
        let now = Instant::now();
        (Keepalive::new(300 * SECOND, 60 * SECOND, now), now)
    }

    #[test]
    fn first_ping_is_immediate_next_after_interval() {
        let (mut keepalive, now) = keepalive();
        assert_eq!(action_at(&keepalive, now), KeepaliveAction::Ping);
        keepalive.on_ping(Some(1), now);
        assert_eq!(keepalive.on_pong(1, now + SECOND), Some(SECOND));
        assert_eq!(
            action_at(&keepalive, now + 299 * SECOND),
            KeepaliveAction::None
        );
        assert_eq!(
            action_at(&keepalive, now + 300 * SECOND),
            KeepaliveAction::Ping
        );
    }

    #[test]
    fn open_ping_times_out_without_further_pings() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        assert_eq!(
            keepalive.on_pong(2, now + SECOND),
            None,
            "another nonce answers nothing"
        );
        assert_eq!(
            action_at(&keepalive, now + 60 * SECOND - Duration::from_nanos(1)),
            KeepaliveAction::None
        );
        assert_eq!(
            action_at(&keepalive, now + 60 * SECOND),
            KeepaliveAction::TimedOut
        );
    }

    #[test]
    fn ping_times_out_only_after_everything_was_read() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        let late = now + 90 * SECOND;
        let action = |read_until| keepalive.next_action(late, read_until);
        assert_eq!(action(now + 59 * SECOND), KeepaliveAction::None);
        assert_eq!(action(now + 60 * SECOND), KeepaliveAction::TimedOut);
        // Pings do not depend on what was read.
        keepalive.repeat(true);
        let due = now + 300 * SECOND;
        let action = keepalive.next_action(due, now + 59 * SECOND);
        assert_eq!(action, KeepaliveAction::Ping);
    }

    #[test]
    fn moving_large_frame_delays_ping_timeout() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        keepalive.on_partial_frame(now + 59 * SECOND);
        assert_eq!(
            action_at(&keepalive, now + 118 * SECOND),
            KeepaliveAction::None
        );
        assert_eq!(
            action_at(&keepalive, now + 119 * SECOND),
            KeepaliveAction::TimedOut
        );
    }

    #[test]
    fn pause_does_not_count() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        keepalive.on_requested_ping(2, now);
        keepalive.on_reads_paused(now, now + 10 * SECOND);
        assert_eq!(
            action_at(&keepalive, now + 69 * SECOND),
            KeepaliveAction::None
        );
        assert_eq!(keepalive.on_pong(2, now + 11 * SECOND), Some(SECOND));
        assert_eq!(
            action_at(&keepalive, now + 70 * SECOND),
            KeepaliveAction::TimedOut
        );
    }

    #[test]
    fn pause_excludes_only_part_after_ping() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_requested_ping(1, now + 4 * SECOND);
        keepalive.on_requested_ping(2, now + 10 * SECOND);
        keepalive.on_requested_ping(3, now + 11 * SECOND);
        keepalive.on_reads_paused(now, now + 10 * SECOND);
        for (nonce, round_trip) in [(1, 2), (2, 2), (3, 1)] {
            assert_eq!(
                keepalive.on_pong(nonce, now + 12 * SECOND),
                Some(round_trip * SECOND)
            );
        }
    }

    #[test]
    fn requested_pings_match_by_nonce_and_are_bounded() {
        let (mut keepalive, now) = keepalive();
        for nonce in 0..=MAX_OPEN as u64 {
            keepalive.on_requested_ping(nonce, now);
        }
        assert_eq!(keepalive.on_pong(0, now), None, "the oldest is forgotten");
        assert_eq!(keepalive.on_pong(5, now + 2 * SECOND), Some(2 * SECOND));
        assert_eq!(keepalive.on_pong(5, now), None, "answered once");
    }

    #[test]
    fn round_trip_keeps_last_minimum_and_smoothed() {
        let mut round_trip = RoundTrip::default();
        round_trip.add(8 * SECOND);
        round_trip.add(16 * SECOND);
        assert_eq!(round_trip.last, Some(16 * SECOND));
        assert_eq!(round_trip.min, Some(8 * SECOND));
        assert_eq!(round_trip.smoothed, Some(9 * SECOND));
    }
}
