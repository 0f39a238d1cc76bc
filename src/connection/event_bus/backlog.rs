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

    /// Adds what waits in another backlog, behind what waits in this one.
    pub(super) fn append(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        for line in other.lines {
            match self.line_of(&line.subscription) {
                Some(at) => self.lines[at].entries.extend(line.entries),
                None => self.lines.push(line),
            }
        }
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

    /// Hands out what has room now, and forgets the lines of those who have gone. Returns how many moved, those who have
    /// gone included.
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
mod tests;
