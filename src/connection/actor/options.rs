//! Options of a new connection.

use crate::connection::{AssociationRegistry, ConnectionConfig, EventBus, SlotGuard};
use crate::log_level::LogLevel;
use crate::memory::PayloadMemory;
use crate::peers::PeerId;
use crate::session::NonceRegistry;

/// The configuration and the shared resources with which an actor connection is spawned.
///
/// Connections of one owner should share `nonces`, `associations` and `memory`. They may share
/// `events` as well.
///
/// Struct expressions that end with `..PeerConnectionOptions::new(config)` keep compiling when a
/// field is added.
#[derive(Debug)]
pub struct PeerConnectionOptions {
    /// The id of the peer in events.
    pub peer_id: PeerId,
    /// The configuration of the connection.
    pub config: ConnectionConfig,
    /// The registry that detects connections to the process itself. Share it between all
    /// connections.
    pub nonces: NonceRegistry,
    /// The registry that assigns second streams to their peers. Share it between all connections.
    pub associations: AssociationRegistry,
    /// The bus on which the connection publishes its events.
    pub events: EventBus,
    /// The memory limit for the large payloads of all connections that share it.
    pub memory: PayloadMemory,
    /// The slot that the connection occupies. It is released when the connection ends.
    pub slot: Option<SlotGuard>,
    /// The maximum level of the log records of the connection.
    pub log_level: LogLevel,
}

impl PeerConnectionOptions {
    /// Creates options with a random id, new shared resources, no slot and no limit of the log
    /// level.
    ///
    /// Payload memory is limited to 512 MiB.
    pub fn new(config: ConnectionConfig) -> Self {
        Self {
            peer_id: PeerId::random(),
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
