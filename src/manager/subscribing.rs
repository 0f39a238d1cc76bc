//! Subscribing to what a manager's peers do and say.

use crossbeam_channel::Receiver;

use super::Manager;
use crate::connection::SubscriptionOptions;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// Subscriptions. None of these waits for anybody.
impl Manager {
    /// Subscribes to what happens to peers. Made before the start, it misses nothing; made after a shutdown, it ends at once. See
    /// [`EventBus`](crate::connection::EventBus) for what becomes of a receiver that does not keep up.
    pub fn subscribe_control(&self) -> Receiver<ControlEvent> {
        self.shared.bus.subscribe_control()
    }

    /// Subscribes to the messages of all peers, with the defaults of [`SubscriptionOptions`].
    pub fn subscribe_messages(&self) -> Receiver<BitcoinMessageEvent> {
        self.shared.bus.subscribe_messages()
    }

    /// Subscribes to messages: those of some commands only, or with another choice of what becomes of those that are not taken.
    pub fn subscribe_messages_with(
        &self,
        options: SubscriptionOptions,
    ) -> Receiver<BitcoinMessageEvent> {
        self.shared.bus.subscribe_messages_with(options)
    }

    /// Subscribes to both in one receiver, in the order in which each connection sends them.
    pub fn subscribe(&self) -> Receiver<Event> {
        self.shared.bus.subscribe()
    }

    /// The same with options.
    pub fn subscribe_with(&self, options: SubscriptionOptions) -> Receiver<Event> {
        self.shared.bus.subscribe_with(options)
    }
}
