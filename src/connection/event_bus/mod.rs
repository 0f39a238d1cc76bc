//! Distributes the events of connections to subscribers.

mod announcer;
mod backlog;
mod control;
mod delivery;
mod event_receiver;
mod hub;
mod options;
mod recv_error;
mod subscription;
mod waiting;

pub(crate) use announcer::Announcer;
pub(super) use delivery::{Delivery, DeliveryLimits};
pub(crate) use event_receiver::{EndRecorder, event_channel};
pub use event_receiver::{EventIntoIter, EventIter, EventReceiver, EventTryIter};
pub use options::{OverflowPolicy, SubscriptionOptions};
pub use recv_error::{RecvError, RecvTimeoutError, TryRecvError};
pub(super) use waiting::Signals;

use std::sync::Arc;

use self::hub::Hub;
use self::subscription::Queue;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};
use crate::log_level::LogLevel;

/// A publish/subscribe channel that delivers the events of connections to any number of receivers.
///
/// Create a bus, subscribe, and pass a clone of it to each connection. A clone publishes to the
/// same subscribers. A subscription created before a connection is spawned receives all of its
/// events. Dropping a receiver cancels its subscription. A bus can be used from several threads,
/// and its methods do not block.
///
/// A receiver of messages that is too slow causes backpressure by default. Its events are queued up
/// to a limit for each stream of a peer, then reading from that stream pauses. If it takes nothing
/// for some time, its subscription is ended as
/// [`TooSlow`](crate::event::SubscriptionEndReason::TooSlow), and the receiver reports that.
/// [`OverflowPolicy`] has the details.
///
/// A receiver of control events never causes backpressure. Events that exceed its capacity are
/// dropped. [`ControlEvent::Lagged`] reports the number of dropped events.
///
/// A receiver also ends when the bus and all connections that use it are dropped, or when the
/// [`Manager`](crate::Manager) that owns the bus shuts down. Events in its queue are returned
/// first. [`EventReceiver`] documents how it reports the reason.
#[derive(Clone, Debug, Default)]
pub struct EventBus {
    hub: Arc<Hub>,
}

impl EventBus {
    /// Creates a bus without subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a bus whose log records have a maximum level.
    pub(crate) fn with_log_level(log_level: LogLevel) -> Self {
        let hub = Arc::new(Hub::new(log_level));
        Self { hub }
    }

    /// Subscribes to control events.
    ///
    /// The receiver holds up to 1,024 events. Further events are dropped and reported by
    /// [`ControlEvent::Lagged`]. The subscription is never ended as too slow. Its name is `control`
    /// and a number.
    pub fn subscribe_control(&self) -> EventReceiver<ControlEvent> {
        self.hub.subscribe_control()
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
        options: SubscriptionOptions,
    ) -> EventReceiver<BitcoinMessageEvent> {
        let (end, sender, receiver) = event_channel(options.capacity.max(1));
        let queue = Queue::Messages(sender);
        self.hub.subscribe("messages", options, end, queue);
        receiver
    }

    /// Subscribes to messages and control events with one receiver, with the default
    /// [`SubscriptionOptions`].
    pub fn subscribe(&self) -> EventReceiver<Event> {
        self.subscribe_with(SubscriptionOptions::default())
    }

    /// Subscribes to messages and control events with one receiver.
    ///
    /// Events keep the order of each stream of a peer. With [`OverflowPolicy::DropNewest`], control
    /// events may be dropped as well. Dropped events are reported by a [`ControlEvent::Lagged`] in
    /// the same receiver.
    pub fn subscribe_with(&self, options: SubscriptionOptions) -> EventReceiver<Event> {
        let (end, sender, receiver) = event_channel(options.capacity.max(2));
        self.hub
            .subscribe("both", options, end, Queue::Both(sender));
        receiver
    }

    /// Ends all subscriptions. Receivers return queued events first. Later subscriptions end
    /// immediately.
    pub(crate) fn close(&self) {
        self.hub.close();
    }

    /// Creates the publisher of one stream.
    pub(super) fn delivery(&self, limits: DeliveryLimits) -> Delivery {
        Delivery::new(self.hub.clone(), limits)
    }
}
