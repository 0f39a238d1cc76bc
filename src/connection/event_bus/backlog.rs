//! What one peer's events wait in while subscribers have no room for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::subscription::{Offer, Subscription};
use crate::event::Event;

/// What an event costs beside its payload.
const ENTRY_OVERHEAD: u64 = 512;

/// The events of one peer that wait for subscribers.
#[derive(Debug)]
pub(super) struct Backlog {
    /// One for each subscription that lags behind. None is empty, but for the moments of a call.
    pub(super) lines: Vec<Line>,
    bytes: u64,
}

/// What waits for one subscription, in order.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) subscription: Arc<Subscription>,
    entries: VecDeque<Entry>,
    /// For how long, in waits that are over, it has taken nothing although it was waited for.
    idle_before: Duration,
    /// Since when it has taken nothing in this wait.
    idle_since: Instant,
    /// Whether it has taken something and the clock has not been read since.
    moved: bool,
}

#[derive(Debug)]
enum Entry {
    Event {
        event: Event,
        cost: u64,
    },
    /// So many events had no room here.
    Missed(u64),
}

impl Entry {
    fn cost(&self) -> u64 {
        match self {
            Entry::Event { cost, .. } => *cost,
            Entry::Missed(_) => ENTRY_OVERHEAD,
        }
    }
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            lines: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many bytes wait, with an overhead for each event; an event that waits for two counts twice.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The line of a subscription that lags behind.
    pub(super) fn line_of(&self, subscription: &Arc<Subscription>) -> Option<usize> {
        let same = |line: &Line| Arc::ptr_eq(&line.subscription, subscription);
        self.lines.iter().position(same)
    }

    /// The subscription lags behind from now on. Something has to be added to its line.
    pub(super) fn begin_line(&mut self, subscription: &Arc<Subscription>, now: Instant) -> usize {
        self.lines.push(Line {
            subscription: subscription.clone(),
            entries: VecDeque::new(),
            idle_before: Duration::ZERO,
            idle_since: now,
            moved: false,
        });
        self.lines.len() - 1
    }

    /// Adds an event to a line.
    pub(super) fn push(&mut self, line: usize, event: Event) {
        let payload = match &event {
            Event::Message(event) => event.message.payload_len(),
            Event::Control(_) => 0,
        };
        let cost = payload.saturating_add(ENTRY_OVERHEAD);
        self.bytes = self.bytes.saturating_add(cost);
        self.lines[line]
            .entries
            .push_back(Entry::Event { event, cost });
    }

    /// Counts an event for which there was no room, at its place in a line.
    pub(super) fn push_missed(&mut self, line: usize) {
        let entries = &mut self.lines[line].entries;
        match entries.back_mut() {
            Some(Entry::Missed(missed)) => *missed += 1,
            _ => {
                entries.push_back(Entry::Missed(1));
                self.bytes = self.bytes.saturating_add(ENTRY_OVERHEAD);
            }
        }
    }

    /// Hands out what has room now, and forgets the lines of those who have gone. Returns whether anything moved.
    pub(super) fn flush(&mut self) -> bool {
        let mut moved = false;
        for at in (0..self.lines.len()).rev() {
            loop {
                let line = &mut self.lines[at];
                let offer = line.offer();
                match offer {
                    Offer::Taken => {
                        moved = true;
                        self.pop(at);
                    }
                    Offer::Full => break,
                    Offer::Gone => {
                        moved = true;
                        self.remove(at);
                    }
                }
                if offer == Offer::Gone {
                    break;
                }
                if self.lines[at].entries.is_empty() {
                    self.remove(at);
                    break;
                }
            }
        }
        moved
    }

    /// The first event of a line has been taken.
    pub(super) fn pop(&mut self, line: usize) {
        let line = &mut self.lines[line];
        line.moved = true;
        if let Some(entry) = line.entries.pop_front() {
            self.bytes -= entry.cost();
        }
    }

    /// Forgets a line. Returns how many events are lost by it.
    pub(super) fn remove(&mut self, line: usize) -> u64 {
        let line = self.lines.swap_remove(line);
        let lost = line.entries.iter().map(|entry| {
            self.bytes -= entry.cost();
            match entry {
                Entry::Event { .. } => 1,
                Entry::Missed(missed) => *missed,
            }
        });
        lost.sum()
    }

    /// The subscribers are waited for from now on.
    pub(super) fn begin_wait(&mut self, now: Instant) {
        for line in &mut self.lines {
            line.look_at(now);
            line.idle_since = now;
        }
    }

    /// The subscribers are no longer waited for.
    pub(super) fn end_wait(&mut self, now: Instant) {
        for line in &mut self.lines {
            line.look_at(now);
            line.idle_before += now.saturating_duration_since(line.idle_since);
        }
    }

    /// In a wait: the first line whose subscriber has taken nothing for `timeout`, or else when that will be.
    pub(super) fn too_slow(&mut self, timeout: Duration, now: Instant) -> TooSlow {
        let mut earliest: Option<Instant> = None;
        for (at, line) in self.lines.iter_mut().enumerate() {
            line.look_at(now);
            let left = timeout.saturating_sub(line.idle_before);
            let Some(deadline) = line.idle_since.checked_add(left) else {
                continue;
            };
            if now >= deadline {
                return TooSlow::Line(at);
            }
            earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
        TooSlow::NobodyUntil(earliest)
    }
}

/// Who has been waited for in vain.
#[derive(Debug)]
pub(super) enum TooSlow {
    Line(usize),
    /// Nobody before that moment; `None` if it never comes.
    NobodyUntil(Option<Instant>),
}

impl Line {
    /// What is to be sent next.
    pub(super) fn first(&self) -> Option<Event> {
        match self.entries.front()? {
            Entry::Event { event, .. } => Some(event.clone()),
            Entry::Missed(missed) => Some(Event::Control(self.subscription.lagged(*missed))),
        }
    }

    fn offer(&self) -> Offer {
        match self.entries.front() {
            Some(Entry::Event { event, .. }) => self.subscription.offer(event),
            Some(Entry::Missed(missed)) => {
                let lagged = self.subscription.lagged(*missed);
                self.subscription.offer(&Event::Control(lagged))
            }
            None => Offer::Taken,
        }
    }

    fn look_at(&mut self, now: Instant) {
        if self.moved {
            self.moved = false;
            self.idle_before = Duration::ZERO;
            self.idle_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};
    use uuid::Uuid;

    use super::*;
    use crate::connection::event_bus::options::SubscriptionOptions;
    use crate::connection::event_bus::subscription::Queue;
    use crate::event::{BitcoinMessageEvent, SharedMessage};
    use crate::wire::Message;

    const SECOND: Duration = Duration::from_secs(1);

    /// A backlog with a line of events for a receiver that has room for one.
    fn lagging(events: usize, now: Instant) -> (Backlog, Receiver<BitcoinMessageEvent>) {
        let (sender, receiver) = bounded(1);
        let options = SubscriptionOptions::default();
        let queue = Queue::Messages(sender);
        let subscription = Arc::new(Subscription::new("it".into(), options, queue));
        let mut backlog = Backlog::new();
        let line = backlog.begin_line(&subscription, now);
        for _ in 0..events {
            backlog.push(line, event(100));
        }
        (backlog, receiver)
    }

    fn event(payload_len: u64) -> Event {
        Event::Message(BitcoinMessageEvent {
            peer_id: Uuid::nil(),
            message: SharedMessage::new(Message::Verack, payload_len),
        })
    }

    #[track_caller]
    fn assert_deadline(backlog: &mut Backlog, now: Instant, expected: Instant) {
        match backlog.too_slow(10 * SECOND, now) {
            TooSlow::NobodyUntil(deadline) => assert_eq!(deadline, Some(expected)),
            TooSlow::Line(_) => panic!("too slow already"),
        }
    }

    #[test]
    fn bytes_are_counted_until_they_are_taken_or_forgotten() {
        let (mut backlog, receiver) = lagging(3, Instant::now());
        assert_eq!(backlog.bytes(), 3 * 612);
        backlog.push_missed(0);
        backlog.push_missed(0);
        assert_eq!(backlog.bytes(), 3 * 612 + 512);
        assert!(backlog.flush());
        assert_eq!(backlog.bytes(), 2 * 612 + 512);
        assert!(!backlog.flush());
        assert_eq!(backlog.remove(0), 4, "two events, and two that had no room");
        assert_eq!((backlog.bytes(), backlog.is_empty()), (0, true));
        drop(receiver);
    }

    #[test]
    fn the_line_of_a_receiver_that_was_dropped_is_forgotten() {
        let (mut backlog, receiver) = lagging(3, Instant::now());
        drop(receiver);
        assert!(backlog.flush());
        assert_eq!((backlog.bytes(), backlog.is_empty()), (0, true));
    }

    #[test]
    fn only_the_time_of_waits_counts_and_also_that_of_earlier_ones() {
        let now = Instant::now();
        let (mut backlog, _receiver) = lagging(5, now);
        backlog.flush();
        backlog.begin_wait(now);
        backlog.end_wait(now + 4 * SECOND);
        let then = now + 100 * SECOND;
        backlog.begin_wait(then);
        assert_deadline(&mut backlog, then, then + 6 * SECOND);
        let just_before = then + 6 * SECOND - Duration::from_nanos(1);
        assert_deadline(&mut backlog, just_before, then + 6 * SECOND);
        let at = backlog.too_slow(10 * SECOND, then + 6 * SECOND);
        assert!(matches!(at, TooSlow::Line(0)));
    }

    #[test]
    fn who_takes_something_has_all_the_time_again() {
        let now = Instant::now();
        let (mut backlog, receiver) = lagging(5, now);
        backlog.flush();
        backlog.begin_wait(now);
        backlog.end_wait(now + 4 * SECOND);
        backlog.begin_wait(now + 4 * SECOND);
        receiver.try_recv().unwrap();
        assert!(backlog.flush());
        let then = now + 9 * SECOND;
        assert_deadline(&mut backlog, then, then + 10 * SECOND);
        // Also what was taken between two waits.
        backlog.end_wait(then + 9 * SECOND);
        receiver.try_recv().unwrap();
        assert!(backlog.flush());
        let then = then + 50 * SECOND;
        backlog.begin_wait(then);
        assert_deadline(&mut backlog, then, then + 10 * SECOND);
    }
}
