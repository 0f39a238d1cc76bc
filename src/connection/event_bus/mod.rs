//! From the connections to whoever listens.

mod announcer;
mod backlog;
mod control;
mod delivery;
mod hub;
mod options;
mod subscription;
mod waiting;

pub(crate) use announcer::Announcer;
pub(super) use delivery::{Delivery, DeliveryLimits};
pub use options::{OverflowPolicy, SubscriptionOptions};
pub(super) use waiting::Signals;

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use self::hub::Hub;
use self::subscription::Queue;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// Where connections send their events, and programs subscribe to them.
///
/// Make one, subscribe, and hand a clone (it is the same bus) to every connection: a subscription made before a connection
/// is spawned misses nothing. Any number of receivers; one that is dropped disappears. A receiver's loop ends when the bus and all
/// connections that hold it are gone. Safe to use from several threads; no call waits for anybody.
///
/// What a receiver of messages does not take in time waits for it, bounded in bytes for each peer; when that room is full, the peer is held
/// back by TCP, and nothing is lost. A receiver that does not move at all then ends as
/// [`TooSlow`](crate::event::SubscriptionEndReason::TooSlow), so that it costs itself only: [`OverflowPolicy`] says more. A receiver of control events
/// never makes anybody wait: what it does not take in time is counted. Whatever was dropped is told by [`ControlEvent::Lagged`].
#[derive(Clone, Debug, Default)]
pub struct EventBus {
    hub: Arc<Hub>,
}

impl EventBus {
    /// A bus without receivers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes to what happens to connections. Up to 1,024 events may wait in the receiver. It is called `control` and a number.
    pub fn subscribe_control(&self) -> Receiver<ControlEvent> {
        self.hub.subscribe_control()
    }

    /// Subscribes to messages, with the defaults of [`SubscriptionOptions`].
    pub fn subscribe_messages(&self) -> Receiver<BitcoinMessageEvent> {
        self.subscribe_messages_with(SubscriptionOptions::default())
    }

    /// Subscribes to messages. What is dropped for want of room is told to those who get control events.
    pub fn subscribe_messages_with(
        &self,
        options: SubscriptionOptions,
    ) -> Receiver<BitcoinMessageEvent> {
        let (sender, receiver) = bounded(options.capacity.max(1));
        self.hub
            .subscribe("messages", options, Queue::Messages(sender));
        receiver
    }

    /// Subscribes to both in one receiver, with the defaults of [`SubscriptionOptions`].
    pub fn subscribe(&self) -> Receiver<Event> {
        self.subscribe_with(SubscriptionOptions::default())
    }

    /// Subscribes to both in one receiver, in the order in which each stream of a peer sends them. With [`OverflowPolicy::DropNewest`] control events
    /// may be dropped too. What is dropped is told in the same receiver.
    pub fn subscribe_with(&self, options: SubscriptionOptions) -> Receiver<Event> {
        let (sender, receiver) = bounded(options.capacity.max(2));
        self.hub.subscribe("both", options, Queue::Both(sender));
        receiver
    }

    /// Ends every subscription: its receiver gets what is in its queue, and then ends. A later one ends at once.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// What one connection sends with.
    pub(super) fn delivery(&self, limits: DeliveryLimits) -> Delivery {
        Delivery::new(self.hub.clone(), limits)
    }
}
