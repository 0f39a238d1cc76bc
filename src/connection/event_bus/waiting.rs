//! Waiting for subscribers: while reading has stopped, and after the end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender};

use super::backlog::{Line, TooSlow};
use super::delivery::Delivery;
use super::subscription::{Queue, Subscription};
use crate::connection::stop::Stop;
use crate::deadline::saturating_add;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};

/// How long a wait lasts at most before everything is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// How long a quiet peer's thread stays with subscribers that go on taking, before it looks at its socket again.
const LEND: Duration = Duration::from_millis(10);
/// A subscriber that took something so recently takes the next in a moment …
const BRISK: Duration = Duration::from_millis(2);
/// … and if it took so many at once …
const MANY: usize = 16;
/// … it is let to take as many again before more is handed to it: to wait for each single place costs both threads a wake for every
/// event.
const REST: Duration = Duration::from_micros(100);
/// Before such a rest, so many times other threads are let go first, until a queue is half empty.
const TURNS: usize = 16;
/// A subscriber that took something so recently goes on taking.
const STILL_MOVING: Duration = Duration::from_millis(50);

/// What ends a connection's wait for its subscribers.
#[derive(Clone, Copy)]
pub(in crate::connection) struct Signals<'a> {
    pub(in crate::connection) stop: &'a Stop,
    /// How many requests wait for an answer of this peer.
    pub(in crate::connection) open_requests: &'a AtomicUsize,
    /// Gets something when a request is opened.
    pub(in crate::connection) wake: &'a Receiver<()>,
}

impl Signals<'_> {
    pub(super) fn is_request_open(&self) -> bool {
        self.open_requests.load(SeqCst) > 0
    }

    fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }
}

impl Delivery {
    /// Stops reading until the backlog has room: at the latest when its slow subscriptions have been ended. Also ends when a request is
    /// opened, when the connection is stopped, and, within a second, when `is_over` says that it has ended otherwise. Returns
    /// from when until when it waited, if it did.
    pub(in crate::connection) fn wait_for_room(
        &mut self,
        signals: &Signals<'_>,
        is_over: impl Fn() -> bool,
    ) -> Option<(Instant, Instant)> {
        if signals.is_request_open() {
            return None;
        }
        let from = Instant::now();
        self.backlog.begin_wait(from);
        loop {
            self.flush();
            let now = Instant::now();
            let goes_on = !self.is_full() || signals.is_request_open();
            if goes_on || signals.is_stopped() || is_over() {
                self.backlog.end_wait(now);
                return Some((from, now));
            }
            self.wait(now, None, signals);
        }
    }

    /// For a peer that is quiet: goes on handing out while the subscribers go on taking, for some milliseconds.
    pub(in crate::connection) fn lend(&mut self, signals: &Signals<'_>) {
        if self.backlog.is_empty() || self.moved_at.elapsed() > STILL_MOVING {
            return;
        }
        let until = Instant::now() + LEND;
        self.flush();
        let mut now = Instant::now();
        while !self.backlog.is_empty() && !signals.is_stopped() && now < until {
            if self.is_brisk(now) {
                self.rest(signals);
            } else {
                self.select(until, signals);
            }
            self.flush();
            now = Instant::now();
        }
    }

    /// For a peer that goes on sending: lets subscribers that take many at once do so first, for some milliseconds at most.
    pub(in crate::connection) fn lend_to_brisk(&mut self, signals: &Signals<'_>) {
        if self.backlog.is_empty() {
            return;
        }
        self.flush();
        let mut now = Instant::now();
        let until = now + LEND;
        while !self.backlog.is_empty() && self.is_brisk(now) && !signals.is_stopped() && now < until
        {
            self.rest(signals);
            self.flush();
            now = Instant::now();
        }
    }

    /// Whether the subscribers have just taken many at once.
    fn is_brisk(&self, now: Instant) -> bool {
        self.moved >= MANY && now.saturating_duration_since(self.moved_at) < BRISK
    }

    /// Hands out what waits, without reading: until nothing waits any more, the connection is stopped, or the time for it is over.
    pub(in crate::connection) fn settle(&mut self, within: Duration, signals: &Signals<'_>) {
        let began = Instant::now();
        let deadline = saturating_add(began, within);
        self.backlog.begin_wait(began);
        loop {
            self.flush();
            let now = Instant::now();
            // Who has taken nothing in all that time is too slow, and not merely late.
            let over = now >= deadline && !self.end_the_slow(now, signals);
            if over || self.backlog.is_empty() || signals.is_stopped() {
                return self.backlog.end_wait(now);
            }
            self.wait(now, Some(deadline), signals);
        }
    }

    /// After the last event of a connection: hands out what waits, at most for the subscribers' timeout. What is left is
    /// dropped, and its number told.
    pub(in crate::connection) fn finish(&mut self, signals: &Signals<'_>) {
        if !self.backlog.is_empty() {
            self.settle(self.limits.subscriber_timeout, signals);
        }
        self.give_up(signals);
        self.release();
    }

    /// Waits once, unless there are subscriptions to be ended.
    fn wait(&mut self, now: Instant, deadline: Option<Instant>, signals: &Signals<'_>) {
        if self.end_the_slow(now, signals) {
            return;
        }
        let timeout = self.limits.subscriber_timeout;
        let too_slow_at = match self.backlog.too_slow(timeout, now) {
            TooSlow::Line(_) => return,
            TooSlow::NobodyUntil(at) => at,
        };
        let deadlines = [too_slow_at, deadline, Some(now + LOOK)];
        if self.is_brisk(now) {
            self.rest(signals);
        } else if let Some(until) = deadlines.into_iter().flatten().min() {
            self.select(until, signals);
        }
        self.tell_missed(false, signals);
    }

    /// Ends the subscriptions that have been waited for too long. Returns whether there were any.
    fn end_the_slow(&mut self, now: Instant, signals: &Signals<'_>) -> bool {
        let mut any = false;
        while let TooSlow::Line(line) = self.backlog.too_slow(self.limits.subscriber_timeout, now) {
            self.end_line(line, signals);
            any = true;
        }
        any
    }

    fn end_line(&mut self, line: usize, signals: &Signals<'_>) {
        let subscription = self.backlog.lines[line].subscription.clone();
        let lost = self.backlog.remove(line);
        let reason = SubscriptionEndReason::TooSlow;
        if self.hub.end(&subscription, reason) {
            let (name, timeout) = (subscription.name(), self.limits.subscriber_timeout);
            log::warn!("subscription {name} timed out after {timeout:?}, dropping {lost} events");
            let event = ControlEvent::SubscriptionEnded {
                subscription: name.clone(),
                reason,
            };
            self.control(event, signals);
        }
    }

    /// Lets subscribers make room, unless a signal comes.
    fn rest(&self, signals: &Signals<'_>) {
        // Where there is no processor for both, they are done when this thread has the next turn: no clock is as exact.
        for _ in 0..TURNS {
            thread::yield_now();
            let mut lines = self.backlog.lines.iter();
            if lines.any(|line| line.subscription.is_half_empty()) {
                return;
            }
        }
        let mut select = Select::new();
        let stop = select.recv(signals.stop.signal());
        select.recv(signals.wake);
        if let Ok(operation) = select.select_timeout(REST) {
            if operation.index() == stop {
                let _ = operation.recv(signals.stop.signal());
            } else {
                let _ = operation.recv(signals.wake);
            }
        }
    }

    /// Waits until a subscriber has taken something or gone, a signal came, or `until`.
    fn select(&mut self, until: Instant, signals: &Signals<'_>) {
        // Copies, so that no lock is held while it waits. They are let go as soon as a subscription ends.
        let lines = self.backlog.lines.iter().enumerate();
        let offers: Vec<_> = lines
            .filter_map(|(at, line)| Offered::of(at, line))
            .collect();
        let mut select = Select::new();
        let stop = select.recv(signals.stop.signal());
        let wake = select.recv(signals.wake);
        let mut operations = Vec::with_capacity(offers.len());
        for offered in &offers {
            let send = match &offered.event {
                To::Messages(sender, _) => select.send(sender),
                To::Both(sender, _) => select.send(sender),
            };
            operations.push((send, select.recv(offered.subscription.ended())));
        }
        let Ok(operation) = select.select_deadline(until) else {
            return;
        };
        let index = operation.index();
        if index == stop {
            // It never brings anything: its end is the signal.
            let _ = operation.recv(signals.stop.signal());
            return;
        }
        if index == wake {
            let _ = operation.recv(signals.wake);
            return;
        }
        for (offered, (send, ended)) in offers.iter().zip(operations) {
            if index == ended {
                let _ = operation.recv(offered.subscription.ended());
                return;
            }
            if index == send {
                let sent = match &offered.event {
                    To::Messages(sender, event) => operation.send(sender, event.clone()).is_ok(),
                    To::Both(sender, event) => operation.send(sender, event.clone()).is_ok(),
                };
                // A receiver that was dropped is seen when its line is tried next.
                if sent {
                    self.backlog.pop(offered.line);
                    self.moved_at = Instant::now();
                }
                return;
            }
        }
    }
}

/// The first event of a line, and the way to its receiver.
struct Offered {
    line: usize,
    subscription: Arc<Subscription>,
    event: To,
}

enum To {
    Messages(Sender<BitcoinMessageEvent>, BitcoinMessageEvent),
    Both(Sender<Event>, Event),
}

impl Offered {
    /// `None` for a subscription that has just ended.
    fn of(at: usize, line: &Line) -> Option<Self> {
        let event = match (line.subscription.queue()?, line.first()?) {
            (Queue::Messages(sender), Event::Message(event)) => To::Messages(sender, event),
            (Queue::Both(sender), event) => To::Both(sender, event),
            (Queue::Messages(_), Event::Control(_)) => return None,
        };
        Some(Self {
            line: at,
            subscription: line.subscription.clone(),
            event,
        })
    }
}
