//! Pings, pongs and the time between them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Peers up to this protocol version exchange pings without a nonce, and no pongs (`src/version.h`).
pub(super) const PING_WITHOUT_NONCE: i32 = 60000;

/// How many pings of the program may be open at once; older ones are forgotten. A connection has at most 1,024 requests whose
/// callers wait, and this is room for as many again that were given up.
const MAX_OPEN: usize = 2048;

/// How long a peer takes to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoundTrip {
    /// The latest.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::optional_seconds"))]
    pub last: Option<Duration>,
    /// The shortest.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::optional_seconds"))]
    pub min: Option<Duration>,
    /// The smoothed one: each new value counts an eighth.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::optional_seconds"))]
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

/// The pings of one connection: our own at an interval, and those that the program asks for.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// Whether pings are sent at each interval, also while one is open or nothing is read.
    repeats: bool,
    next_ping: Instant,
    /// When the connection's own ping that has not been answered was sent, with its nonce.
    open: Option<(u64, Instant)>,
    /// Pings of the program that have not been answered.
    requested: VecDeque<(u64, Instant)>,
    /// When bytes of a large frame last moved: an answer cannot overtake them.
    last_transfer: Instant,
    round_trip: RoundTrip,
}

/// What a keepalive wants at a moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    TimedOut,
}

impl Keepalive {
    /// The first ping is due at once.
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

    /// Sets whether pings are sent at each interval, whatever the peer answers meanwhile. The oldest one counts for the timeout.
    pub(super) fn repeat(&mut self, repeats: bool) {
        self.repeats = repeats;
    }

    /// Returns whether a repeated ping is due.
    pub(super) fn must_repeat(&self, now: Instant) -> bool {
        self.repeats && now >= self.next_ping
    }

    /// Other times hold from now on, also for the ping that is open and the one that is due next.
    pub(super) fn set(&mut self, interval: Duration, timeout: Duration) {
        // A clock that cannot show a moment so early pings at the old one.
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

    /// When the open ping times out.
    fn timeout_at(&self) -> Option<Instant> {
        let (_, sent) = self.open?;
        Some(sent.max(self.last_transfer) + self.timeout)
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        if now < self.deadline() {
            Due::Nothing
        } else if self.timeout_at().is_some_and(|timeout| now >= timeout) {
            Due::TimedOut
        } else {
            Due::Ping
        }
    }

    /// A ping of our own is sent. Without a nonce no answer will come.
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

    /// A pong came: how long the ping that it answers took, if there is one.
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

    /// A pong without a usable nonce ends the open ping, as in the node.
    pub(super) fn on_blank_pong(&mut self) {
        self.open = None;
    }

    pub(super) fn on_partial_frame(&mut self, now: Instant) {
        self.last_transfer = now;
    }

    /// Lets a pause not have happened, for what had begun by then, and the rest of it for what began meanwhile.
    ///
    /// The thread that pauses sends no pings but repeated ones, whose times are not shifted.
    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        if !self.repeats {
            self.next_ping += until.saturating_duration_since(from);
        }
        self.last_transfer += share(self.last_transfer, from, until);
        let open = self.open.iter_mut().chain(&mut self.requested);
        open.for_each(|(_, sent)| *sent += share(*sent, from, until));
    }
}

/// How much of a pause concerns what began at `begin`.
pub(super) fn share(begin: Instant, from: Instant, until: Instant) -> Duration {
    until.saturating_duration_since(begin.max(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn keepalive() -> (Keepalive, Instant) {
        let now = Instant::now();
        (Keepalive::new(300 * SECOND, 60 * SECOND, now), now)
    }

    #[test]
    fn the_first_ping_is_due_at_once_and_the_next_after_the_interval() {
        let (mut keepalive, now) = keepalive();
        assert_eq!(keepalive.due(now), Due::Ping);
        keepalive.on_ping(Some(1), now);
        assert_eq!(keepalive.on_pong(1, now + SECOND), Some(SECOND));
        assert_eq!(keepalive.due(now + 299 * SECOND), Due::Nothing);
        assert_eq!(keepalive.due(now + 300 * SECOND), Due::Ping);
    }

    #[test]
    fn no_ping_is_sent_while_one_is_open_and_it_times_out() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        assert_eq!(
            keepalive.on_pong(2, now + SECOND),
            None,
            "another nonce answers nothing"
        );
        assert_eq!(
            keepalive.due(now + 60 * SECOND - Duration::from_nanos(1)),
            Due::Nothing
        );
        assert_eq!(keepalive.due(now + 60 * SECOND), Due::TimedOut);
    }

    #[test]
    fn a_large_frame_that_moves_holds_the_timeout_back() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        keepalive.on_partial_frame(now + 59 * SECOND);
        assert_eq!(keepalive.due(now + 118 * SECOND), Due::Nothing);
        assert_eq!(keepalive.due(now + 119 * SECOND), Due::TimedOut);
    }

    #[test]
    fn a_pause_does_not_count() {
        let (mut keepalive, now) = keepalive();
        keepalive.on_ping(Some(1), now);
        keepalive.on_requested_ping(2, now);
        keepalive.on_reads_paused(now, now + 10 * SECOND);
        assert_eq!(keepalive.due(now + 69 * SECOND), Due::Nothing);
        assert_eq!(keepalive.on_pong(2, now + 11 * SECOND), Some(SECOND));
        assert_eq!(keepalive.due(now + 70 * SECOND), Due::TimedOut);
    }

    #[test]
    fn of_a_pause_only_the_part_after_a_ping_does_not_count() {
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
    fn pings_of_the_program_are_matched_by_nonce_and_bounded() {
        let (mut keepalive, now) = keepalive();
        for nonce in 0..=MAX_OPEN as u64 {
            keepalive.on_requested_ping(nonce, now);
        }
        assert_eq!(keepalive.on_pong(0, now), None, "the oldest is forgotten");
        assert_eq!(keepalive.on_pong(5, now + 2 * SECOND), Some(2 * SECOND));
        assert_eq!(keepalive.on_pong(5, now), None, "answered once");
    }

    #[test]
    fn round_trips_are_kept_as_last_shortest_and_smoothed() {
        let mut round_trip = RoundTrip::default();
        round_trip.add(8 * SECOND);
        round_trip.add(16 * SECOND);
        assert_eq!(round_trip.last, Some(16 * SECOND));
        assert_eq!(round_trip.min, Some(8 * SECOND));
        assert_eq!(round_trip.smoothed, Some(9 * SECOND));
    }
}
