//! What a connection's threads and its handle share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::open_requests::OpenRequests;
use super::setup::PeerConnectionSetup;
use super::stage::Stages;
use crate::connection::event_bus::{Delivery, DeliveryLimits, Signals};
use crate::connection::outbox::Outbox;
use crate::connection::stop::Stop;
use crate::connection::stream::Stream;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{Associations, ConnectionConfig, Keeper, SlotGuard, random};
use crate::event::ControlEvent;
use crate::log_level::LogLevel;
use crate::memory::PeerMemory;
use crate::session::{ConfigError, Direction, DisconnectReason, NonceRegistry, Session};
use crate::wire::BlockHeader;

/// What a connection's threads and its handle share, over all of its lives.
pub(in crate::connection) struct Shared {
    pub(super) peer_id: Uuid,
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    /// Held by the connection's thread as long as it lives.
    pub(super) delivery: Mutex<Delivery>,
    nonces: NonceRegistry,
    pub(super) associations: Associations,
    /// Held for one call of the session, never while anything is waited for. Each life has a session of its own.
    pub(super) session: Mutex<Session>,
    pub(super) stop: Stop,
    pub(super) counters: Arc<TrafficCounters>,
    pub(super) memory: Arc<PeerMemory>,
    /// Whether a thread lives, and what comes after it.
    pub(in crate::connection) stages: Stages,
    /// Who decides whether the connection is opened again; nobody for most.
    pub(super) keeper: Option<Box<dyn Keeper>>,
    pub(super) history: Mutex<History>,
    /// What subscribers hear right before they hear of the connection.
    pub(super) told_first: Mutex<Option<ControlEvent>>,
    config: RwLock<Arc<ConnectionConfig>>,
    /// Grows with every new configuration, so that the connection's thread need not look at it again and again.
    config_version: AtomicU64,
    pub(super) requests: OpenRequests,
    pub(super) log_level: LogLevel,
    /// There while TCP stands.
    link: RwLock<Option<Arc<Link>>>,
}

pub(super) struct Link {
    pub(super) stream: Arc<Stream>,
    pub(super) outbox: Outbox,
}

/// What has become of the connection so far.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// When the handshake was complete, while it is connected: for plans, and for people.
    pub(super) connected: Option<(Instant, SystemTime)>,
    /// How many times it was opened again.
    pub(super) restarts: u64,
    pub(super) last_error: Option<DisconnectReason>,
}

impl Shared {
    /// Gives the slot of `setup` back: it belongs to the first life.
    pub(super) fn new(
        (direction, address): (Direction, SocketAddr),
        setup: PeerConnectionSetup,
        keeper: Option<Box<dyn Keeper>>,
    ) -> Result<(Self, Option<SlotGuard>), ConfigError> {
        let PeerConnectionSetup {
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
        let requests = OpenRequests::new(&BlockHeader::genesis(config.network));
        let delivery = events.delivery(DeliveryLimits::from(&config));
        let shared = Self {
            peer_id,
            address,
            direction,
            delivery: Mutex::new(delivery),
            nonces,
            associations,
            session: Mutex::new(session),
            stop: Stop::new(),
            counters: Arc::default(),
            memory: Arc::new(PeerMemory::new(config.max_payload_memory, &memory)),
            stages: Stages::default(),
            keeper,
            history: Mutex::default(),
            told_first: Mutex::default(),
            config: RwLock::new(Arc::new(config)),
            config_version: AtomicU64::new(0),
            requests,
            log_level,
            link: RwLock::default(),
        };
        Ok((shared, slot))
    }

    pub(in crate::connection) fn peer_id(&self) -> Uuid {
        self.peer_id
    }

    pub(in crate::connection) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the peer may open a second stream at this moment.
    pub(in crate::connection) fn awaits_stream(&self) -> bool {
        false
    }

    /// Whether the program wants the connection to end.
    pub(in crate::connection) fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Makes all ready for another life.
    pub(in crate::connection) fn renew(&self) -> Result<(), ConfigError> {
        let session = new_session(self.direction, &self.config(), &self.nonces)?;
        *self.session.lock() = session;
        self.requests.renew();
        Ok(())
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

    /// Takes a configuration that has been checked. The connection's thread sees it at its next wake.
    pub(super) fn set_config(&self, config: ConnectionConfig) {
        let mut current = self.config.write();
        *current = Arc::new(config);
        self.config_version.fetch_add(1, Relaxed);
    }

    /// What ends a wait for subscribers.
    pub(super) fn signals(&self) -> Signals<'_> {
        Signals {
            stop: &self.stop,
            open_requests: self.requests.count(),
            wake: self.requests.opened(),
        }
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.read().clone()
    }

    pub(super) fn set_link(&self, link: Arc<Link>) {
        *self.link.write() = Some(link);
    }

    /// Lets go of the socket: it is closed as soon as no call uses it any more.
    pub(super) fn remove_link(&self) -> Option<Arc<Link>> {
        self.link.write().take()
    }
}

fn new_session(
    direction: Direction,
    config: &ConnectionConfig,
    nonces: &NonceRegistry,
) -> Result<Session, ConfigError> {
    Session::new(
        direction,
        config.session.clone(),
        nonces.clone(),
        random::nonces(),
        Instant::now(),
    )
}
