//! Emits the events of one stream.

use super::shared::Shared;
use crate::connection::event_bus::{Delivery, Signals};
use crate::connection::inlet::Received;
use crate::connection::records::Logged;
use crate::event::{BitcoinMessageEvent, ControlEvent, SharedMessage};
use crate::session::SessionEvent;
use log::Level;
use std::time::{Instant, SystemTime};

/// Emits the events of one stream to subscribers.
pub(super) struct Events<'a> {
    pub(super) delivery: &'a mut Delivery,
    pub(super) signals: Signals<'a>,
    /// Events to emit before all others, once the connection is known not to be a second stream.
    pub(super) held: &'a mut Vec<ControlEvent>,
}

impl Events<'_> {
    /// Emits the held events.
    pub(super) fn release(&mut self) {
        for event in self.held.drain(..) {
            self.delivery.control(event, &self.signals);
        }
    }

    pub(super) fn control(&mut self, event: ControlEvent) {
        self.release();
        self.delivery.control(event, &self.signals);
    }

    /// Emits an event of the session. A pong goes to the open requests instead.
    pub(super) fn tell(&mut self, shared: &Shared, event: SessionEvent) {
        let (peer_id, address) = (shared.peer_id, shared.address);
        let event = match event {
            SessionEvent::HandshakeComplete(info) => {
                let text = format_args!("handshake complete with {}", info.user_agent);
                shared.log(Level::Info).write(text);
                shared.history.lock().connected = Some((Instant::now(), SystemTime::now()));
                if let Some(keeper) = &shared.keeper {
                    keeper.on_connected(&info);
                }
                shared.notify_progress();
                ControlEvent::HandshakeComplete {
                    peer_id,
                    address,
                    info,
                }
            }
            SessionEvent::Misbehavior { misbehavior, score } => {
                let record = shared.log(Level::Debug).error(&misbehavior);
                record.write(format_args!("misbehavior (score {score})"));
                ControlEvent::PeerMisbehavior {
                    peer_id,
                    address,
                    misbehavior,
                    score,
                }
            }
            SessionEvent::StreamSetupFailed(refusal) => {
                let record = shared.log(Level::Info).error(&refusal);
                record.write(format_args!("second stream unavailable"));
                ControlEvent::StreamRefused {
                    peer_id,
                    address,
                    error: refusal,
                }
            }
            SessionEvent::Pong {
                nonce,
                round_trip,
                stream,
            } => {
                return shared.requests.on_pong(nonce, round_trip, stream);
            }
        };
        self.control(event);
    }

    /// Emits a received message, or an event for a discarded payload.
    pub(super) fn deliver(&mut self, shared: &Shared, received: Received) {
        let (peer_id, address) = (shared.peer_id, shared.address);
        match received {
            Received::Message(message) => self.deliver_message(shared, message),
            Received::Discarded { command, len, .. } => {
                self.control(ControlEvent::PayloadDiscarded {
                    peer_id,
                    address,
                    command,
                    len,
                })
            }
        }
    }

    pub(super) fn deliver_message(&mut self, shared: &Shared, message: SharedMessage) {
        if let Some(keeper) = &shared.keeper {
            keeper.on_message(&message);
        }
        let event = BitcoinMessageEvent {
            peer_id: shared.peer_id,
            address: shared.address,
            message,
        };
        self.delivery.message(event, &self.signals);
    }
}
