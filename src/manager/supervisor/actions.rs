//! Executes the actions of the plan.

use std::net::SocketAddr;

use log::Level;

use super::ManagerSupervisor;
use super::keeper::{LifeKeeper, LifeNews};
use crate::connection::{ConnectionConfig, PeerConnectionActor, PeerConnectionOptions};
use crate::error::Error;
use crate::event::ControlEvent;
use crate::manager::clock::Now;
use crate::manager::metrics::count;
use crate::manager::plan::{Action, Attachment, NotDialed};
use crate::peers::PeerId;
use crate::session::{Direction, DisconnectReason};
use crate::wire::{Addr, Message};

impl ManagerSupervisor {
    /// Executes the pending actions of the plan until there are none.
    pub(super) fn carry_out(&mut self) {
        while let Some(action) = self.plan.poll_action() {
            match action {
                Action::Dial {
                    peer_id,
                    address,
                    attachment,
                } => self.dial(peer_id, address, attachment),
                Action::Restart { peer_id } => self.restart(peer_id),
                Action::Close { peer_id, reason } => self.close(peer_id, reason),
                Action::CloseSocket { socket } => {
                    self.inbound
                        .close_socket(socket, DisconnectReason::AtCapacity);
                }
                Action::AskSeeds { seeds } => self.ask_seeds(seeds),
                Action::AskForAddresses { peer_id } => self.hand(peer_id, &Message::GetAddr),
                Action::SendAddresses { peer_id, addresses } => {
                    self.hand(peer_id, &Addr { addresses }.into());
                }
                Action::Tell(event) => self.tell(*event),
            }
        }
    }

    /// Emits an event. Counts and logs bans, and logs local faults.
    pub(super) fn tell(&mut self, event: ControlEvent) {
        if let ControlEvent::PeerBanned { .. } = &event {
            count(&self.shared.counters.banned);
        }
        self.shared.log_event(&event);
        self.shared.bus.publish_control(&event);
    }

    /// Sends a best-effort message. Drops it if the peer is disconnected or its send queue is full.
    fn hand(&self, peer_id: PeerId, message: &Message) {
        if let Some(handle) = self.shared.connections.get(peer_id) {
            let _ = handle.try_send(message);
        }
    }

    /// Returns the options for a new connection, without a slot.
    pub(super) fn setup(&self, peer_id: PeerId, config: ConnectionConfig) -> PeerConnectionOptions {
        PeerConnectionOptions {
            peer_id,
            config,
            nonces: self.shared.nonces.clone(),
            associations: self.shared.associations.clone(),
            events: self.shared.bus.clone(),
            memory: self.shared.memory.clone(),
            slot: None,
            log_level: self.shared.log_level.clone(),
        }
    }

    /// Creates the observer of a connection.
    pub(super) fn keeper(
        &self,
        peer: (PeerId, SocketAddr),
        direction: Direction,
        attachment: Attachment,
    ) -> Box<LifeKeeper> {
        Box::new(LifeKeeper::new(
            peer,
            (direction, attachment),
            &self.shared,
            self.news_sender.clone(),
        ))
    }

    /// Dials a manual peer unless it is connected. Returns the id of the peer.
    pub(in crate::manager) fn connect(
        &mut self,
        address: SocketAddr,
        now: Now,
    ) -> Result<PeerId, NotDialed> {
        let connections = &self.shared.connections;
        let has_ended = |peer_id| connections.get(peer_id).is_some_and(|one| one.has_ended());
        let peer_id = self.plan.connect(address, has_ended, now)?;
        connections.set_configured(peer_id);
        Ok(peer_id)
    }

    fn dial(&mut self, peer_id: PeerId, address: SocketAddr, attachment: Attachment) {
        count(&self.shared.counters.outbound_attempts);
        if attachment != Attachment::Candidate {
            self.shared.connections.set_configured(peer_id);
        }
        let Some(slot) = self.shared.slots.reserve() else {
            return self.never_began(peer_id, DisconnectReason::AtCapacity);
        };
        let config = self.shared.config().connection.clone();
        let mut setup = self.setup(peer_id, config);
        setup.slot = Some(slot);
        let keeper = self.keeper((peer_id, address), Direction::Outbound, attachment);
        let spawn = || PeerConnectionActor::spawn_observed(address, setup, keeper);
        if let Err(error) = self.shared.connections.spawn(spawn) {
            let record = self.shared.log(Level::Error).peer_id(peer_id);
            let record = record.peer_address(address).direction(Direction::Outbound);
            record.error(&error).write(format_args!("dialing failed"));
            let reason = match error {
                Error::Io { error, .. } => DisconnectReason::LocalFault(error),
                _ => DisconnectReason::InternalError,
            };
            self.never_began(peer_id, reason);
        }
    }

    fn restart(&mut self, peer_id: PeerId) {
        count(&self.shared.counters.outbound_attempts);
        let Some(next) = self.waiting.remove(&peer_id) else {
            // The connection was closed; its `Over` event is still queued.
            return;
        };
        let begun = match self.shared.slots.reserve() {
            Some(slot) => next.start(Some(slot)),
            None => Err(next),
        };
        if let Err(next) = begun {
            self.waiting.insert(peer_id, next);
            self.plan.postpone(peer_id, Now::read());
        }
    }

    /// Reports an outbound connection that could not be spawned, for lack of a slot or a thread.
    fn never_began(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        count(&self.shared.counters.connections_failed);
        let news = LifeNews::Over { peer_id, reason };
        // Queued, so that the plan handles it after the current actions.
        let _ = self.news_sender.send(news);
    }
}
