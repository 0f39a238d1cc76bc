//! Queue of the events of one stream for slow subscribers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::subscription::{Offer, Subscription};
use crate::event::Event;

/// The size of an event in addition to its payload, in bytes.
const ENTRY_OVERHEAD: u64 = 512;

/// The events of one stream that are queued for slow subscribers.
#[derive(Debug)]
pub(super) struct Backlog {
    /// One line for each slow subscription. A line is empty only during a call.
    pub(super) lines: Vec<Line>,
    bytes: u64,
}

/// The queued events of one subscription, in order.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) subscription: Arc<Subscription>,
    entries: VecDeque<Entry>,
    /// The time without progress in earlier waits.
    idle_before: Duration,
    /// The time at which the current wait without progress started.
    idle_since: Instant,
    /// Whether an event was taken since the clock was last read.
    moved: bool,
}

#[derive(Debug)]
enum Entry {
    Event {
        event: Event,
        cost: u64,
    },
    /// The number of events that were dropped at this position.
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

    /// Returns the number of queued bytes, with an overhead for each event. An event that is queued
    /// for two subscriptions counts twice.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the index of the line of a subscription, or `None` if it has no line.
    pub(super) fn line_of(&self, subscription: &Arc<Subscription>) -> Option<usize> {
        let same = |line: &Line| Arc::ptr_eq(&line.subscription, subscription);
        self.lines.iter().position(same)
    }

    /// Adds a line for a subscription and returns its index. The caller must add an entry.
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

    /// Appends the entries of another backlog to this one.
    pub(super) fn append(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        for line in other.lines {
            match self.line_of(&line.subscription) {
                Some(at) => self.lines[at].entries.extend(line.entries),
                None => self.lines.push(line),
            }
        }
    }

    /// Counts a dropped event at the end of a line.
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

    /// Delivers queued events that have room now, and removes the lines of ended subscriptions.
    /// Returns the number of delivered events and removed lines.
    pub(super) fn flush(&mut self) -> usize {
        let mut moved = 0;
        for at in (0..self.lines.len()).rev() {
            loop {
                let line = &mut self.lines[at];
                let offer = line.offer();
                match offer {
                    Offer::Taken => {
                        moved += 1;
                        self.pop(at);
                    }
                    Offer::Full => break,
                    Offer::Gone => {
                        moved += 1;
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

    /// Removes the first entry of a line after it was delivered.
    pub(super) fn pop(&mut self, line: usize) {
        let line = &mut self.lines[line];
        line.moved = true;
        if let Some(entry) = line.entries.pop_front() {
            self.bytes -= entry.cost();
        }
    }

    /// Removes a line. Returns the number of lost events.
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

    /// Starts measuring the time without progress.
    pub(super) fn begin_wait(&mut self, now: Instant) {
        for line in &mut self.lines {
            line.look_at(now);
            line.idle_since = now;
        }
    }

    /// Stops measuring the time without progress.
    pub(super) fn end_wait(&mut self, now: Instant) {
        for line in &mut self.lines {
            line.look_at(now);
            line.idle_before += now.saturating_duration_since(line.idle_since);
        }
    }

    /// Returns a line without progress for `timeout`, or the time at which there will be one. Must
    /// be called during a wait.
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

/// The result of [`Backlog::too_slow`].
#[derive(Debug)]
pub(super) enum TooSlow {
    Line(usize),
    /// No line before this time, or ever if it is `None`.
    NobodyUntil(Option<Instant>),
}

impl Line {
    /// Returns the next event to deliver.
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
mod tests;
