//! Inbound connections.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use log::Level;

use super::ManagerSupervisor;
use crate::connection::{ConnectionConfig, Origin, PeerConnectionActor, PeerConnectionHandle};
use crate::error::WithSources;
use crate::event::{ControlEvent, InboundRejectReason, LocalOperation};
use crate::manager::ManagerConfig;
use crate::manager::clock::Now;
use crate::manager::listener::{Listener, ListenerNews};
use crate::manager::metrics::count;
use crate::manager::plan::{Admission, Attachment, Insight};
use crate::manager::shared::Shared;
use crate::peers::PeerId;
use crate::session::{Direction, DisconnectReason};

/// Interval of checks for the slot of a closed connection whose event is still queued.
const MOMENT: Duration = Duration::from_millis(5);
/// Maximum time to wait for the event of a closed connection, which subscribers can delay.
const PATIENCE: Duration = Duration::from_millis(50);

/// An accepted socket that waits for a decision.
pub(super) struct Newcomer {
    peer_id: PeerId,
    stream: TcpStream,
    address: SocketAddr,
    /// The time at which the socket was accepted.
    came: Instant,
    look_at: Option<Instant>,
}

impl Newcomer {
    /// Returns when to decide again if no event occurs before.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }
}

/// The state of connections that the plan queries.
struct Connections<'a> {
    shared: &'a Shared,
    stream_candidates: &'a HashMap<PeerId, PeerConnectionHandle>,
}

impl Insight for Connections<'_> {
    fn has_version(&self, peer_id: PeerId) -> bool {
        let connection = self.shared.connections.get(peer_id);
        connection.is_some_and(|one| one.peer_info().is_some())
    }

    fn candidate_has_ended(&self, peer_id: PeerId) -> bool {
        let candidate = self.stream_candidates.get(&peer_id);
        candidate.is_none_or(PeerConnectionHandle::has_ended)
    }

    fn streams_awaited_from(&self, address: IpAddr) -> usize {
        self.shared
            .associations
            .awaited_from(address.to_canonical())
    }
}

/// Returns the configuration of inbound connections, with the shorter of both handshake timeouts.
pub(super) fn config(config: &ManagerConfig) -> ConnectionConfig {
    let mut connection = config.connection.clone();
    let timeout = &mut connection.session.handshake_timeout;
    *timeout = config.listener.handshake_timeout.min(*timeout);
    connection
}

impl ManagerSupervisor {
    /// Restarts the listener with the current configuration, or stops it if it is disabled.
    pub(super) fn listen(&mut self) {
        (self.accepted, self.listening) = (None, None);
        if let Some(listener) = self.listener.take() {
            listener.stop();
            self.record_life("listener stopped");
        }
        let config = self.shared.config();
        let Some(address) = config.listen_address() else {
            return;
        };
        // Holds one accepted socket. Further connections stay in the backlog of the kernel.
        let (sender, accepted) = bounded(1);
        let retry = config.listener.bind_retry;
        match Listener::start(address, retry, self.shared.bans.clone(), sender) {
            Ok(listener) => (self.listener, self.accepted) = (Some(listener), Some(accepted)),
            Err(error) => {
                let record = self.shared.log(Level::Error).error(&error);
                record.write(format_args!("starting the listener failed"));
            }
        }
    }

    pub(super) fn on_listener(&mut self, news: ListenerNews) {
        match news {
            ListenerNews::Started { address } => {
                self.listening = Some(address);
                self.tell(ControlEvent::ListenerStarted { address });
            }
            ListenerNews::BindFailed {
                address,
                error,
                retry_after,
            } => {
                self.tell(ControlEvent::ListenerBindFailed {
                    address,
                    error,
                    retry_after,
                });
            }
            ListenerNews::Accepted { stream, address } => {
                self.newcomer = Some(Newcomer {
                    peer_id: PeerId::random(),
                    stream,
                    address,
                    came: Instant::now(),
                    look_at: None,
                });
            }
            ListenerNews::Refused { address, reason } => {
                self.on_refused(address, InboundRejectReason::Banned(reason));
            }
            ListenerNews::LocalFault(error) => {
                self.tell(ControlEvent::LocalFault {
                    operation: LocalOperation::Accept,
                    error,
                });
            }
        }
    }

    /// Decides about the pending inbound connection, if any.
    pub(super) fn look_at_newcomer(&mut self, now: Now) {
        let Some(mut newcomer) = self.newcomer.take() else {
            return;
        };
        if self.plan.free_for_inbound() == 0
            && self.plan.taken_places() > self.shared.slots.count()
            && now.instant.saturating_duration_since(newcomer.came) < PATIENCE
        {
            // A connection has closed, but its event is still queued: a slot may be free soon.
            newcomer.look_at = Some(now.after(MOMENT));
            self.newcomer = Some(newcomer);
            return;
        }
        let insight = Connections {
            shared: &self.shared,
            stream_candidates: &self.stream_candidates,
        };
        let (peer_id, address) = (newcomer.peer_id, newcomer.address);
        match self.plan.on_accepted(peer_id, address, &insight, now) {
            Admission::LetIn => self.let_in(newcomer),
            Admission::AsStream => {
                if let Some(handle) = self.spawn_without_place(newcomer) {
                    self.stream_candidates.insert(peer_id, handle);
                }
            }
            Admission::TurnAway => {
                if let Some(handle) = self.spawn_without_place(newcomer) {
                    count(&self.shared.counters.inbound_rejected_capacity);
                    self.turned_away.insert(peer_id, handle);
                }
            }
            Admission::Refuse(reason) => self.on_refused(address, reason),
            Admission::Wait(look_at) => {
                newcomer.look_at = look_at;
                self.newcomer = Some(newcomer);
            }
        }
    }

    fn let_in(&mut self, newcomer: Newcomer) {
        let Newcomer {
            peer_id,
            stream,
            address,
            ..
        } = newcomer;
        let config = config(&self.shared.config());
        let mut setup = self.setup(peer_id, config);
        setup.slot = self.shared.slots.reserve();
        let keeper = self.keeper(
            (peer_id, address),
            Direction::Inbound,
            Attachment::Candidate,
        );
        if setup.slot.is_none() {
            return self.on_not_spawned(peer_id, address, &"no free connection slot");
        }
        // Emitted by the connection, which first determines whether it is a second stream.
        let told_first = Some(ControlEvent::InboundConnectionAccepted { peer_id, address });
        let origin = Origin::Accepted { stream, told_first };
        let spawn = || PeerConnectionActor::spawn_observed(origin, setup, keeper);
        match self.shared.connections.spawn(spawn) {
            Ok(()) => count(&self.shared.counters.inbound_accepted),
            Err(error) => self.on_not_spawned(peer_id, address, &WithSources(&error)),
        }
    }

    /// Spawns a connection without a slot, which is rejected unless it is a second stream.
    ///
    /// Returns `None` and emits an event if the connection could not be spawned.
    fn spawn_without_place(&mut self, newcomer: Newcomer) -> Option<PeerConnectionHandle> {
        let Newcomer {
            peer_id,
            stream,
            address,
            ..
        } = newcomer;
        let setup = self.setup(peer_id, config(&self.shared.config()));
        let keeper = self.keeper(
            (peer_id, address),
            Direction::Inbound,
            Attachment::Candidate,
        );
        let spawned =
            PeerConnectionActor::spawn_observed(Origin::TurnedAway(stream), setup, keeper);
        spawned
            .inspect_err(|error| self.on_not_spawned(peer_id, address, &WithSources(error)))
            .ok()
    }

    /// Counts the result of a connection that was accepted as a possible second stream.
    pub(super) fn on_candidate_over(
        &self,
        candidate: &PeerConnectionHandle,
        reason: &DisconnectReason,
    ) {
        self.shared.counters.add_past(&candidate.statistics());
        match reason {
            DisconnectReason::AttachedAsStream => count(&self.shared.counters.inbound_accepted),
            DisconnectReason::AtCapacity => count(&self.shared.counters.inbound_rejected_capacity),
            _ => {}
        }
    }

    fn on_not_spawned(&mut self, peer_id: PeerId, address: SocketAddr, error: &dyn Display) {
        let record = self.shared.log(Level::Error).peer_id(peer_id);
        let record = record.peer_address(address).direction(Direction::Inbound);
        let text = format_args!("inbound connection failed");
        record.reason(error).write(text);
        self.plan.on_not_spawned(peer_id);
        self.on_refused(address, InboundRejectReason::ThreadSpawnFailed);
    }

    fn on_refused(&mut self, address: SocketAddr, reason: InboundRejectReason) {
        count(&self.shared.counters.inbound_rejected);
        self.tell(ControlEvent::InboundConnectionRejected { address, reason });
    }
}
