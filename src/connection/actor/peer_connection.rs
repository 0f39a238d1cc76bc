//! A connection to one peer, over all restarts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

use super::active_connection::ActiveConnection;
use super::lifecycle::{Lifecycle, call_foreign};
use super::options::PeerConnectionOptions;
use super::peer_streams::PeerStream;
use crate::connection::event_bus::{AggregatedMisbehavior, EventPublisher, MisbehaviorAggregator};
use crate::connection::logging::Logged;
use crate::connection::outbox::Outbox;
use crate::connection::stream::Stream;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{
    AssociationRegistry, ConnectionConfig, ConnectionObserver, EventBus, SlotGuard, TrafficStats,
};
use crate::event::ControlEvent;
use crate::log_level::LogLevel;
use crate::log_record::LogRecord;
use crate::memory::{PeerMemory, StreamMemory};
use crate::peers::PeerId;
use crate::session::{ConfigError, ConnectionState, Direction, DisconnectReason, NonceRegistry};
use crate::wire::StreamType;

/// A connection to one peer: its identity, configuration and history, and the
/// [`ActiveConnection`] of the current or last run.
pub(in crate::connection) struct PeerConnection {
    pub(super) peer_id: PeerId,
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    pub(super) events: EventBus,
    pub(super) misbehavior: MisbehaviorAggregator,
    nonces: NonceRegistry,
    pub(super) associations: AssociationRegistry,
    /// The connection of the current run, or of the last one until a restart.
    current: RwLock<Arc<ActiveConnection>>,
    /// The reason with which the owner closed the connection for good, over all restarts.
    stop: OnceLock<DisconnectReason>,
    counters: Arc<TrafficCounters>,
    /// Set once the TCP connection of a data stream was established.
    data_counters: OnceLock<Arc<TrafficCounters>>,
    pub(super) memory: PeerMemory,
    /// Also notified when a handshake is complete.
    pub(in crate::connection) lifecycle: Lifecycle,
    /// The observer that decides whether the connection is reopened. `None` for most connections.
    pub(super) observer: Option<Box<dyn ConnectionObserver>>,
    pub(super) history: Mutex<History>,
    /// Locked while a connection becomes the current one, and while an update is applied to it.
    config: RwLock<Arc<ConnectionConfig>>,
    /// Incremented with every new configuration, so that threads detect a change without the lock.
    config_version: AtomicU64,
    pub(super) log_level: LogLevel,
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
    /// Creates the state. Returns the slot of `options` separately, because it belongs to the first
    /// run.
    pub(super) fn new(
        (direction, address): (Direction, SocketAddr),
        options: Box<PeerConnectionOptions>,
        observer: Option<Box<dyn ConnectionObserver>>,
    ) -> Result<(Arc<Self>, Option<SlotGuard>), ConfigError> {
        options.config.validate()?;
        let PeerConnectionOptions {
            peer_id,
            config,
            nonces,
            associations,
            events,
            memory,
            slot,
            log_level,
        } = *options;
        let config = Arc::new(config);
        let connection = ActiveConnection::new(direction, &config, &nonces)?;
        let peer = Arc::new(Self {
            peer_id,
            address,
            direction,
            events,
            misbehavior: MisbehaviorAggregator::default(),
            nonces,
            associations,
            current: RwLock::new(connection),
            stop: OnceLock::new(),
            counters: Arc::default(),
            data_counters: OnceLock::new(),
            memory: PeerMemory::new(
                &memory,
                config.max_payload_memory,
                config.session.limits.buffered,
            ),
            lifecycle: Lifecycle::default(),
            observer,
            history: Mutex::default(),
            config: RwLock::new(config),
            config_version: AtomicU64::new(0),
            log_level,
        });
        Ok((peer, slot))
    }

    pub(in crate::connection) fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Returns the connection of the current run, or of the last one.
    ///
    /// A caller that makes several calls on a connection must keep the returned object, because a
    /// restart replaces it.
    pub(super) fn current(&self) -> Arc<ActiveConnection> {
        self.current.read().clone()
    }

    /// Closes the connection permanently. A restart that is being prepared does not take place.
    pub(super) fn stop(&self, reason: DisconnectReason) {
        // A new connection becomes the current one before it checks `stop`, so that one of the two
        // calls closes it.
        let _ = self.stop.set(reason.clone());
        self.current().close(reason);
    }

    /// Returns whether the connection was stopped by its owner.
    pub(in crate::connection) fn is_stopped(&self) -> bool {
        self.stop.get().is_some()
    }

    /// Returns the reason with which the owner closed the connection for good.
    pub(super) fn stop_reason(&self) -> Option<&DisconnectReason> {
        self.stop.get()
    }

    /// Creates the connection of the next run with `start`, which spawns its thread. Keeps the last
    /// connection if that fails.
    pub(in crate::connection) fn restart<E>(
        &self,
        start: impl FnOnce(&Arc<ActiveConnection>) -> Result<(), E>,
    ) -> bool {
        let last = self.current();
        let next = {
            // The session has this configuration, or gets the update that waits for the lock.
            let config = self.config.read();
            let next = ActiveConnection::new(self.direction, &config, &self.nonces);
            let Ok(next) = next else {
                return false;
            };
            *self.current.write() = next.clone();
            next
        };
        if let Some(reason) = self.stop_reason() {
            next.close(reason.clone());
        }
        if start(&next).is_err() {
            *self.current.write() = last;
            return false;
        }
        self.history.lock().restarts += 1;
        true
    }

    /// Waits until the handshake is complete or the connection is closed for good. Returns `None`
    /// at `deadline`.
    pub(super) fn wait_connected(&self, deadline: Instant) -> Option<Result<(), DisconnectReason>> {
        self.lifecycle.wait_for(Some(deadline), |is_closed| {
            let connection = self.current();
            if connection.state() == ConnectionState::Connected {
                return Some(Ok(()));
            }
            // Without an observer there is no restart.
            let is_final = is_closed || self.observer.is_none();
            let reason = connection.close.final_reason().filter(|_| is_final)?;
            Some(Err(reason))
        })
    }

    /// Returns the configuration and its version.
    pub(super) fn config(&self) -> (Arc<ConnectionConfig>, u64) {
        let config = self.config.read();
        (config.clone(), self.config_version.load(Relaxed))
    }

    pub(super) fn config_version(&self) -> u64 {
        self.config_version.load(Relaxed)
    }

    /// Stores a validated configuration and applies it to the session. The threads apply the rest
    /// when they wake.
    pub(super) fn set_config(&self, config: ConnectionConfig) {
        let mut current = self.config.write();
        *current = Arc::new(config);
        self.config_version.fetch_add(1, Relaxed);
        self.set_memory_limits(&current);
        let connection = self.current();
        // Cannot fail, because the configuration was validated.
        let _ = connection.session().update_config(current.session.clone());
        connection.close.wakers().wake_all();
    }

    pub(super) fn set_memory_limits(&self, config: &ConnectionConfig) {
        let longest = config.session.limits.buffered;
        self.memory.set_limits(config.max_payload_memory, longest);
    }

    /// Creates the payload memory of a stream of `connection`.
    pub(super) fn stream_memory(
        &self,
        connection: &ActiveConnection,
        stream: StreamType,
    ) -> StreamMemory {
        let close = connection.close.clone();
        let waker = close.wakers().of(stream).clone();
        let close = move || close.close(DisconnectReason::PayloadMemoryExhausted);
        self.memory.stream(move || waker.wake(), close)
    }

    /// Creates the publisher of the events of a stream of `connection`.
    pub(super) fn publisher(
        &self,
        connection: &ActiveConnection,
        stream: StreamType,
    ) -> EventPublisher {
        let waker = connection.close.wakers().of(stream);
        self.events.publisher(&self.config().0, waker.clone())
    }

    /// Emits a control event at the end of a run. A panic of the logger is caught.
    pub(super) fn emit(&self, event: &ControlEvent) {
        call_foreign(|| self.events.publish_control(event));
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

    /// Sends the ping and emits the events about misbehavior that are due. Must be called about
    /// once a second while reading is paused.
    pub(super) fn keep_alive(&self, connection: &ActiveConnection, now: Instant) {
        self.publish_misbehavior(self.misbehavior.poll(now));
        connection.keep_alive(now);
    }

    /// Creates a stream of `connection` on a connected socket.
    pub(super) fn new_stream(
        &self,
        connection: &ActiveConnection,
        kind: StreamType,
        socket: Arc<Stream>,
        config: &ConnectionConfig,
    ) -> Arc<PeerStream> {
        let counters = match kind {
            StreamType::General => self.counters.clone(),
            _ => self.data_counters(),
        };
        let outbox = Outbox::new(socket.clone(), config, counters, connection.close.clone());
        Arc::new(PeerStream {
            kind,
            socket,
            outbox,
        })
    }

    /// Returns the traffic counters of the primary stream.
    pub(super) fn counters(&self) -> Arc<TrafficCounters> {
        self.counters.clone()
    }

    /// Returns the traffic counters of the data stream. Creates them if needed.
    pub(super) fn data_counters(&self) -> Arc<TrafficCounters> {
        self.data_counters.get_or_init(Arc::default).clone()
    }

    /// Returns the traffic counters of each stream that exists or existed.
    pub(super) fn all_counters(&self) -> impl Iterator<Item = (StreamType, &TrafficCounters)> {
        let data = self.data_counters.get();
        let data = data.map(|one| (StreamType::Data1, &**one));
        std::iter::once((StreamType::General, &*self.counters)).chain(data)
    }

    /// Returns the sum of the traffic of all streams.
    pub(super) fn traffic(&self) -> TrafficStats {
        let each = self.all_counters().map(|(_, one)| one.snapshot());
        each.fold(TrafficStats::default(), TrafficStats::plus)
    }

    /// Returns the number of bytes that were received in the middle of large frames.
    pub(super) fn large_frame_bytes(&self) -> u64 {
        let each = self.all_counters();
        each.map(|(_, one)| one.large_frame_bytes()).sum()
    }
}

impl Logged for PeerConnection {
    fn log_limit(&self) -> Option<&LogLevel> {
        Some(&self.log_level)
    }

    fn add_fields(&self, record: LogRecord<'static>) -> LogRecord<'static> {
        // The session is unlocked before the logger is called, because the logger may block.
        let state = self.current().session().state();
        record
            .peer_id(self.peer_id)
            .peer_address(self.address)
            .direction(self.direction)
            .state(state)
            .network(&self.config().0.network)
    }
}
