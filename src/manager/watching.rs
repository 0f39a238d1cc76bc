//! The state and statistics of a manager.

use std::time::SystemTime;

use super::snapshot::{Plans, Snapshot};
use super::{Manager, Metrics};
use crate::connection::ConnectionStatistics;
use crate::error::Error;
use crate::peers::Peer;

/// State and statistics. All results are copies.
impl Manager {
    /// Returns all known peers, in no particular order.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the manager is not running.
    pub fn peers(&self) -> Result<Vec<Peer>, Error> {
        self.ask(|supervisor| supervisor.plan.table().iter().cloned().collect())
    }

    /// Returns the statistics of all connections, in no particular order. Does not block.
    ///
    /// Includes connections that are being opened or wait for a restart. Empty before the start and
    /// after the shutdown.
    pub fn connections(&self) -> Vec<ConnectionStatistics> {
        let all = self.shared.connections.all();
        all.iter().map(|one| one.statistics()).collect()
    }

    /// Returns the number of peers with a complete handshake. Does not block.
    pub fn connected_count(&self) -> usize {
        self.shared.connected.count()
    }

    /// Returns a [`Snapshot`] of the manager: connections, known peers and metrics.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the manager is not running.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let plans = self.ask(|supervisor| Plans::of(supervisor))?;
        let connections = self.connections();
        Ok(Snapshot {
            taken_at: SystemTime::now(),
            listening: plans.listening,
            waiting: plans.waiting,
            known_peers: plans.known,
            metrics: self.metrics_with(&connections),
            connections,
        })
    }

    /// Returns the [`Metrics`] of the manager. Does not block.
    ///
    /// Available in every state, also after the shutdown.
    pub fn metrics(&self) -> Metrics {
        self.metrics_with(&self.connections())
    }

    fn metrics_with(&self, connections: &[ConnectionStatistics]) -> Metrics {
        let shared = &self.shared;
        Metrics {
            connected: shared.connected.count(),
            slots_taken: shared.slots.count(),
            payload_memory: shared.memory.used(),
            bans: shared.bans.read().active_count(SystemTime::now()),
            ..shared.counters.metrics(connections)
        }
    }
}
