//! Distributes the events of connections to subscribers.

mod credit;
mod event_queue;
mod event_receiver;
mod misbehavior_aggregator;
mod options;
mod publisher;
mod recv_error;
mod registry;
mod subscription;
#[cfg(test)]
mod test_events;

pub use event_queue::QueuedEvent;
pub(crate) use event_queue::{EventSender, event_queue};
pub use event_receiver::{EventIntoIter, EventIter, EventReceiver, EventTryIter};
pub(super) use misbehavior_aggregator::{AggregatedMisbehavior, MisbehaviorAggregator};
pub use options::{OverflowPolicy, SubscriptionOptions};
pub(super) use publisher::EventPublisher;
pub use recv_error::{RecvError, RecvTimeoutError, TryRecvError};

use std::sync::Arc;

use self::publisher::PublisherLimits;
use self::registry::SubscriptionRegistry;
use self::subscription::{Queue, Subscription};
use super::ConnectionConfig;
use super::waker::Waker;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};
use crate::log_level::LogLevel;

/// A publish/subscribe channel that delivers the events of connections to any number of receivers.
///
/// Create a bus, subscribe, and pass a clone of it to each connection. A clone publishes to the
/// same subscribers. A subscription created before a connection is spawned receives all of its
/// events. Dropping a receiver cancels its subscription. A bus can be used from several threads,
/// and its methods do not block.
///
/// An event is in the queue of a subscription as soon as it is published. If a receiver of messages
/// is slow, events above the capacity of its queue are limited for each stream of a peer, and then
/// reading from that stream pauses. If the receiver takes nothing for some time, its subscription is
/// ended as [`TooSlow`](crate::event::SubscriptionEndReason::TooSlow), and the receiver reports
/// that. [`OverflowPolicy`] has the details.
///
/// Control events never pause reading. [Life-cycle events](ControlEvent::is_life_cycle) are always
/// queued. A subscription that leaves 16,384 of them untaken is ended as too slow at the next one.
/// Other control events are dropped if the queue is full. [`ControlEvent::Lagged`] reports the
/// number of dropped events.
///
/// A receiver also ends when the bus and all connections that use it are dropped, or when the
/// [`Manager`](crate::Manager) that owns the bus shuts down. Events in its queue are returned
/// first. [`EventReceiver`] documents how it reports the reason.
#[derive(Clone, Debug, Default)]
pub struct EventBus {
    registry: Arc<SubscriptionRegistry>,
}

impl EventBus {
    /// Creates a bus without subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a bus whose log records have a maximum level.
    pub(crate) fn with_log_level(log_level: LogLevel) -> Self {
        let registry = Arc::new(SubscriptionRegistry::new(log_level));
        Self { registry }
    }

    /// Subscribes to control events.
    ///
    /// The receiver holds all life-cycle events, up to 16,384. Other events are dropped while 1,024
    /// events are pending, and reported by [`ControlEvent::Lagged`]. The name of the subscription is
    /// `control` and a number.
    pub fn subscribe_control(&self) -> EventReceiver<ControlEvent> {
        let (sender, receiver) = event_queue();
        let options = Subscription::control_options();
        self.registry
            .subscribe("control", options, Queue::Control(sender));
        receiver
    }

    /// Subscribes to messages, with the default [`SubscriptionOptions`].
    pub fn subscribe_messages(&self) -> EventReceiver<BitcoinMessageEvent> {
        self.subscribe_messages_with(SubscriptionOptions::default())
    }

    /// Subscribes to messages.
    ///
    /// Receivers of control events get a [`ControlEvent::Lagged`] if messages are dropped.
    pub fn subscribe_messages_with(
        &self,
        mut options: SubscriptionOptions,
    ) -> EventReceiver<BitcoinMessageEvent> {
        options.capacity = options.capacity.max(1);
        let (sender, receiver) = event_queue();
        self.registry
            .subscribe("messages", options, Queue::Messages(sender));
        receiver
    }

    /// Subscribes to messages and control events with one receiver, with the default
    /// [`SubscriptionOptions`].
    pub fn subscribe(&self) -> EventReceiver<Event> {
        self.subscribe_with(SubscriptionOptions::default())
    }

    /// Subscribes to messages and control events with one receiver.
    ///
    /// Events keep the order of each stream of a peer. If the queue is full, control events are
    /// dropped, with either [`OverflowPolicy`], except [life-cycle
    /// events](ControlEvent::is_life_cycle). Dropped events are reported by a
    /// [`ControlEvent::Lagged`] in the same receiver.
    pub fn subscribe_with(&self, mut options: SubscriptionOptions) -> EventReceiver<Event> {
        options.capacity = options.capacity.max(2);
        let (sender, receiver) = event_queue();
        self.registry
            .subscribe("both", options, Queue::Both(sender));
        receiver
    }

    /// Ends all subscriptions. Receivers return queued events first. Later subscriptions end
    /// immediately.
    pub(crate) fn close(&self) {
        self.registry.close();
    }

    /// Publishes a control event. Does not block.
    pub(crate) fn publish_control(&self, event: &ControlEvent) {
        self.registry.publish_control(event);
    }

    /// Reports dropped events to the receivers of control events. If `at_last` is set, reports them
    /// at once, also to full receivers.
    pub(crate) fn report_lag(&self, at_last: bool) {
        self.registry.report_lag(at_last);
    }

    /// Creates the publisher of one stream, whose thread waits for `waker`.
    pub(super) fn publisher(&self, config: &ConnectionConfig, waker: Arc<Waker>) -> EventPublisher {
        EventPublisher::new(self.registry.clone(), PublisherLimits::from(config), waker)
    }
}
