//! Limits the events about misbehavior that scores nothing.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::session::Misbehavior;

/// The time in which violations are counted after an event.
const INTERVAL: Duration = Duration::from_secs(1);

/// Aggregates the violations of one peer that score nothing, on all of its streams.
///
/// The first violation is reported at once. Those of the next second are reported together, at the
/// end of that second. Without this limit, a peer could emit an event with each 24 bytes.
#[derive(Debug, Default)]
pub(in crate::connection) struct MisbehaviorAggregator {
    state: Mutex<State>,
    /// Mirrors `state.pending.is_some()`, readable without the lock.
    is_pending: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// The end of the second after the last report.
    interval_ends: Option<Instant>,
    pending: Option<AggregatedMisbehavior>,
}

/// Violations to report with one event.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::connection) struct AggregatedMisbehavior {
    /// The last violation.
    pub(in crate::connection) misbehavior: Misbehavior,
    /// The score of the peer.
    pub(in crate::connection) score: u32,
    /// The number of violations.
    pub(in crate::connection) count: u64,
}

impl MisbehaviorAggregator {
    /// Adds a violation. Returns the event that is due.
    pub(in crate::connection) fn add(
        &self,
        misbehavior: Misbehavior,
        score: u32,
        now: Instant,
    ) -> Option<AggregatedMisbehavior> {
        let mut one = AggregatedMisbehavior {
            misbehavior,
            score,
            count: 1,
        };
        if one.misbehavior.score() > 0 {
            return Some(one);
        }
        let mut state = self.state.lock();
        if let Some(pending) = &state.pending {
            one.count += pending.count;
        }
        state.pending = Some(one);
        self.take_due(&mut state, now)
    }

    /// Returns the event that is due at `now`, if there is one. Cheap if none is pending.
    pub(in crate::connection) fn poll(&self, now: Instant) -> Option<AggregatedMisbehavior> {
        if !self.is_pending.load(Relaxed) {
            return None;
        }
        self.take_due(&mut self.state.lock(), now)
    }

    /// Returns the pending violations, because the connection ends.
    pub(in crate::connection) fn flush(&self) -> Option<AggregatedMisbehavior> {
        let mut state = self.state.lock();
        state.interval_ends = None;
        self.is_pending.store(false, Relaxed);
        state.pending.take()
    }

    /// Returns the time at which the next event is due. Cheap if none is pending.
    pub(in crate::connection) fn next_deadline(&self) -> Option<Instant> {
        if !self.is_pending.load(Relaxed) {
            return None;
        }
        self.state.lock().interval_ends
    }

    fn take_due(&self, state: &mut State, now: Instant) -> Option<AggregatedMisbehavior> {
        let is_due = state.interval_ends.is_none_or(|end| now >= end);
        let due = state.pending.take_if(|_| is_due);
        if due.is_some() {
            state.interval_ends = now.checked_add(INTERVAL);
        }
        self.is_pending.store(state.pending.is_some(), Relaxed);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Command, DecodeError};

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn scoreless(number: u8) -> Misbehavior {
        let command = Command::new("ping");
        let error = DecodeError::NonCanonicalSize {
            field: "count",
            value: number.into(),
        };
        Misbehavior::Malformed { command, error }
    }

    fn of(number: u8, count: u64) -> Option<AggregatedMisbehavior> {
        Some(AggregatedMisbehavior {
            misbehavior: scoreless(number),
            score: 7,
            count,
        })
    }

    #[test]
    fn first_violation_is_reported_at_once() {
        let (aggregator, now) = (MisbehaviorAggregator::default(), Instant::now());
        assert_eq!(aggregator.add(scoreless(1), 7, now), of(1, 1));
        assert_eq!(aggregator.next_deadline(), None);
        assert_eq!(aggregator.flush(), None);
        // Another connection of the peer.
        assert_eq!(aggregator.add(scoreless(1), 7, now), of(1, 1));
        let later = now + INTERVAL;
        assert_eq!(aggregator.add(scoreless(2), 7, later), of(2, 1));
    }

    #[test]
    fn violations_within_a_second_become_one_event() {
        let (aggregator, now) = (MisbehaviorAggregator::default(), Instant::now());
        assert_eq!(aggregator.add(scoreless(1), 7, now), of(1, 1));
        for number in 1..=100 {
            let at = now + u32::from(number) * MILLISECOND;
            assert_eq!(aggregator.add(scoreless(number), 7, at), None);
        }
        assert_eq!(aggregator.next_deadline(), Some(now + INTERVAL));
        assert_eq!(aggregator.poll(now + INTERVAL - MILLISECOND), None);
        assert_eq!(aggregator.poll(now + INTERVAL), of(100, 100));
        assert_eq!(aggregator.poll(now + INTERVAL), None);
        // The next second begins with the report.
        let at = now + INTERVAL + MILLISECOND;
        assert_eq!(aggregator.add(scoreless(2), 7, at), None);
        assert_eq!(aggregator.next_deadline(), Some(now + 2 * INTERVAL));
        assert_eq!(aggregator.flush(), of(2, 1));
        assert_eq!(aggregator.next_deadline(), None);
    }

    #[test]
    fn late_poll_includes_violation_that_comes_first() {
        let (aggregator, now) = (MisbehaviorAggregator::default(), Instant::now());
        assert_eq!(aggregator.add(scoreless(1), 7, now), of(1, 1));
        assert_eq!(aggregator.add(scoreless(2), 7, now), None);
        let later = now + 3 * INTERVAL;
        assert_eq!(aggregator.add(scoreless(3), 7, later), of(3, 2));
        assert_eq!(aggregator.poll(later), None);
    }

    #[test]
    fn violation_with_score_is_always_reported() {
        let (aggregator, now) = (MisbehaviorAggregator::default(), Instant::now());
        let scored = || Misbehavior::DuplicateVersion;
        assert!(aggregator.add(scoreless(1), 7, now).is_some());
        assert_eq!(aggregator.add(scoreless(2), 7, now), None);
        for _ in 0..2 {
            let event = aggregator.add(scored(), 8, now).unwrap();
            assert_eq!((event.misbehavior, event.count), (scored(), 1));
        }
        assert_eq!(aggregator.flush(), of(2, 1));
    }
}
