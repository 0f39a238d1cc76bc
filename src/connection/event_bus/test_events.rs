//! Events for tests of the bus.

use std::net::SocketAddr;

use crate::event::{BitcoinMessageEvent, ControlEvent, Event, SharedMessage};
use crate::peers::PeerId;
use crate::session::DisconnectReason;
use crate::wire::{Command, Message};

pub(super) const PEER: PeerId = PeerId::from_u128(7);

pub(super) fn address() -> SocketAddr {
    ([127, 0, 0, 1], 8333).into()
}

/// Returns a message whose payload on the wire has this length.
pub(super) fn message_of_len(payload_len: u64) -> BitcoinMessageEvent {
    let message = Message::Unknown {
        command: const { Command::new("test") },
        payload: vec![0; payload_len as usize].into(),
    };
    BitcoinMessageEvent {
        peer_id: PEER,
        address: address(),
        message: SharedMessage::new(message, payload_len),
    }
}

/// Returns a life-cycle event.
pub(super) fn connection_lost() -> ControlEvent {
    ControlEvent::ConnectionLost {
        peer_id: PEER,
        address: address(),
        reason: DisconnectReason::ConnectionClosed,
    }
}

/// Returns a control event that may be dropped.
pub(super) fn payload_discarded(len: u64) -> ControlEvent {
    ControlEvent::PayloadDiscarded {
        peer_id: PEER,
        address: address(),
        command: const { Command::new("test") },
        len,
    }
}

pub(super) fn lagged(subscription: &str, missed: u64) -> ControlEvent {
    ControlEvent::Lagged {
        subscription: subscription.into(),
        missed,
    }
}

/// Returns the name of a control event, or `message`.
pub(super) fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Control(event) => event.name(),
        Event::Message(_) => "message",
    }
}
