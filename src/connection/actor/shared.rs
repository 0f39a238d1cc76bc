//! What a connection's threads and its handle share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::{Condvar, Mutex, RwLock};

use super::links::{Link, Links};
use super::open_requests::OpenRequests;
use super::second::SecondStream;
use super::setup::PeerConnectionOptions;
use super::stage::Stages;
use crate::connection::event_bus::{Delivery, DeliveryLimits, Signals};
use crate::connection::requests::Failure;
use crate::connection::stop::Stop;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{
    AssociationRegistry, ConnectionConfig, Keeper, SlotGuard, TrafficStats, random,
};
use crate::error::Error;
use crate::log_level::LogLevel;
use crate::memory::PeerMemory;
use crate::peers::PeerId;
use crate::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, NonceRegistry, Session,
};
use crate::wire::{BlockHeader, Message, StreamPolicy, StreamType};

/// What a connection's threads and its handle share, over all of its lives.
pub(in crate::connection) struct Shared {
    pub(super) peer_id: PeerId,
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    /// Held by the connection's thread as long as it lives.
    pub(super) delivery: Mutex<Delivery>,
    nonces: NonceRegistry,
    pub(super) associations: AssociationRegistry,
    /// Held for one call of the session, never while anything is waited for. Each life has a session of its own.
    pub(super) session: Mutex<Session>,
    /// Notified, with `session`, when a handshake is complete or the connection is closed for good.
    progress: Condvar,
    pub(super) stop: Stop,
    pub(super) counters: Arc<TrafficCounters>,
    pub(super) memory: Arc<PeerMemory>,
    /// Whether a thread lives, and what comes after it.
    pub(in crate::connection) stages: Stages,
    /// Who decides whether the connection is opened again; nobody for most.
    pub(super) keeper: Option<Box<dyn Keeper>>,
    pub(super) history: Mutex<History>,
    config: RwLock<Arc<ConnectionConfig>>,
    /// Grows with every new configuration, so that the connection's thread need not look at it again and again.
    config_version: AtomicU64,
    pub(super) requests: OpenRequests,
    pub(super) log_level: LogLevel,
    /// Those that stand.
    links: RwLock<Links>,
    pub(super) second: SecondStream,
    /// How the peer has cut its connections, in the words of whoever noticed first: one stream may be reset where the other one is closed.
    cut: Mutex<Option<DisconnectReason>>,
    /// There once the connection has had a second stream.
    second_counters: OnceLock<Arc<TrafficCounters>>,
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
        let delivery = events.delivery(DeliveryLimits::from(&config));
        let shared = Self {
            peer_id,
            address,
            direction,
            delivery: Mutex::new(delivery),
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
        Ok((shared, slot))
    }

    pub(in crate::connection) fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    pub(in crate::connection) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the peer may open a second stream at this moment.
    pub(in crate::connection) fn awaits_stream(&self) -> bool {
        self.second.is_awaited()
    }

    /// Whether the program wants the connection to end.
    pub(in crate::connection) fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Makes all ready for another life.
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

    /// Wakes the callers of [`Shared::wait_connected`].
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

    /// Takes a configuration that has been checked. The connection's thread sees it at its next wake.
    pub(super) fn set_config(&self, config: ConnectionConfig) {
        let mut current = self.config.write();
        *current = Arc::new(config);
        self.config_version.fetch_add(1, Relaxed);
    }

    /// What ends a wait of that stream's thread for subscribers.
    pub(super) fn signals<'a>(&'a self, stream: StreamType, stop: &'a Stop) -> Signals<'a> {
        Signals {
            stop,
            open_requests: self.requests.count(),
            wake: self.requests.opened(stream),
        }
    }

    /// The TCP connections that stand.
    pub(super) fn links(&self) -> Links {
        self.links.read().clone()
    }

    /// The connection that carries this message, if there is one.
    pub(super) fn carrying(&self, message: &Message) -> Option<Arc<Link>> {
        self.links.read().carrying(message).cloned()
    }

    pub(super) fn set_first_link(&self, link: Arc<Link>) {
        *self.links.write() = Links::one(link);
    }

    /// From here on messages go over both connections, as `policy` says.
    pub(super) fn add_second_link(&self, link: Arc<Link>, policy: StreamPolicy) {
        self.links.write().add_second(link, policy);
    }

    /// Sends the ping that an open question waits for, if one does.
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

    /// Sends the ping that is due, if silence of this side ends a connection with the peer.
    ///
    /// It goes over the first stream, so that a block on the second one delays it in neither direction. Must be called about
    /// once a second while nothing is read on purpose.
    pub(super) fn keep_alive(&self, now: Instant) {
        let ping = self.session.lock().keepalive_ping(now);
        if let Some(ping) = ping
            && let Some(first) = self.links().first()
        {
            // If it is not taken, the outbox is closed, which ends the connection.
            let _ = first.outbox.reply(&[ping.into()]);
        }
    }

    /// A stream has come to this end: what the end of the peer will be called, for senders and events alike. Of several cuts the first counts.
    pub(super) fn agree_on(&self, reason: DisconnectReason) -> DisconnectReason {
        if !reason.is_peer_close() {
            return reason;
        }
        self.cut.lock().get_or_insert(reason).clone()
    }

    /// Lets go of the sockets: they are closed as soon as no call uses them any more.
    pub(super) fn remove_links(&self) -> Links {
        std::mem::take(&mut *self.links.write())
    }

    /// Shuts the sockets down, and lets whoever waits for them wake. Never blocks.
    pub(super) fn close_links(&self, reason: &DisconnectReason) {
        self.links().close(reason);
        self.second.stop(reason);
    }

    /// The second stream has ended, and with it the peer. Called by its thread.
    pub(super) fn end_second(&self, reason: &DisconnectReason) {
        let first = self.links().first().cloned();
        if let Some(first) = &first
            && reason.is_peer_close()
        {
            // What the peer said before it cut both connections is still read on the first one, whose end is the peer's.
            first.outbox.close(reason.clone());
        } else {
            self.session.lock().close(reason.clone());
            if let Some(first) = &first {
                // Its thread sees to the end, and to the last words.
                first.stream.stop_reading();
            }
        }
        if let Some(second) = self.second.link() {
            second.outbox.close(reason.clone());
            second.outbox.join();
        }
    }

    /// What is counted of the second stream.
    pub(super) fn second_counters(&self) -> Arc<TrafficCounters> {
        self.second_counters.get_or_init(Arc::default).clone()
    }

    /// What is counted of each stream that there is or was.
    pub(super) fn all_counters(&self) -> impl Iterator<Item = (StreamType, &TrafficCounters)> {
        let second = self.second_counters.get();
        let second = second.map(|one| (StreamType::Data1, &**one));
        std::iter::once((StreamType::General, &*self.counters)).chain(second)
    }

    /// How much has gone each way.
    pub(super) fn traffic(&self) -> TrafficStats {
        let each = self.all_counters().map(|(_, one)| one.snapshot());
        each.fold(TrafficStats::default(), TrafficStats::plus)
    }

    /// Returns the error of a request that failed.
    pub(super) fn request_error(&self, failure: Failure) -> Error {
        failure.into_error(self.address.to_string())
    }

    /// How many bytes have come of frames that have not come whole.
    pub(super) fn unfinished(&self) -> u64 {
        self.all_counters().map(|(_, one)| one.unfinished()).sum()
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
