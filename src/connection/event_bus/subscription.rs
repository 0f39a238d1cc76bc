//! Subscription to messages, alone or with control events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use log::Level;
use parking_lot::RwLock;

use super::event_receiver::EndRecorder;
use super::options::{OverflowPolicy, SubscriptionOptions};
use crate::connection::stop::Never;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};
use crate::log_level::LogLevel;
use crate::log_record::{Component, LogRecord};

/// The sending side of a subscription to messages.
#[derive(Debug)]
pub(super) struct Subscription {
    name: Arc<str>,
    log_level: LogLevel,
    options: SubscriptionOptions,
    takes_control: bool,
    /// Declared before the sender, as [`EndRecorder`] requires.
    end: EndRecorder,
    /// `None` once the subscription has ended.
    open: RwLock<Option<Open>>,
    /// Closes when the subscription ends.
    ended: Receiver<Never>,
    /// The number of dropped events that were not reported.
    missed: AtomicU64,
}

#[derive(Debug)]
struct Open {
    queue: Queue,
    _until_ended: Sender<Never>,
}

/// The sender of a subscription.
#[derive(Clone, Debug)]
pub(super) enum Queue {
    Messages(Sender<BitcoinMessageEvent>),
    Both(Sender<Event>),
}

/// The result of offering an event to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    Full,
    /// The receiver was dropped, or the subscription has ended.
    Gone,
}

impl Subscription {
    pub(super) fn new(
        (name, log_level): (Arc<str>, LogLevel),
        options: SubscriptionOptions,
        end: EndRecorder,
        queue: Queue,
    ) -> Self {
        let (sender, ended) = bounded(0);
        let takes_control = matches!(queue, Queue::Both(_));
        let open = Open {
            queue,
            _until_ended: sender,
        };
        Self {
            name,
            log_level,
            options,
            takes_control,
            end,
            open: RwLock::new(Some(open)),
            ended,
            missed: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Creates a log record about the subscription.
    pub(super) fn log(&self, level: Level) -> LogRecord<'_> {
        LogRecord::new(Component::Connection, level, Some(&self.log_level)).subscription(&self.name)
    }

    pub(super) fn overflow(&self) -> OverflowPolicy {
        self.options.overflow
    }

    /// Returns whether the subscription includes this kind of event.
    pub(super) fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Message(event) => self.options.wants(&event.message),
            Event::Control(_) => self.takes_control(),
        }
    }

    /// Returns whether the receiver gets both kinds of events.
    pub(super) fn takes_control(&self) -> bool {
        self.takes_control
    }

    /// Queues an event for the receiver if there is room. The subscription must include the event.
    pub(super) fn offer(&self, event: &Event) -> Offer {
        let open = self.open.read();
        let Some(open) = &*open else {
            return Offer::Gone;
        };
        match (&open.queue, event) {
            (Queue::Messages(sender), Event::Message(event)) => try_send(sender, event),
            (Queue::Messages(_), Event::Control(_)) => Offer::Taken,
            (Queue::Both(sender), event) => match self.tell_in(sender) {
                Offer::Taken => try_send(sender, event),
                other => other,
            },
        }
    }

    /// Queues a message if the receiver gets messages only.
    ///
    /// Returns the message if it was not queued. [`offer`](Subscription::offer) then finds the
    /// reason.
    pub(super) fn offer_message(
        &self,
        event: BitcoinMessageEvent,
    ) -> Result<(), BitcoinMessageEvent> {
        if !self.options.wants(&event.message) {
            return Ok(());
        }
        match &*self.open.read() {
            Some(Open {
                queue: Queue::Messages(sender),
                ..
            }) => sender.try_send(event).map_err(TrySendError::into_inner),
            _ => Err(event),
        }
    }

    /// Returns whether at least half of the queue is free, or the subscription has ended.
    pub(super) fn is_half_empty(&self) -> bool {
        let half = |waiting: usize, all: Option<usize>| all.is_none_or(|all| waiting * 2 <= all);
        match self.open.read().as_ref().map(|open| &open.queue) {
            Some(Queue::Messages(sender)) => half(sender.len(), sender.capacity()),
            Some(Queue::Both(sender)) => half(sender.len(), sender.capacity()),
            None => true,
        }
    }

    /// Returns the sender, for a blocking send. The caller must drop it when
    /// [`Subscription::ended`] closes.
    pub(super) fn queue(&self) -> Option<Queue> {
        self.open.read().as_ref().map(|open| open.queue.clone())
    }

    /// Returns a channel that closes when the subscription ends.
    pub(super) fn ended(&self) -> &Receiver<Never> {
        &self.ended
    }

    /// Records why the subscription ends. It ends when it is dropped.
    pub(super) fn record_end(&self, reason: SubscriptionEndReason) {
        self.end.record(reason);
    }

    /// Ends the subscription. The receiver returns queued events first, and then the reason.
    /// Returns whether the subscription was open.
    pub(super) fn end(&self, reason: SubscriptionEndReason) -> bool {
        let mut open = self.open.write();
        self.record_end(reason);
        open.take().is_some()
    }

    /// Frees the queue of a subscription whose receiver was dropped.
    pub(super) fn close(&self) {
        self.open.write().take();
    }

    /// Counts dropped events.
    pub(super) fn add_missed(&self, events: u64) {
        self.missed.fetch_add(events, Relaxed);
    }

    /// Returns the report of the events that were dropped since the last call, if any.
    pub(super) fn take_lagged(&self) -> Option<ControlEvent> {
        let missed = self.missed.swap(0, Relaxed);
        (missed > 0).then(|| {
            let text = format_args!("subscription {} dropped {missed} events", self.name);
            self.log(Level::Warn).write(text);
            self.lagged(missed)
        })
    }

    /// Reports dropped events to a receiver of both kinds. Returns whether no report is pending.
    pub(super) fn tell_missed(&self) -> bool {
        match &*self.open.read() {
            Some(Open {
                queue: Queue::Both(sender),
                ..
            }) => self.tell_in(sender) != Offer::Full,
            _ => true,
        }
    }

    /// Reports dropped events if the next event has room as well. A slow receiver would only
    /// receive reports otherwise.
    ///
    /// The queue of a dropped receiver is empty, so that the send detects it.
    fn tell_in(&self, sender: &Sender<Event>) -> Offer {
        let missed = self.missed.load(Relaxed);
        if missed == 0 {
            return Offer::Taken;
        }
        if sender.capacity().is_some_and(|all| sender.len() + 2 > all) {
            return Offer::Full;
        }
        let missed = self.missed.swap(0, Relaxed);
        if missed == 0 {
            return Offer::Taken;
        }
        let told = try_send(sender, &Event::Control(self.lagged(missed)));
        if told == Offer::Full {
            self.add_missed(missed);
        }
        told
    }

    /// Returns the report of `missed` dropped events.
    pub(super) fn lagged(&self, missed: u64) -> ControlEvent {
        ControlEvent::Lagged {
            subscription: self.name.clone(),
            missed,
        }
    }
}

fn try_send<T: Clone>(sender: &Sender<T>, event: &T) -> Offer {
    match sender.try_send(event.clone()) {
        Ok(()) => Offer::Taken,
        Err(TrySendError::Full(_)) => Offer::Full,
        Err(TrySendError::Disconnected(_)) => Offer::Gone,
    }
}
