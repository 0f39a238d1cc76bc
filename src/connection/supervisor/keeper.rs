//! The way from a connection's thread to the supervisor's.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::connection::ConnectionSlots;
use crate::connection::keeper::{Keeper, NextLife};
use crate::connection::restart::RestartPolicy;
use crate::random;
use crate::session::DisconnectReason;

/// A connection whose thread ends, and that shall be opened again.
pub(super) struct Ended {
    pub(super) due: Instant,
    pub(super) next: NextLife,
    /// Where a place is reserved for each life.
    pub(super) slots: Option<ConnectionSlots>,
}

/// Keeps one connection by its own plan.
pub(super) struct PlanKeeper {
    pub(super) plan: Mutex<RestartPolicy>,
    pub(super) supervisor: Sender<Ended>,
    pub(super) slots: Option<ConnectionSlots>,
}

impl Keeper for PlanKeeper {
    fn pause_before_next(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration> {
        let (now, random) = (Instant::now(), random::random_u64());
        let verdict = self.plan.lock().on_end(reason, connected_at, now, random);
        verdict.pause()
    }

    fn on_waiting(&self, due: Instant, _: DisconnectReason, next: NextLife) {
        let slots = self.slots.clone();
        // If the supervisor has gone, what comes back is dropped here, and the connection is over.
        let _ = self.supervisor.send(Ended { due, next, slots });
    }
}
