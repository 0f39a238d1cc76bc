//! A subscription to messages, alone or with control events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::RwLock;

use super::event_receiver::EndRecorder;
use super::options::{OverflowPolicy, SubscriptionOptions};
use crate::connection::stop::Never;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};

/// What all connections know of a receiver of messages.
#[derive(Debug)]
pub(super) struct Subscription {
    name: Arc<str>,
    options: SubscriptionOptions,
    takes_control: bool,
    /// Before the sender: see [`EndRecorder`].
    end: EndRecorder,
    /// `None` once the subscription has ended.
    open: RwLock<Option<Open>>,
    /// Ends with the subscription.
    ended: Receiver<Never>,
    /// How many events it has missed and has not been told of.
    missed: AtomicU64,
}

#[derive(Debug)]
struct Open {
    queue: Queue,
    _until_ended: Sender<Never>,
}

/// The way to a receiver.
#[derive(Clone, Debug)]
pub(super) enum Queue {
    Messages(Sender<BitcoinMessageEvent>),
    Both(Sender<Event>),
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    Full,
    /// The receiver was dropped, or the subscription has ended.
    Gone,
}

impl Subscription {
    pub(super) fn new(
        name: Arc<str>,
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

    pub(super) fn overflow(&self) -> OverflowPolicy {
        self.options.overflow
    }

    /// Whether the program asked for events like this one.
    pub(super) fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Message(event) => self.options.wants(&event.message),
            Event::Control(_) => self.takes_control(),
        }
    }

    /// Whether the receiver is one of both kinds of events.
    pub(super) fn takes_control(&self) -> bool {
        self.takes_control
    }

    /// Puts an event that the program asked for into the receiver's queue if there is room.
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

    /// The same of a message, if the receiver is one of messages alone. Given back is what has to be [offered](Subscription::offer)
    /// to find out what became of it.
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

    /// Whether half of the receiver's places are free, or nobody takes anything any more.
    pub(super) fn is_half_empty(&self) -> bool {
        let half = |waiting: usize, all: Option<usize>| all.is_none_or(|all| waiting * 2 <= all);
        match self.open.read().as_ref().map(|open| &open.queue) {
            Some(Queue::Messages(sender)) => half(sender.len(), sender.capacity()),
            Some(Queue::Both(sender)) => half(sender.len(), sender.capacity()),
            None => true,
        }
    }

    /// The way to the receiver, for somebody who waits for room. Whoever has it lets go of it when [`Subscription::ended`] does.
    pub(super) fn queue(&self) -> Option<Queue> {
        self.open.read().as_ref().map(|open| open.queue.clone())
    }

    /// A channel that ends with the subscription.
    pub(super) fn ended(&self) -> &Receiver<Never> {
        &self.ended
    }

    /// Records why the subscription ends. It ends when it is dropped.
    pub(super) fn record_end(&self, reason: SubscriptionEndReason) {
        self.end.record(reason);
    }

    /// Ends the subscription: its receiver gets what is in its queue, and then the reason. Returns whether it was open until
    /// now.
    pub(super) fn end(&self, reason: SubscriptionEndReason) -> bool {
        let mut open = self.open.write();
        self.record_end(reason);
        open.take().is_some()
    }

    /// Frees the queue of a subscription whose receiver was dropped.
    pub(super) fn close(&self) {
        self.open.write().take();
    }

    /// Counts events that the receiver will not get.
    pub(super) fn add_missed(&self, events: u64) {
        self.missed.fetch_add(events, Relaxed);
    }

    /// The event that says what was missed since this was last asked, if anything.
    pub(super) fn take_lagged(&self) -> Option<ControlEvent> {
        let missed = self.missed.swap(0, Relaxed);
        (missed > 0).then(|| {
            log::warn!("subscription {} dropped {missed} events", self.name);
            self.lagged(missed)
        })
    }

    /// Tells a receiver of both kinds what it has missed. Returns whether nothing is left to be told.
    pub(super) fn tell_missed(&self) -> bool {
        match &*self.open.read() {
            Some(Open {
                queue: Queue::Both(sender),
                ..
            }) => self.tell_in(sender) != Offer::Full,
            _ => true,
        }
    }

    /// Tells only where the event after it has room as well: otherwise a slow receiver would get nothing but such news. A receiver
    /// that was dropped has an empty queue.
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

    /// The event that says how much this subscription has missed.
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
