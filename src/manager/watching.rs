//! How a manager fares.

use std::time::SystemTime;

use super::snapshot::{Plans, Snapshot};
use super::{Manager, Metrics};
use crate::connection::ConnectionStatistics;
use crate::error::Error;
use crate::peers::Peer;

/// How it fares. Everything is a copy.
impl Manager {
    /// What is known of peers, in no order.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`].
    pub fn peers(&self) -> Result<Vec<Peer>, Error> {
        self.ask(|supervisor| supervisor.plan.table().all().cloned().collect())
    }

    /// The connections that there are, in no order: those included that are being opened, or wait for their next life. None before the
    /// start and after the shutdown.
    pub fn connections(&self) -> Vec<ConnectionStatistics> {
        let all = self.shared.connections.all();
        all.iter().map(|one| one.statistics()).collect()
    }

    /// How many peers are connected, handshake complete.
    pub fn connected(&self) -> usize {
        self.shared.connected.count()
    }

    /// All that a person would ask, copied out.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`].
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let plans = self.ask(|supervisor| Plans::of(supervisor))?;
        let connections = self.connections();
        Ok(Snapshot {
            taken: SystemTime::now(),
            listening: plans.listening,
            waiting: plans.waiting,
            known: plans.known,
            metrics: self.metrics_with(&connections),
            connections,
        })
    }

    /// The manager's numbers since it was made.
    pub fn metrics(&self) -> Metrics {
        self.metrics_with(&self.connections())
    }

    fn metrics_with(&self, connections: &[ConnectionStatistics]) -> Metrics {
        let shared = &self.shared;
        Metrics {
            connected: shared.connected.count(),
            slots_taken: shared.slots.count(),
            payload_memory: shared.memory.used(),
            bans: shared.bans.read().len(),
            ..shared.counters.metrics(connections)
        }
    }
}
