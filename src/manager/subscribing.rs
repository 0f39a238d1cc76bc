//! Subscriptions to the events of a manager.

use super::Manager;
use crate::connection::{EventReceiver, SubscriptionOptions};
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// Subscriptions to events.
///
/// A subscription made before [`Manager::start`] receives all events. After [`Manager::shutdown`]
/// each receiver gets the events in its queue and ends; a new subscription ends at once.
/// [`EventReceiver`] documents how a receiver reports its end.
/// [`EventBus`](crate::connection::EventBus) documents how slow receivers are handled. None of
/// these methods blocks.
impl Manager {
    /// Subscribes to control events: connections, bans, the listener, and failures.
    ///
    /// The receiver holds all [life-cycle events](ControlEvent::is_life_cycle), up to 16,384. Other
    /// events are dropped while 1,024 events are pending, and counted by [`ControlEvent::Lagged`].
    pub fn subscribe_control(&self) -> EventReceiver<ControlEvent> {
        self.shared.bus.subscribe_control()
    }

    /// Subscribes to the messages of all peers, with default [`SubscriptionOptions`].
    ///
    /// Messages that answer a request are returned to the caller of the request only. A receiver
    /// that is too slow pauses the reading from peers, and ends with an error if it takes nothing
    /// for 15 s; see [`OverflowPolicy::Block`](crate::connection::OverflowPolicy::Block).
    pub fn subscribe_messages(&self) -> EventReceiver<BitcoinMessageEvent> {
        self.shared.bus.subscribe_messages()
    }

    /// Subscribes to the messages of all peers with `options`: commands, capacity and overflow
    /// policy.
    pub fn subscribe_messages_with(
        &self,
        options: SubscriptionOptions,
    ) -> EventReceiver<BitcoinMessageEvent> {
        self.shared.bus.subscribe_messages_with(options)
    }

    /// Subscribes to control events and messages in one receiver, with default
    /// [`SubscriptionOptions`].
    ///
    /// The events of each stream of a peer arrive in the order in which they occur.
    pub fn subscribe(&self) -> EventReceiver<Event> {
        self.shared.bus.subscribe()
    }

    /// Subscribes to control events and messages in one receiver, with `options`.
    ///
    /// The events of each stream of a peer arrive in the order in which they occur. The commands of
    /// `options` select messages, not control events. If the queue is full, control events are
    /// dropped and counted, except [life-cycle events](ControlEvent::is_life_cycle).
    pub fn subscribe_with(&self, options: SubscriptionOptions) -> EventReceiver<Event> {
        self.shared.bus.subscribe_with(options)
    }
}
