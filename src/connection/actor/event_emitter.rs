//! Emits the events of one stream.

use super::active_connection::ActiveConnection;
use super::peer_connection::PeerConnection;
use crate::connection::event_bus::EventPublisher;
use crate::connection::logging::Logged;
use crate::connection::message_reader::Received;
use crate::event::{BitcoinMessageEvent, ControlEvent, SharedMessage};
use crate::session::SessionEvent;
use log::Level;
use std::time::{Instant, SystemTime};

/// Emits the events of one stream to subscribers.
pub(super) struct EventEmitter<'a> {
    pub(super) peer: &'a PeerConnection,
    pub(super) connection: &'a ActiveConnection,
    pub(super) publisher: EventPublisher,
}

impl EventEmitter<'_> {
    pub(super) fn control(&mut self, event: ControlEvent) {
        self.publisher.control(&event);
    }

    /// Emits an event of the session. A pong goes to the open requests instead.
    pub(super) fn emit(&mut self, event: SessionEvent) {
        let peer = self.peer;
        let (peer_id, address) = (peer.peer_id, peer.address);
        let event = match event {
            SessionEvent::HandshakeComplete(info) => {
                let text = format_args!("handshake complete with {}", info.user_agent);
                peer.log(Level::Info).write(text);
                peer.history.lock().connected = Some((Instant::now(), SystemTime::now()));
                self.connection.set_established();
                if let Some(observer) = &peer.observer {
                    observer.on_connected(&info);
                }
                peer.lifecycle.notify();
                ControlEvent::HandshakeComplete {
                    peer_id,
                    address,
                    info,
                }
            }
            SessionEvent::Misbehavior { misbehavior, score } => {
                let record = peer.log(Level::Debug).error(&misbehavior);
                record.write(format_args!("misbehavior (score {score})"));
                let due = peer.misbehavior.add(misbehavior, score, Instant::now());
                return peer.publish_misbehavior(due);
            }
            SessionEvent::StreamSetupFailed(refusal) => {
                let record = peer.log(Level::Info).error(&refusal);
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
                return self.connection.requests.on_pong(nonce, round_trip, stream);
            }
        };
        self.control(event);
    }

    /// Emits a received message, or an event for a discarded payload.
    pub(super) fn deliver(&mut self, received: Received) {
        let peer = self.peer;
        let (peer_id, address) = (peer.peer_id, peer.address);
        match received {
            Received::Message(message) => self.deliver_message(message),
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

    pub(super) fn deliver_message(&mut self, message: SharedMessage) {
        let peer = self.peer;
        if let Some(observer) = &peer.observer {
            observer.on_message(&message);
        }
        let event = BitcoinMessageEvent {
            peer_id: peer.peer_id,
            address: peer.address,
            message,
        };
        self.publisher.message(event);
    }
}
