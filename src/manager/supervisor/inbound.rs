//! Inbound connections.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use log::Level;

use super::ManagerSupervisor;
use super::keeper::{LifeKeeper, LifeNews};
use crate::connection::{
    ConnectionConfig, InboundConnection, InboundOutcome, InboundSocket, PeerConnectionActor,
    PeerConnectionHandle, PeerConnectionOptions, SlotGuard,
};
use crate::error::{Error, WithSources};
use crate::event::{ControlEvent, InboundRejectReason, LocalOperation};
use crate::manager::ManagerConfig;
use crate::manager::clock::Now;
use crate::manager::listener::{Listener, ListenerNews};
use crate::manager::metrics::count;
use crate::manager::plan::{Admission, Attachment, ConnectionView, SocketAdmission, SocketEnd};
use crate::manager::shared::Shared;
use crate::peers::PeerId;
use crate::session::{Direction, DisconnectReason};

/// Maximum time to wait for the queued event of a closed connection, which frees its slot.
const SLOT_GRACE: Duration = Duration::from_millis(50);
/// Maximum time for which a socket waits until it is admitted as a connection. A slot may have to
/// become free first.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(10);

/// An accepted socket that is held, because the handshake limit is reached.
pub(super) struct PendingInbound {
    peer_id: PeerId,
    stream: TcpStream,
    address: SocketAddr,
    /// When to decide again if no event occurs before.
    retry_at: Option<Instant>,
}

/// A socket whose thread waits until it is admitted as a connection.
pub(super) struct AdmissionRequest {
    pub(super) peer_id: PeerId,
    pub(super) has_ended: bool,
    /// Receives the grant. Dropping it closes the socket.
    pub(super) grant: Sender<AdmissionGrant>,
    pub(super) since: Instant,
    /// When to decide again if no event occurs before.
    pub(super) retry_at: Option<Instant>,
}

/// The permission to start a connection.
pub(super) struct AdmissionGrant {
    keeper: Box<LifeKeeper>,
    /// The slot of the connection. `None` rejects the peer for capacity.
    slot: Option<SlotGuard>,
}

/// The inbound connections that are being established.
#[derive(Default)]
pub(super) struct InboundSockets {
    /// The accepted socket that is held.
    pending: Option<PendingInbound>,
    /// The accepted sockets, by the ids of the connections that they may become. An entry is
    /// removed when the connection is established, or when the socket or connection ends before.
    sockets: HashMap<PeerId, InboundSocket>,
    /// The sockets that wait for admission, oldest first.
    requests: Vec<AdmissionRequest>,
    /// Connections that are being rejected because no slot is free.
    rejected: HashMap<PeerId, PeerConnectionHandle>,
}

impl InboundSockets {
    /// Returns whether another socket can be accepted.
    pub(super) fn is_ready(&self) -> bool {
        self.pending.is_none()
    }

    /// Returns when to decide again if no event occurs before.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let pending = self.pending.iter().filter_map(|one| one.retry_at);
        let requests = self.requests.iter().filter_map(|one| one.retry_at);
        pending.chain(requests).min()
    }

    pub(super) fn add_request(&mut self, request: AdmissionRequest) {
        self.requests.push(request);
    }

    pub(super) fn add_rejected(&mut self, handle: PeerConnectionHandle) {
        self.rejected.insert(handle.peer_id(), handle);
    }

    /// Removes the socket of a connection, which has its own handle.
    pub(super) fn on_connected(&mut self, peer_id: PeerId) {
        // The thread of the socket runs the connection already, so this does not block.
        self.sockets.remove(&peer_id);
    }

    /// Removes the state of a connection that has ended. Returns the connection if it was
    /// rejected.
    pub(super) fn remove(&mut self, peer_id: PeerId) -> Option<PeerConnectionHandle> {
        self.requests.retain(|one| one.peer_id != peer_id);
        self.sockets.remove(&peer_id);
        self.rejected.remove(&peer_id)
    }

    /// Closes a socket that is not a connection yet. Does not block.
    pub(super) fn close_socket(&self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(socket) = self.sockets.get(&peer_id) {
            socket.cancel_with(reason);
        }
    }

    /// Applies the handshake timeout of a new configuration to sockets without a first message.
    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.sockets
            .values()
            .for_each(|one| one.set_timeout(timeout));
    }

    /// Closes all sockets that are not connections yet, and waits for their threads. Returns them
    /// if they do not end before the deadline.
    pub(super) fn close_sockets(&mut self, deadline: Instant) -> Vec<InboundSocket> {
        self.pending = None;
        self.requests.clear();
        let sockets: Vec<_> = self.sockets.drain().map(|(_, socket)| socket).collect();
        for socket in &sockets {
            socket.cancel_with(DisconnectReason::Shutdown);
        }
        let runs = |socket: &InboundSocket| !socket.join_until(deadline);
        sockets.into_iter().filter(runs).collect()
    }

    /// Returns the connections that are being rejected.
    pub(super) fn take_rejected(&mut self) -> Vec<PeerConnectionHandle> {
        self.rejected.drain().map(|(_, handle)| handle).collect()
    }
}

/// The state of connections that the plan queries.
struct Connections<'a>(&'a Shared);

impl ConnectionView for Connections<'_> {
    fn has_version(&self, peer_id: PeerId) -> bool {
        let connection = self.0.connections.get(peer_id);
        connection.is_some_and(|one| one.peer_info().is_some())
    }
}

/// Reports the outcome of an accepted socket, on the thread of the socket. Reports its end if it is
/// dropped before it started a connection.
struct SocketObserver {
    peer_id: PeerId,
    shared: Arc<Shared>,
    news: Sender<LifeNews>,
    is_started: bool,
    end: SocketEnd,
}

impl SocketObserver {
    fn on_outcome(mut self, outcome: InboundOutcome<'_>) {
        match outcome {
            InboundOutcome::Connection(connection) => self.start(connection),
            InboundOutcome::Stream(_) => {
                count(&self.shared.counters.inbound_accepted);
                count(&self.shared.counters.streams_attached);
                self.end = SocketEnd::Attached;
            }
            InboundOutcome::StreamRejected(reason) => {
                self.end = SocketEnd::StreamRejected(reason);
            }
            InboundOutcome::Canceled => {}
        }
    }

    /// Requests admission from the supervisor, and starts the connection if it is granted.
    fn start(&mut self, mut connection: InboundConnection<'_>) {
        let (grant, granted) = bounded(1);
        // Fails once the supervisor has stopped. The request is then dropped.
        let _ = self.news.send(LifeNews::Classified(AdmissionRequest {
            peer_id: self.peer_id,
            has_ended: connection.has_ended(),
            grant,
            since: Instant::now(),
            retry_at: None,
        }));
        let Some(grant) = connection.wait_for(&granted, ADMISSION_TIMEOUT) else {
            return;
        };
        let AdmissionGrant { keeper, slot } = grant;
        let address = connection.peer_addr();
        let over_capacity = slot.is_none();
        connection.options_mut().slot = slot;
        if over_capacity {
            self.update_config(connection.options_mut());
            if let Ok(handle) = connection.start_with(true, Some(keeper)) {
                self.is_started = true;
                count(&self.shared.counters.inbound_rejected_capacity);
                // Once the supervisor has stopped, the handle is dropped, which closes the
                // connection.
                let _ = self.news.send(LifeNews::Rejecting(handle));
            }
            return;
        }
        let spawn = || {
            // An update of the configuration finds the connection, or precedes this line.
            self.update_config(connection.options_mut());
            connection.start_with(false, Some(keeper))
        };
        if self.shared.connections.spawn(spawn).is_err() {
            return;
        }
        self.is_started = true;
        self.report_accepted(address);
    }

    /// Not inlined, because its variables would add to the deepest stack of the thread.
    #[inline(never)]
    fn update_config(&self, options: &mut PeerConnectionOptions) {
        options.config = config(&self.shared.config());
    }

    /// Not inlined, like [`SocketObserver::update_config`].
    #[inline(never)]
    fn report_accepted(&self, address: SocketAddr) {
        count(&self.shared.counters.inbound_accepted);
        let peer_id = self.peer_id;
        let event = ControlEvent::InboundConnectionAccepted { peer_id, address };
        self.shared.log_event(&event);
        self.shared.bus.publish_control(&event);
    }
}

impl Drop for SocketObserver {
    fn drop(&mut self) {
        if !self.is_started {
            let _ = self.news.send(LifeNews::SocketOver {
                peer_id: self.peer_id,
                end: self.end.clone(),
            });
        }
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
                self.inbound.pending = Some(PendingInbound {
                    peer_id: PeerId::random(),
                    stream,
                    address,
                    retry_at: None,
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

    /// Decides about all inbound sockets that wait for a decision.
    pub(super) fn admit_pending(&mut self, now: Now) {
        // Decided first: a rejected or dropped request no longer counts toward the handshake limit.
        let mut requests = std::mem::take(&mut self.inbound.requests);
        // While the oldest one waits for a slot, the others wait for it.
        let mut must_wait = false;
        requests.retain_mut(|request| {
            must_wait = must_wait || self.decide(request, now);
            must_wait
        });
        self.inbound.requests = requests;
        let Some(mut pending) = self.inbound.pending.take() else {
            return;
        };
        let (peer_id, address) = (pending.peer_id, pending.address);
        let view = Connections(&self.shared);
        match self.plan.on_accepted(peer_id, address, &view, now) {
            SocketAdmission::Accept => self.accept(pending),
            SocketAdmission::Drop(reason) => self.on_refused(address, reason),
            SocketAdmission::Defer(retry_at) => {
                pending.retry_at = retry_at;
                self.inbound.pending = Some(pending);
            }
        }
    }

    /// Starts to read the first message of a socket.
    fn accept(&mut self, pending: PendingInbound) {
        let PendingInbound {
            peer_id,
            stream,
            address,
            ..
        } = pending;
        let options = self.setup(peer_id, config(&self.shared.config()));
        let observer = SocketObserver {
            peer_id,
            shared: self.shared.clone(),
            news: self.news_sender.clone(),
            is_started: false,
            end: SocketEnd::Closed,
        };
        let on_outcome = move |outcome: InboundOutcome<'_>| observer.on_outcome(outcome);
        match PeerConnectionActor::accept(stream, options, on_outcome) {
            Ok(socket) => {
                self.inbound.sockets.insert(peer_id, socket);
            }
            // The peer reset the connection before it was accepted. The plan ignores the end that the
            // dropped observer reports.
            Err(Error::Io { error, .. }) if error.kind == ErrorKind::NotConnected => {
                let _ = self
                    .plan
                    .on_socket_over(peer_id, &SocketEnd::Closed, Now::read());
            }
            Err(error) => self.on_not_spawned(peer_id, address, &WithSources(&error)),
        }
    }

    /// Decides about a socket that is no second stream. Returns whether it must wait.
    fn decide(&mut self, request: &mut AdmissionRequest, now: Now) -> bool {
        let peer_id = request.peer_id;
        let Some(socket) = self.inbound.sockets.get(&peer_id) else {
            return false;
        };
        let address = socket.peer_addr();
        if self.plan.free_for_inbound() == 0
            && self.plan.taken_places() > self.shared.slots.count()
            && now.instant.saturating_duration_since(request.since) < SLOT_GRACE
        {
            // A connection has closed, but its event is still queued: a slot will be free soon.
            request.retry_at = Some(request.since + SLOT_GRACE);
            return true;
        }
        let view = Connections(&self.shared);
        let has_ended = request.has_ended;
        match self.plan.on_classified(peer_id, has_ended, &view, now) {
            Admission::Accept => match self.shared.slots.reserve() {
                Some(slot) => self.grant(request, address, Some(slot)),
                None => {
                    // The plan counts each holder of a slot, so this is a safeguard.
                    let _ = self.plan.on_socket_over(peer_id, &SocketEnd::Closed, now);
                    self.on_refused(address, InboundRejectReason::Capacity);
                }
            },
            Admission::RejectPolitely => self.grant(request, address, None),
            Admission::Drop(reason) => self.on_refused(address, reason),
            Admission::Defer(retry_at) => {
                request.retry_at = retry_at;
                return true;
            }
        }
        false
    }

    /// Grants the admission. Without a slot, the peer is rejected for capacity.
    fn grant(&self, request: &AdmissionRequest, address: SocketAddr, slot: Option<SlotGuard>) {
        let peer = (request.peer_id, address);
        let keeper = self.keeper(peer, Direction::Inbound, Attachment::Candidate);
        // Fails if the socket was closed meanwhile.
        let _ = request.grant.send(AdmissionGrant { keeper, slot });
    }

    /// Handles the end of a socket that has not become a connection.
    pub(super) fn on_socket_over(&mut self, peer_id: PeerId, end: &SocketEnd, now: Now) {
        self.inbound.remove(peer_id);
        if let Some((address, reason)) = self.plan.on_socket_over(peer_id, end, now) {
            self.on_refused(address, reason);
        }
    }

    fn on_not_spawned(&mut self, peer_id: PeerId, address: SocketAddr, error: &dyn Display) {
        let record = self.shared.log(Level::Error).peer_id(peer_id);
        let record = record.peer_address(address).direction(Direction::Inbound);
        let text = format_args!("inbound connection failed");
        record.reason(error).write(text);
        // Reported here, so the result is ignored.
        let _ = self
            .plan
            .on_socket_over(peer_id, &SocketEnd::Closed, Now::read());
        self.on_refused(address, InboundRejectReason::ThreadSpawnFailed);
    }

    fn on_refused(&mut self, address: SocketAddr, reason: InboundRejectReason) {
        count(&self.shared.counters.inbound_rejected);
        self.tell(ControlEvent::InboundConnectionRejected { address, reason });
    }
}
