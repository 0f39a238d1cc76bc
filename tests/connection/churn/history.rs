//! The events of a program, checked for the order of each peer.

use std::collections::HashMap;

use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::{Command, Message};
use bytes::{BufMut, BytesMut};

/// The number of threads that send numbered messages to one peer.
pub(super) const SENDERS: usize = 2;

/// The name of the slow subscription to messages.
pub(super) const SLOW: &str = "slow";

/// The events of each peer so far.
#[derive(Default)]
pub(super) struct History {
    peers: HashMap<PeerId, PeerHistory>,
    pub(super) events: usize,
}

#[derive(Debug, Default)]
struct PeerHistory {
    phase: Phase,
    /// Whether the data stream of the current connection was opened or refused.
    has_stream_event: bool,
    /// The last number of each sender on the current connection.
    last_numbers: [Option<u32>; SENDERS],
    restarts: usize,
    /// The number of data streams that were opened.
    streams: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Unconnected,
    Established,
    Connected,
    Closed,
}

impl History {
    /// Records an event.
    ///
    /// Panics if the event is not allowed after the earlier events of its peer.
    pub(super) fn on_event(&mut self, event: &Event) {
        self.events += 1;
        match event {
            Event::Control(event) => self.on_control(event),
            Event::Message(event) => {
                let peer = self.peers.entry(event.peer_id).or_default();
                assert_eq!(peer.phase, Phase::Connected, "{event:?}");
                peer.on_message(&event.message);
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn on_control(&mut self, event: &ControlEvent) {
        // While a request is open, messages that the slow subscriber cannot take are dropped.
        if matches!(event, ControlEvent::Lagged { subscription, .. } if **subscription == *SLOW) {
            return;
        }
        let (peer_id, _) = event.peer().unwrap_or_else(|| panic!("{event}"));
        self.peers.entry(peer_id).or_default().on_control(event);
    }

    /// Asserts that each of `started` peers had its final event.
    pub(super) fn check_end(&self, started: usize) {
        for (peer_id, peer) in &self.peers {
            assert_eq!(peer.phase, Phase::Closed, "{peer_id}: {peer:?}");
        }
        assert_eq!(self.peers.len(), started);
    }

    /// Returns the total numbers of restarts and of opened data streams.
    pub(super) fn restarts_and_streams(&self) -> (usize, usize) {
        let each = self.peers.values();
        each.fold((0, 0), |(restarts, streams), peer| {
            (restarts + peer.restarts, streams + peer.streams)
        })
    }
}

impl PeerHistory {
    fn on_control(&mut self, event: &ControlEvent) {
        let is_allowed = match event {
            ControlEvent::ConnectionEstablished { .. } => self.phase == Phase::Unconnected,
            ControlEvent::HandshakeComplete { .. } => self.phase == Phase::Established,
            ControlEvent::StreamOpened { .. } | ControlEvent::StreamRefused { .. } => {
                self.phase == Phase::Connected && !self.has_stream_event
            }
            ControlEvent::ConnectionLost { .. } => self.phase == Phase::Connected,
            ControlEvent::ConnectionFailed { .. }
            | ControlEvent::ConnectionRejectedCapacity { .. } => {
                matches!(self.phase, Phase::Unconnected | Phase::Established)
            }
            ControlEvent::ConnectionRestarting { .. } => self.phase != Phase::Closed,
            _ => false,
        };
        assert!(is_allowed, "{event} after {self:?}");
        match event {
            ControlEvent::ConnectionEstablished { .. } => self.phase = Phase::Established,
            ControlEvent::HandshakeComplete { .. } => self.phase = Phase::Connected,
            ControlEvent::ConnectionRestarting { .. } => {
                *self = Self {
                    restarts: self.restarts + 1,
                    streams: self.streams,
                    ..Self::default()
                };
            }
            ControlEvent::StreamOpened { .. } => {
                self.has_stream_event = true;
                self.streams += 1;
            }
            ControlEvent::StreamRefused { .. } => self.has_stream_event = true,
            _ => self.phase = Phase::Closed,
        }
    }

    fn on_message(&mut self, message: &Message) {
        let Some((sender, number)) = number_of(message) else {
            return;
        };
        let last = self.last_numbers[sender].replace(number);
        assert!(last < Some(number), "{number} of {sender} after {last:?}");
    }
}

/// Returns a message with a sender, a number and `len` further bytes.
pub(super) fn numbered(sender: usize, number: u32, len: usize) -> Message {
    let mut payload = BytesMut::with_capacity(5 + len);
    payload.put_u8(sender as u8);
    payload.put_u32(number);
    payload.put_bytes(0, len);
    Message::Unknown {
        command: const { Command::new("test") },
        payload: payload.freeze(),
    }
}

/// Returns the sender and the number of a [`numbered`] message; `None` for any other.
pub(super) fn number_of(message: &Message) -> Option<(usize, u32)> {
    let Message::Unknown { payload, .. } = message else {
        return None;
    };
    let (sender, rest) = payload.split_first()?;
    let number = rest.first_chunk()?;
    Some((usize::from(*sender), u32::from_be_bytes(*number)))
}
