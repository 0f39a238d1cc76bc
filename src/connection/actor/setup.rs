//! What a connection is spawned with.

use crate::connection::{ConnectionConfig, EventBus, SlotGuard};
use crate::memory::PayloadMemory;
use crate::session::NonceRegistry;

/// What a connection is spawned with.
#[derive(Debug)]
pub struct PeerConnectionSetup {
    /// How it behaves.
    pub config: ConnectionConfig,
    /// The registry of the owner of all connections, by which a connection to ourselves is recognised.
    pub nonces: NonceRegistry,
    /// Where it tells what happens.
    pub events: EventBus,
    /// The memory that payloads of all connections may hold together.
    pub memory: PayloadMemory,
    /// Its place among the connections, given back when it ends.
    pub slot: Option<SlotGuard>,
}

impl PeerConnectionSetup {
    /// A setup with a bus, a registry and a memory of its own, and no slot.
    pub fn new(config: ConnectionConfig) -> Self {
        Self {
            config,
            nonces: NonceRegistry::default(),
            events: EventBus::new(),
            memory: PayloadMemory::default(),
            slot: None,
        }
    }
}
