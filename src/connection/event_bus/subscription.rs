//! The publishing side of a subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::Mutex;

use super::credit::Credit;
use super::event_queue::EventSender;
use super::options::{OverflowPolicy, SubscriptionOptions};
use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};
use crate::log_level::LogLevel;
use crate::log_record::{Component, LogRecord};
use crate::wire::Message;

/// The maximum number of pending events in a receiver of control events. Further ones are dropped
/// and reported by [`ControlEvent::Lagged`], except life-cycle events.
const CONTROL_CAPACITY: usize = 1024;
/// The maximum number of pending life-cycle events in a receiver. At the next one, the subscription
/// ends as too slow.
pub(super) const MAX_LIFE_CYCLE_EVENTS: u64 = 16_384;
/// The size of a pending event in addition to its message, in bytes: the queue's slot, the shared
/// pointer and the fields of the message.
pub(super) const EVENT_OVERHEAD: u64 = 512;

/// The publishing side of a subscription. Used by all streams at once; no method blocks.
#[derive(Debug)]
pub(super) struct Subscription {
    name: Arc<str>,
    log_level: LogLevel,
    options: SubscriptionOptions,
    queue: Queue,
    /// The number of pending life-cycle events.
    life_cycle: Arc<Credit>,
    /// The number of dropped events that were not reported.
    missed: AtomicU64,
    /// The last check of a receiver that delays a stream.
    progress: Mutex<Option<Progress>>,
}

/// The queue of a subscription, by the events that it takes.
#[derive(Debug)]
pub(super) enum Queue {
    Control(EventSender<ControlEvent>),
    Messages(EventSender<BitcoinMessageEvent>),
    Both(EventSender<Event>),
}

/// Calls a method of the queue, whatever its events are.
macro_rules! with_queue {
    ($subscription:expr, $queue:ident => $call:expr) => {
        match &$subscription.queue {
            Queue::Control($queue) => $call,
            Queue::Messages($queue) => $call,
            Queue::Both($queue) => $call,
        }
    };
}

/// The number of events that a receiver had taken, and the first check that found this number.
#[derive(Clone, Copy, Debug)]
struct Progress {
    taken: u64,
    since: Instant,
}

/// The result of publishing an event to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publication {
    /// The event was queued, or the subscription does not include it.
    Queued,
    /// The event was dropped and counted.
    Dropped,
    /// The subscription has ended, or its receiver was dropped.
    Ended,
    /// The receiver left too many life-cycle events untaken. The subscription must be ended.
    TooSlow,
}

impl Subscription {
    pub(super) fn new(
        name: Arc<str>,
        log_level: LogLevel,
        options: SubscriptionOptions,
        queue: Queue,
    ) -> Self {
        Self {
            name,
            log_level,
            options,
            queue,
            life_cycle: Arc::default(),
            missed: AtomicU64::new(0),
            progress: Mutex::new(None),
        }
    }

    /// Returns the options of a subscription to control events only.
    pub(super) fn control_options() -> SubscriptionOptions {
        SubscriptionOptions {
            capacity: CONTROL_CAPACITY,
            overflow: OverflowPolicy::DropNewest,
            ..SubscriptionOptions::default()
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Creates a log record about the subscription.
    pub(super) fn log(&self, level: Level) -> LogRecord<'_> {
        LogRecord::new(Component::Connection, level, Some(&self.log_level)).subscription(&self.name)
    }

    /// Returns whether the receiver gets control events.
    pub(super) fn takes_control(&self) -> bool {
        !matches!(self.queue, Queue::Messages(_))
    }

    /// Returns whether the receiver gets messages.
    pub(super) fn takes_messages(&self) -> bool {
        !matches!(self.queue, Queue::Control(_))
    }

    /// Returns whether the subscription includes this message.
    pub(super) fn wants(&self, message: &Message) -> bool {
        self.options.wants(message)
    }

    /// Publishes a message. The subscription must include it.
    ///
    /// If the queue is full, the message is charged to `credit`, or dropped if that is `None`.
    pub(super) fn publish_message(
        &self,
        event: BitcoinMessageEvent,
        credit: Option<&Arc<Credit>>,
    ) -> Publication {
        let mut charge = None;
        if !self.has_room() {
            match credit {
                Some(credit) if self.options.overflow == OverflowPolicy::Block => {
                    charge = Some(credit.charge(cost(&event)));
                }
                _ => return self.on_drop(),
            }
        }
        let queued = match &self.queue {
            Queue::Messages(queue) => queue.push_charged(event, charge).is_ok(),
            Queue::Both(queue) => {
                self.push_lag();
                let event = Event::Message(event);
                queue.push_charged(event, charge).is_ok()
            }
            Queue::Control(_) => true,
        };
        Publication::queued(queued)
    }

    /// Publishes a control event. Drops it if the queue is full, unless it is a life-cycle event.
    pub(super) fn publish_control(&self, event: &ControlEvent) -> Publication {
        if !self.takes_control() {
            return Publication::Queued;
        }
        let mut charge = None;
        if event.is_life_cycle() {
            if self.life_cycle.used() >= MAX_LIFE_CYCLE_EVENTS {
                return Publication::TooSlow;
            }
            charge = Some(self.life_cycle.charge(1));
        } else if !self.has_room() {
            return self.on_drop();
        }
        // The report shows where events are missing.
        self.push_lag();
        let event = event.clone();
        Publication::queued(match &self.queue {
            Queue::Control(queue) => queue.push_charged(event, charge).is_ok(),
            Queue::Both(queue) => queue.push_charged(Event::Control(event), charge).is_ok(),
            Queue::Messages(_) => true,
        })
    }

    fn has_room(&self) -> bool {
        with_queue!(self, queue => queue.has_room(self.options.capacity))
    }

    fn on_drop(&self) -> Publication {
        self.missed.fetch_add(1, Relaxed);
        Publication::Dropped
    }

    /// Returns whether the subscription has ended or its receiver was dropped.
    pub(super) fn has_ended(&self) -> bool {
        with_queue!(self, queue => queue.has_ended())
    }

    /// Ends the subscription. The receiver returns pending events first, and then the reason.
    /// Returns whether the subscription was active.
    pub(super) fn end(&self, reason: SubscriptionEndReason) -> bool {
        with_queue!(self, queue => queue.end(reason))
    }

    /// Ends the subscription and discards all pending events. Returns the number of events that the
    /// receiver loses, with those that were dropped before and not reported, or `None` if the
    /// subscription was not active.
    pub(super) fn end_and_clear(&self, reason: SubscriptionEndReason) -> Option<u64> {
        let lost = with_queue!(self, queue => queue.end_and_clear(reason))?;
        Some(lost + self.missed.swap(0, Relaxed))
    }

    /// Checks a receiver that may delay a stream. Returns the time at which the subscription must
    /// be ended as too slow: `timeout` after the first check since the receiver last took an event.
    ///
    /// Returns `None` if the subscription delays no stream.
    pub(super) fn too_slow_at(&self, timeout: Duration, now: Instant) -> Option<Instant> {
        if self.options.overflow != OverflowPolicy::Block {
            return None;
        }
        let (pending, taken) = with_queue!(self, queue => (queue.len(), queue.taken()));
        let mut progress = self.progress.lock();
        if pending <= self.options.capacity {
            *progress = None;
            return None;
        }
        let since = match *progress {
            // Another thread may have read the number later.
            Some(before) if taken <= before.taken => before.since,
            _ => {
                *progress = Some(Progress { taken, since: now });
                now
            }
        };
        since.checked_add(timeout)
    }

    /// Restarts the timeout of a receiver that took nothing, because the process was suspended.
    pub(super) fn restart_timeout(&self, now: Instant) {
        if let Some(progress) = &mut *self.progress.lock() {
            progress.since = now;
        }
    }

    /// Returns the report of the events that were dropped since the last report, if any.
    pub(super) fn take_lag(&self) -> Option<ControlEvent> {
        if self.missed.load(Relaxed) == 0 {
            return None;
        }
        let missed = self.missed.swap(0, Relaxed);
        (missed > 0).then(|| ControlEvent::Lagged {
            subscription: self.name.clone(),
            missed,
        })
    }

    /// Reports dropped events to a receiver of control events. Returns whether no report is
    /// pending.
    ///
    /// Unless `at_last` is set, the next event must have room as well. A slow receiver would only
    /// receive reports otherwise.
    pub(super) fn report_lag(&self, at_last: bool) -> bool {
        if self.missed.load(Relaxed) == 0 {
            return true;
        }
        let pending = with_queue!(self, queue => queue.len());
        if !at_last && pending + 2 > self.options.capacity {
            return false;
        }
        self.push_lag();
        true
    }

    /// Queues a report of dropped events, if there are any.
    fn push_lag(&self) {
        let Some(lagged) = self.take_lag() else {
            return;
        };
        // Fails only if the subscription has ended.
        let _ = match &self.queue {
            Queue::Control(queue) => queue.push(lagged).is_ok(),
            Queue::Both(queue) => queue.push(Event::Control(lagged)).is_ok(),
            Queue::Messages(_) => true,
        };
    }
}

impl Publication {
    fn queued(is_queued: bool) -> Self {
        match is_queued {
            true => Publication::Queued,
            false => Publication::Ended,
        }
    }
}

/// Returns the size of a pending message event in memory, in bytes.
///
/// A decoded message may hold twice its payload. A message that shares its payload holds it once.
fn cost(event: &BitcoinMessageEvent) -> u64 {
    let payload = event.message.payload_len();
    let content = match event.message.payload_bytes() {
        Some(_) => payload,
        None => payload.saturating_mul(2),
    };
    content.saturating_add(EVENT_OVERHEAD)
}
