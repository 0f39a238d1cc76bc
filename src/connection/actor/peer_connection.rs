//! A connection to one peer, over all restarts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::{Condvar, Mutex, RwLock};

use super::open_requests::OpenRequests;
use super::peer_streams::{PeerStream, PeerStreams};
use super::second::SecondStream;
use super::setup::PeerConnectionOptions;
use super::stage::Stages;
use crate::connection::event_bus::{AggregatedMisbehavior, EventPublisher, MisbehaviorAggregator};
use crate::connection::records::Logged;
use crate::connection::requests::Failure;
use crate::connection::stop::Stop;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{
    AssociationRegistry, ConnectionConfig, EventBus, Keeper, SlotGuard, TrafficStats, random,
};
use crate::error::Error;
use crate::event::ControlEvent;
use crate::log_level::LogLevel;
use crate::log_record::LogRecord;
use crate::memory::PeerMemory;
use crate::peers::PeerId;
use crate::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, NonceRegistry, Session,
};
use crate::wire::{BlockHeader, Message, StreamPolicy, StreamType};

/// The state that the threads and the handle of a connection share, over all restarts.
pub(in crate::connection) struct PeerConnection {
    pub(super) peer_id: PeerId,
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    pub(super) events: EventBus,
    pub(super) misbehavior: MisbehaviorAggregator,
    nonces: NonceRegistry,
    pub(super) associations: AssociationRegistry,
    /// Locked for one call, never during a wait. Each run has its own session.
    pub(super) session: Mutex<Session>,
    /// Notified, with `session`, when a handshake is complete or the connection is closed for good.
    progress: Condvar,
    pub(super) stop: Stop,
    pub(super) counters: Arc<TrafficCounters>,
    pub(super) memory: Arc<PeerMemory>,
    /// The stage of the connection and the handle of its thread.
    pub(in crate::connection) stages: Stages,
    /// The observer that decides whether the connection is reopened. `None` for most connections.
    pub(super) keeper: Option<Box<dyn Keeper>>,
    pub(super) history: Mutex<History>,
    config: RwLock<Arc<ConnectionConfig>>,
    /// Incremented with every new configuration, so that threads detect a change without the lock.
    config_version: AtomicU64,
    pub(super) requests: OpenRequests,
    pub(super) log_level: LogLevel,
    /// The open TCP connections.
    links: RwLock<PeerStreams>,
    pub(super) second: SecondStream,
    /// The first reason with which the peer closed a stream. One stream may be reset while the
    /// other one is closed.
    cut: Mutex<Option<DisconnectReason>>,
    /// Set once the TCP connection of a second stream was established.
    second_counters: OnceLock<Arc<TrafficCounters>>,
}

/// The history of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The time at which the handshake completed, or `None` if the connection is not established.
    pub(super) connected: Option<(Instant, SystemTime)>,
    /// The number of times the connection was reopened.
    pub(super) restarts: u64,
    pub(super) last_error: Option<DisconnectReason>,
}

impl PeerConnection {
    /// Creates the state. Returns the slot of `setup` separately, because it belongs to the first
    /// run.
    pub(super) fn new(
        (direction, address): (Direction, SocketAddr),
        setup: PeerConnectionOptions,
        keeper: Option<Box<dyn Keeper>>,
    ) -> Result<(Self, Option<SlotGuard>), ConfigError> {
        let PeerConnectionOptions {
            peer_id,
            config,
            nonces,
            associations,
            events,
            memory,
            slot,
            log_level,
        } = setup;
        config.validate()?;
        let session = new_session(direction, &config, &nonces)?;
        let requests = OpenRequests::new(&BlockHeader::genesis(&config.network));
        let peer = Self {
            peer_id,
            address,
            direction,
            events,
            misbehavior: MisbehaviorAggregator::default(),
            nonces,
            associations,
            session: Mutex::new(session),
            progress: Condvar::new(),
            stop: Stop::new(),
            counters: Arc::default(),
            memory: Arc::new(PeerMemory::new(config.max_payload_memory, &memory)),
            stages: Stages::default(),
            keeper,
            history: Mutex::default(),
            config: RwLock::new(Arc::new(config)),
            config_version: AtomicU64::new(0),
            requests,
            log_level,
            links: RwLock::default(),
            second: SecondStream::default(),
            cut: Mutex::default(),
            second_counters: OnceLock::new(),
        };
        Ok((peer, slot))
    }

    pub(in crate::connection) fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    pub(in crate::connection) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether the peer may open a second stream now.
    pub(in crate::connection) fn awaits_stream(&self) -> bool {
        self.second.is_awaited()
    }

    /// Returns whether the connection was stopped by its owner.
    pub(in crate::connection) fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Prepares the connection for another run.
    pub(in crate::connection) fn renew(&self) -> Result<(), ConfigError> {
        let session = new_session(self.direction, &self.config(), &self.nonces)?;
        *self.session.lock() = session;
        *self.cut.lock() = None;
        self.requests.renew();
        Ok(())
    }

    /// Waits until the handshake is complete or the connection is closed for good. Returns `None`
    /// at `deadline`.
    pub(super) fn wait_connected(&self, deadline: Instant) -> Option<Result<(), DisconnectReason>> {
        let mut session = self.session.lock();
        loop {
            if session.state() == ConnectionState::Connected {
                return Some(Ok(()));
            }
            if let Some(reason) = session.close_reason()
                && (self.keeper.is_none() || self.stages.is_over())
            {
                return Some(Err(reason.clone()));
            }
            if self.progress.wait_until(&mut session, deadline).timed_out()
                && session.state() != ConnectionState::Connected
            {
                return None;
            }
        }
    }

    /// Wakes the callers of [`PeerConnection::wait_connected`].
    pub(super) fn notify_progress(&self) {
        // A waiter that has checked the state already is in its wait by then.
        drop(self.session.lock());
        self.progress.notify_all();
    }

    pub(in crate::connection) fn count_restart(&self) {
        self.history.lock().restarts += 1;
    }

    pub(super) fn config(&self) -> Arc<ConnectionConfig> {
        self.config.read().clone()
    }

    pub(super) fn config_version(&self) -> u64 {
        self.config_version.load(Relaxed)
    }

    /// Stores a validated configuration. The threads apply it when they wake next.
    pub(super) fn set_config(&self, config: ConnectionConfig) {
        let mut current = self.config.write();
        *current = Arc::new(config);
        self.config_version.fetch_add(1, Relaxed);
    }

    /// Creates the publisher of the events of a stream.
    pub(super) fn publisher(&self, stream: StreamType) -> EventPublisher {
        let waker = self.requests.waker(stream).clone();
        self.events.publisher(&self.config(), waker)
    }

    /// Emits an event about violations of the peer.
    pub(super) fn publish_misbehavior(&self, violations: Option<AggregatedMisbehavior>) {
        if let Some(violations) = violations {
            self.events.publish_control(&ControlEvent::PeerMisbehavior {
                peer_id: self.peer_id,
                address: self.address,
                misbehavior: violations.misbehavior,
                score: violations.score,
                count: violations.count,
            });
        }
    }

    /// Returns the open TCP connections.
    pub(super) fn links(&self) -> PeerStreams {
        self.links.read().clone()
    }

    /// Returns the connection for this message, if the peer is connected.
    pub(super) fn carrying(&self, message: &Message) -> Option<Arc<PeerStream>> {
        self.links.read().carrying(message).cloned()
    }

    pub(super) fn set_first_link(&self, link: Arc<PeerStream>) {
        *self.links.write() = PeerStreams::one(link);
    }

    /// Adds the second connection. `policy` routes messages from now on.
    pub(super) fn add_second_link(&self, link: Arc<PeerStream>, policy: StreamPolicy) {
        self.links.write().add_second(link, policy);
    }

    /// Sends a ping if an open request needs one.
    pub(super) fn send_fence(&self) {
        if !self.requests.wants_fence() {
            return;
        }
        let ping = self.session.lock().ping(Instant::now());
        if let Some(nonce) = ping.nonce {
            self.requests.on_fence(nonce);
            self.links().reply(&[ping.into()]);
        }
    }

    /// Sends the ping that is due, if the peer closes connections on which this side is silent.
    /// Emits the events about misbehavior that are due.
    ///
    /// The ping uses the first stream, so that a block on the second one delays neither ping nor
    /// pong. Must be called about once a second while reading is paused.
    pub(super) fn keep_alive(&self, now: Instant) {
        self.publish_misbehavior(self.misbehavior.poll(now));
        let ping = self.session.lock().keepalive_ping(now);
        if let Some(ping) = ping
            && let Some(first) = self.links().first()
        {
            // If queuing fails, the outbox is closed, which ends the connection.
            let _ = first.outbox.reply(&[ping.into()]);
        }
    }

    /// Returns the reason to report for a stream that ended with `reason`. If the peer closed
    /// several streams, the first such reason is reported for all.
    pub(super) fn agree_on(&self, reason: DisconnectReason) -> DisconnectReason {
        if !reason.is_peer_close() {
            return reason;
        }
        self.cut.lock().get_or_insert(reason).clone()
    }

    /// Removes the connections. Their sockets close once no call uses them.
    pub(super) fn remove_links(&self) -> PeerStreams {
        std::mem::take(&mut *self.links.write())
    }

    /// Shuts all sockets down, which ends all waits for them. Does not block.
    pub(super) fn close_links(&self, reason: &DisconnectReason) {
        self.links().close(reason);
        self.second.stop(reason);
    }

    /// Closes the connection after the end of its second stream. Called by the thread of that
    /// stream.
    pub(super) fn end_second(&self, reason: &DisconnectReason) {
        let first = self.links().first().cloned();
        if let Some(first) = &first
            && reason.is_peer_close()
        {
            // Data that arrived before the peer closed both streams is still read on the first one.
            // Its end then closes the session.
            first.outbox.close(reason.clone());
        } else {
            self.session.lock().close(reason.clone());
            if let Some(first) = &first {
                // The thread of the first stream sends the last replies and closes the connection.
                first.stream.stop_reading();
            }
        }
        if let Some(second) = self.second.link() {
            second.outbox.close(reason.clone());
            second.outbox.join();
        }
    }

    /// Returns the traffic counters of the second stream. Creates them if needed.
    pub(super) fn second_counters(&self) -> Arc<TrafficCounters> {
        self.second_counters.get_or_init(Arc::default).clone()
    }

    /// Returns the traffic counters of each stream that exists or existed.
    pub(super) fn all_counters(&self) -> impl Iterator<Item = (StreamType, &TrafficCounters)> {
        let second = self.second_counters.get();
        let second = second.map(|one| (StreamType::Data1, &**one));
        std::iter::once((StreamType::General, &*self.counters)).chain(second)
    }

    /// Returns the sum of the traffic of all streams.
    pub(super) fn traffic(&self) -> TrafficStats {
        let each = self.all_counters().map(|(_, one)| one.snapshot());
        each.fold(TrafficStats::default(), TrafficStats::plus)
    }

    /// Returns the error of a request that failed.
    pub(super) fn request_error(&self, failure: Failure) -> Error {
        failure.into_error(self.address.to_string())
    }

    /// Returns the number of received bytes of incomplete frames.
    pub(super) fn unfinished(&self) -> u64 {
        self.all_counters().map(|(_, one)| one.unfinished()).sum()
    }
}

impl Logged for PeerConnection {
    fn log_limit(&self) -> Option<&LogLevel> {
        Some(&self.log_level)
    }

    fn add_fields(&self, record: LogRecord<'static>) -> LogRecord<'static> {
        // The session is unlocked before the logger is called, because the logger may block.
        let state = self.session.lock().state();
        record
            .peer_id(self.peer_id)
            .peer_address(self.address)
            .direction(self.direction)
            .state(state)
            .network(&self.config().network)
    }
}

fn new_session(
    direction: Direction,
    config: &ConnectionConfig,
    nonces: &NonceRegistry,
) -> Result<Session, ConfigError> {
    let mut session = Session::new(
        direction,
        config.session.clone(),
        nonces.clone(),
        random::nonces(),
        Instant::now(),
    )?;
    session.set_genesis(config.network.genesis_header().hash());
    session.enable_multistream(uuid::Uuid::new_v4());
    Ok(session)
}
