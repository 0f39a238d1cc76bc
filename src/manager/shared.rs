//! What the manager's threads and the program's share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, RwLock};
use uuid::Uuid;

use super::ManagerConfig;
use super::metrics::Counters;
use crate::connection::{ConnectionSlots, EventBus, PeerConnectionHandle};
use crate::error::Error;
use crate::log_level::LogLevel;
use crate::memory::PayloadMemory;
use crate::peers::BanList;
use crate::session::NonceRegistry;

/// The configuration that holds now.
pub(super) type CurrentConfig = Arc<RwLock<Arc<ManagerConfig>>>;

/// What the manager's threads and the program's share. No lock in here is held while anything is waited for.
pub(super) struct Shared {
    pub(super) config: CurrentConfig,
    pub(super) bus: EventBus,
    pub(super) nonces: NonceRegistry,
    pub(super) memory: PayloadMemory,
    pub(super) slots: ConnectionSlots,
    pub(super) log_level: LogLevel,
    pub(super) bans: Arc<RwLock<BanList>>,
    pub(super) connections: Connections,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(config: ManagerConfig) -> Self {
        let mut bans = BanList::new(config.bans.clone());
        bans.set_whitelist(config.whitelist.iter().copied());
        Self {
            bus: EventBus::new(),
            nonces: NonceRegistry::default(),
            memory: PayloadMemory::new(config.max_payload_memory),
            slots: ConnectionSlots::new(config.max_connections),
            log_level: LogLevel::new(config.log_level),
            bans: Arc::new(RwLock::new(bans)),
            connections: Connections::default(),
            counters: Counters::default(),
            config: Arc::new(RwLock::new(Arc::new(config))),
        }
    }

    pub(super) fn config(&self) -> Arc<ManagerConfig> {
        self.config.read().clone()
    }
}

/// The connections that there are, by the identities of their peers.
#[derive(Default)]
pub(super) struct Connections {
    handles: RwLock<HashMap<Uuid, Arc<PeerConnectionHandle>>>,
    connected: Mutex<Connected>,
    changed: Condvar,
}

#[derive(Default)]
struct Connected {
    count: usize,
    /// Nobody is connected any more.
    is_over: bool,
}

impl Connections {
    /// Spawns a connection. Whoever hears of it, by an event of its own, finds it here.
    pub(super) fn spawn(
        &self,
        spawn: impl FnOnce() -> Result<PeerConnectionHandle, Error>,
    ) -> Result<(), Error> {
        let mut handles = self.handles.write();
        let handle = Arc::new(spawn()?);
        handles.insert(handle.peer_id(), handle);
        Ok(())
    }

    pub(super) fn get(&self, peer_id: Uuid) -> Option<Arc<PeerConnectionHandle>> {
        self.handles.read().get(&peer_id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<PeerConnectionHandle>> {
        self.handles.read().values().cloned().collect()
    }

    pub(super) fn remove(&self, peer_id: Uuid) -> Option<Arc<PeerConnectionHandle>> {
        self.handles.write().remove(&peer_id)
    }

    /// So many peers are connected now.
    pub(super) fn set_connected(&self, count: usize) {
        let mut connected = self.connected.lock();
        if connected.count != count {
            connected.count = count;
            self.changed.notify_all();
        }
    }

    /// There will be no connection any more.
    pub(super) fn end(&self) {
        let mut connected = self.connected.lock();
        (connected.count, connected.is_over) = (0, true);
        self.changed.notify_all();
    }

    pub(super) fn connected(&self) -> usize {
        self.connected.lock().count
    }

    /// Waits until so many are connected, the deadline has passed, or there will be none any more. Returns how many there are.
    pub(super) fn wait_for(&self, wanted: usize, deadline: Instant) -> usize {
        let mut connected = self.connected.lock();
        while connected.count < wanted
            && !connected.is_over
            && !self
                .changed
                .wait_until(&mut connected, deadline)
                .timed_out()
        {}
        connected.count
    }
}
