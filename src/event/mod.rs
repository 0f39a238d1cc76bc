//! Events that subscribers receive about peers.

mod control_event;
mod end_reasons;
mod message_event;
#[cfg(test)]
mod tests;

pub use control_event::{ControlEvent, LocalOperation, SeedFailure};
pub use end_reasons::{InboundRejectReason, SubscriptionEndReason};
pub use message_event::{BitcoinMessageEvent, SharedMessage};

/// An event of either kind, for receivers that need the relative order of both.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A control event.
    Control(ControlEvent),
    /// A peer sent a message.
    Message(BitcoinMessageEvent),
}
