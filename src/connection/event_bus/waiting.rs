//! Waits for slow subscribers while reading is paused and after a connection has closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender};
use log::Level;

use super::backlog::{Line, TooSlow};
use super::delivery::Delivery;
use super::subscription::{Queue, Subscription};
use crate::connection::stop::Stop;
use crate::deadline::saturating_add;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};

/// The maximum time between two checks during a wait.
const LOOK: Duration = Duration::from_secs(1);
/// The maximum time that a connection thread delivers events before it reads its socket again.
const LEND: Duration = Duration::from_millis(10);
/// The time after a delivery within which subscribers count as fast.
const BRISK: Duration = Duration::from_millis(2);
/// The minimum number of events in a delivery from which subscribers count as fast.
const MANY: usize = 16;
/// The pause in which fast subscribers take a batch before the next delivery. Waking both threads
/// for each event would cost more.
const REST: Duration = Duration::from_micros(100);
/// The maximum number of yields before such a pause, which is skipped once a queue is half empty.
const TURNS: usize = 16;
/// The time after a delivery within which subscribers count as active.
const STILL_MOVING: Duration = Duration::from_millis(50);

/// The signals that end a wait for subscribers.
#[derive(Clone, Copy)]
pub(in crate::connection) struct Signals<'a> {
    pub(in crate::connection) stop: &'a Stop,
    /// The number of open requests to the peer.
    pub(in crate::connection) open_requests: &'a AtomicUsize,
    /// Receives a value when a request is opened.
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
    /// Pauses reading until the backlog has room. Ends subscriptions that exceed their timeout.
    ///
    /// The pause also ends if a request is opened, if the connection is stopped, or within 1 s
    /// after `is_over` returns `true`. Returns the start and end of the pause, or `None` if there
    /// was none.
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

    /// Delivers the backlog of an idle peer while its subscribers are active, for at most [`LEND`].
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

    /// Delivers the backlog of a busy peer while its subscribers are fast, for at most [`LEND`].
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

    /// Returns whether the subscribers are fast.
    fn is_brisk(&self, now: Instant) -> bool {
        self.moved >= MANY && now.saturating_duration_since(self.moved_at) < BRISK
    }

    /// Delivers the backlog without reading, for at most `within` or until the connection is
    /// stopped.
    pub(in crate::connection) fn settle(&mut self, within: Duration, signals: &Signals<'_>) {
        let began = Instant::now();
        let deadline = saturating_add(began, within);
        self.backlog.begin_wait(began);
        loop {
            self.flush();
            let now = Instant::now();
            // A subscription that exceeded its timeout must be reported as too slow before the
            // backlog is dropped.
            let over = now >= deadline && !self.end_the_slow(now, signals);
            if over || self.backlog.is_empty() || signals.is_stopped() {
                return self.backlog.end_wait(now);
            }
            self.wait(now, Some(deadline), signals);
        }
    }

    /// Delivers the backlog after the final event of a connection, for at most the subscriber
    /// timeout. The rest is dropped and reported.
    pub(in crate::connection) fn finish(&mut self, signals: &Signals<'_>) {
        if !self.backlog.is_empty() {
            self.settle(self.limits.subscriber_timeout, signals);
        }
        self.give_up(signals);
        self.release();
    }

    /// Waits once, unless subscriptions were ended.
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

    /// Ends the subscriptions that exceeded their timeout. Returns whether there were any.
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
            subscription.log(Level::Warn).write(format_args!(
                "subscription {name} timed out after {timeout:?}, dropping {lost} events"
            ));
            let event = ControlEvent::SubscriptionEnded {
                subscription: name.clone(),
                reason,
            };
            self.control(event, signals);
        }
    }

    /// Pauses to let fast subscribers empty their queues, unless a signal arrives.
    fn rest(&self, signals: &Signals<'_>) {
        // On a single processor, the subscribers run while this thread yields. No timer is as
        // precise.
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

    /// Waits until an event is taken, a subscription ends, a signal arrives, or `until`.
    fn select(&mut self, until: Instant, signals: &Signals<'_>) {
        // Cloned, so that no lock is held during the wait. Dropped as soon as a subscription ends.
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
            // The channel never sends: its close is the signal.
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
                // The next attempt at this line detects a dropped receiver.
                if sent {
                    self.backlog.pop(offered.line);
                    self.moved_at = Instant::now();
                }
                return;
            }
        }
    }
}

/// The first event of a line, with the sender of its subscription.
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
    /// Returns `None` if the subscription has just ended.
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
