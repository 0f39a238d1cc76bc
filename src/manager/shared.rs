//! State shared between the threads of a manager and its callers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::RwLock;

use super::ManagerConfig;
use super::chain_sync::PeerClass;
use super::connected::Connected;
use super::metrics::Counters;
use super::transactions::BroadcastPool;
use crate::connection::{AssociationRegistry, ConnectionSlots, EventBus, PeerConnectionHandle};
use crate::discovery::SeedResolver;
use crate::error::Error;
use crate::log_level::LogLevel;
use crate::memory::PayloadMemory;
use crate::peers::{BanList, PeerId};
use crate::session::{Direction, NonceRegistry};

/// The current configuration.
pub(super) type CurrentConfig = Arc<RwLock<Arc<ManagerConfig>>>;

/// State shared between the threads of a manager and its callers. No lock is held during a wait.
pub(super) struct Shared {
    pub(super) config: CurrentConfig,
    /// The resolver of seeds that the caller provides, if any.
    pub(super) resolver: RwLock<Option<Arc<dyn SeedResolver>>>,
    pub(super) bus: EventBus,
    /// Whether the manager was started. The header file is not written before, so that subscribers
    /// receive its failures.
    pub(super) is_started: AtomicBool,
    pub(super) nonces: NonceRegistry,
    pub(super) associations: AssociationRegistry,
    pub(super) memory: PayloadMemory,
    pub(super) slots: ConnectionSlots,
    pub(super) log_level: LogLevel,
    pub(super) bans: Arc<RwLock<BanList>>,
    pub(super) connections: Connections,
    pub(super) connected: Arc<Connected>,
    pub(super) counters: Arc<Counters>,
    pub(super) transactions: Arc<BroadcastPool>,
}

impl Shared {
    pub(super) fn new(config: ManagerConfig) -> Self {
        let mut bans = BanList::new(config.bans.clone());
        bans.set_whitelist(config.whitelist.iter().copied());
        let log_level = LogLevel::new(config.log_level);
        Self {
            resolver: RwLock::default(),
            bus: EventBus::with_log_level(log_level.clone()),
            is_started: AtomicBool::new(false),
            nonces: NonceRegistry::default(),
            associations: AssociationRegistry::default(),
            memory: PayloadMemory::new(config.max_payload_memory),
            slots: ConnectionSlots::new(config.max_connections),
            log_level,
            bans: Arc::new(RwLock::new(bans)),
            connections: Connections::default(),
            connected: Arc::default(),
            counters: Arc::default(),
            transactions: Arc::default(),
            config: Arc::new(RwLock::new(Arc::new(config))),
        }
    }

    /// Returns the trust class of a peer.
    pub(super) fn peer_class(&self, peer: &PeerConnectionHandle) -> PeerClass {
        let ip = peer.peer_addr().ip();
        if self.connections.is_configured(peer.peer_id())
            || self.bans.read().whitelisted_by(ip).is_some()
        {
            return PeerClass::Configured;
        }
        match peer.direction() {
            Direction::Outbound => PeerClass::Outbound,
            Direction::Inbound => PeerClass::Inbound,
        }
    }

    pub(super) fn config(&self) -> Arc<ManagerConfig> {
        self.config.read().clone()
    }
}

/// The connections of a manager, by peer id.
#[derive(Default)]
pub(super) struct Connections {
    handles: RwLock<HashMap<PeerId, Arc<PeerConnectionHandle>>>,
    /// Fixed and manual peers.
    configured: RwLock<HashSet<PeerId>>,
}

impl Connections {
    /// Spawns and registers a connection.
    ///
    /// Holds the lock for both, so that a receiver of its first event finds the connection.
    pub(super) fn spawn(
        &self,
        spawn: impl FnOnce() -> Result<PeerConnectionHandle, Error>,
    ) -> Result<(), Error> {
        let mut handles = self.handles.write();
        let handle = Arc::new(spawn()?);
        handles.insert(handle.peer_id(), handle);
        Ok(())
    }

    /// Records that a peer is a fixed or manual one.
    pub(super) fn set_configured(&self, peer_id: PeerId) {
        self.configured.write().insert(peer_id);
    }

    fn is_configured(&self, peer_id: PeerId) -> bool {
        self.configured.read().contains(&peer_id)
    }

    pub(super) fn get(&self, peer_id: PeerId) -> Option<Arc<PeerConnectionHandle>> {
        self.handles.read().get(&peer_id).cloned()
    }

    /// Returns the connection of a peer. Calls `is_missing` if there is none, before one can be
    /// registered.
    pub(super) fn get_or_else(
        &self,
        peer_id: PeerId,
        is_missing: impl FnOnce(),
    ) -> Option<Arc<PeerConnectionHandle>> {
        let handles = self.handles.read();
        let found = handles.get(&peer_id).cloned();
        if found.is_none() {
            is_missing();
        }
        found
    }

    pub(super) fn all(&self) -> Vec<Arc<PeerConnectionHandle>> {
        self.handles.read().values().cloned().collect()
    }

    pub(super) fn remove(&self, peer_id: PeerId) -> Option<Arc<PeerConnectionHandle>> {
        self.configured.write().remove(&peer_id);
        self.handles.write().remove(&peer_id)
    }
}
