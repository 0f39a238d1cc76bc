//! What a program may wish of a subscription.

use std::collections::HashSet;

use crate::wire::{Command, Message};

/// How a subscription to messages, or to both kinds of events, behaves.
///
/// ```
/// use bsv_p2p::connection::{EventBus, OverflowPolicy, SubscriptionOptions};
/// use bsv_p2p::wire::Command;
///
/// let bus = EventBus::new();
/// let announcements = bus.subscribe_messages_with(SubscriptionOptions {
///     capacity: 100,
///     overflow: OverflowPolicy::DropNewest,
///     ..SubscriptionOptions::named("announcements").only([Command::new("inv")])
/// });
/// # drop(announcements);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// How many events may wait in the receiver, from 1; 1,024 by default. 0 counts as 1, and a receiver of both kinds has at least 2
    /// places, so that a [`Lagged`](crate::event::ControlEvent::Lagged) and the event after it fit. The room is allocated at once.
    pub capacity: usize,
    /// What becomes of events that do not fit; [`OverflowPolicy::Block`] by default.
    pub overflow: OverflowPolicy,
    /// The commands of the messages that are wanted; `None`, the default, for all. Control events come whatever it says.
    pub commands: Option<HashSet<Command>>,
    /// How events and logs call the subscription; by default its kind and a number. Nothing keeps two from having one name.
    pub name: Option<String>,
}

/// What becomes of the events for which a receiver has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// They wait, bounded in bytes for each peer by [`ConnectionConfig::max_subscriber_backlog_bytes`](crate::ConnectionConfig::max_subscriber_backlog_bytes); then that peer's
    /// messages are no longer read, and TCP holds it back. A subscription that takes nothing for
    /// [`ConnectionConfig::subscriber_timeout`](crate::ConnectionConfig::subscriber_timeout) from a peer whose reading has stopped ends.
    /// While somebody waits for an answer of that peer, reading goes on, and what has no room is dropped and counted.
    #[default]
    Block,
    /// They are dropped and counted: nobody waits for this subscription, which never ends for being slow.
    DropNewest,
}

impl SubscriptionOptions {
    /// The defaults, with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// Only messages with these commands.
    #[must_use]
    pub fn only(mut self, commands: impl IntoIterator<Item = Command>) -> Self {
        self.commands = Some(commands.into_iter().collect());
        self
    }

    /// Whether `message` is wanted.
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
