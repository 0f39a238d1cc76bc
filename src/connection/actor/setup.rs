//! What a connection is spawned with.

use uuid::Uuid;

use crate::connection::{AssociationRegistry, ConnectionConfig, EventBus, SlotGuard};
use crate::log_level::LogLevel;
use crate::memory::PayloadMemory;
use crate::session::NonceRegistry;

/// What a connection is spawned with.
#[derive(Debug)]
pub struct PeerConnectionOptions {
    /// The peer's identity in events.
    pub peer_id: Uuid,
    /// How it behaves.
    pub config: ConnectionConfig,
    /// The registry of the owner of all connections, by which a connection to ourselves is recognised.
    pub nonces: NonceRegistry,
    /// The registry of the owner of all connections, by which a further connection of the same peer is recognised.
    pub associations: AssociationRegistry,
    /// Where it tells what happens.
    pub events: EventBus,
    /// The memory that payloads of all connections may hold together.
    pub memory: PayloadMemory,
    /// Its place among the connections, given back when it ends.
    pub slot: Option<SlotGuard>,
    /// Down to which level it writes log records.
    pub log_level: LogLevel,
}

impl PeerConnectionOptions {
    /// A setup with a random identity, a bus, a registry and a memory of its own, no slot, and no limit of log records.
    pub fn new(config: ConnectionConfig) -> Self {
        Self {
            peer_id: Uuid::new_v4(),
            config,
            nonces: NonceRegistry::default(),
            associations: AssociationRegistry::default(),
            events: EventBus::new(),
            memory: PayloadMemory::default(),
            slot: None,
            log_level: LogLevel::default(),
        }
    }
}
