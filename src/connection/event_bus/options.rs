//! Subscription options.

use std::collections::HashSet;

use crate::wire::{Command, Message};

/// The options of a subscription to messages, or to messages and control events.
///
/// Struct expressions that end with `..SubscriptionOptions::default()` keep compiling when a field is
/// added.
///
/// # End of a subscription
///
/// The [`EventReceiver`](super::EventReceiver) reports why its subscription ended. When it is ended
/// as too slow, its pending events are discarded. A
/// [`ControlEvent::SubscriptionEnded`](crate::event::ControlEvent::SubscriptionEnded) with its name
/// is also emitted to the other subscriptions that receive control events. A warning with the
/// number of discarded events is logged.
///
/// # Example
///
/// ```
/// use bsv_p2p::connection::{EventBus, OverflowPolicy, SubscriptionOptions};
/// use bsv_p2p::wire::Command;
///
/// let bus = EventBus::new();
/// let announcements = bus.subscribe_messages_with(SubscriptionOptions {
///     capacity: 100,
///     overflow: OverflowPolicy::DropNewest,
///     ..SubscriptionOptions::with_name("announcements").with_commands([Command::new("inv")])
/// });
/// # drop(announcements);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// The number of pending events from which the queue of the receiver is full. Defaults to
    /// 1,024.
    ///
    /// The minimum is 1, or 2 for a receiver of both kinds of events. Lower values are raised.
    pub capacity: usize,
    /// The policy for messages that exceed the capacity. Defaults to [`OverflowPolicy::Block`].
    pub overflow: OverflowPolicy,
    /// The commands of the messages to receive. Defaults to `None`, which means all. Control events
    /// are not filtered.
    pub commands: Option<HashSet<Command>>,
    /// The name of the subscription in events and logs. Defaults to its kind and a number.
    ///
    /// Names are not required to be unique.
    pub name: Option<String>,
}

/// The policy for messages that exceed the capacity of a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Queue the events, and pause reading from a peer that has too many of them in the queue.
    ///
    /// Each stream of a peer has a credit of
    /// [`ConnectionConfig::max_subscriber_backlog_bytes`](crate::ConnectionConfig::max_subscriber_backlog_bytes)
    /// for the messages that it adds to full queues, until they are taken. When the credit is
    /// spent, reading pauses, and TCP slows the peer down. No message is lost. Reading resumes when
    /// half of the credit is free.
    ///
    /// The subscription is ended if its receiver takes no event of any peer for
    /// [`ConnectionConfig::subscriber_timeout`](crate::ConnectionConfig::subscriber_timeout) while
    /// reading from a peer is paused and the queue is above its capacity.
    ///
    /// While a request to the peer is open, reading continues. Messages for full queues are then
    /// dropped and counted once the credit is spent.
    ///
    /// The messages of closed connections stay in the queue. While they exceed the credit of one
    /// stream, reading from new connections pauses after the handshake. It resumes within a second
    /// after that.
    #[default]
    Block,
    /// Drop the messages and count them.
    ///
    /// The subscription never delays a peer. [Life-cycle
    /// events](crate::event::ControlEvent::is_life_cycle) are not dropped.
    DropNewest,
}

impl SubscriptionOptions {
    /// Creates the default options with a name.
    pub fn with_name(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// Restricts the subscription to messages with these commands.
    #[must_use]
    pub fn with_commands(mut self, commands: impl IntoIterator<Item = Command>) -> Self {
        self.commands = Some(commands.into_iter().collect());
        self
    }

    /// Returns whether `message` passes the filter.
    pub(super) fn wants(&self, message: &Message) -> bool {
        match &self.commands {
            None => true,
            Some(commands) => commands.contains(&message.command()),
        }
    }
}

impl Default for SubscriptionOptions {
    fn default() -> Self {
        Self {
            capacity: 1024,
            overflow: OverflowPolicy::Block,
            commands: None,
            name: None,
        }
    }
}
