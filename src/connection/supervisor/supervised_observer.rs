//! Hands ended connections from their threads to the supervisor.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::connection::ConnectionSlots;
use crate::connection::observer::{ConnectionObserver, PendingRestart};
use crate::connection::restart::RestartPolicy;
use crate::random;
use crate::session::DisconnectReason;

/// A connection that has ended and should be reopened.
pub(super) struct ScheduledRestart {
    pub(super) due: Instant,
    pub(super) next: PendingRestart,
    /// The slots from which each restart reserves one.
    pub(super) slots: Option<ConnectionSlots>,
}

/// The observer of a supervised connection, with the restart policy of that connection.
pub(super) struct SupervisedObserver {
    pub(super) policy: Mutex<RestartPolicy>,
    pub(super) supervisor: Sender<ScheduledRestart>,
    pub(super) slots: Option<ConnectionSlots>,
}

impl ConnectionObserver for SupervisedObserver {
    fn restart_delay(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration> {
        let (now, random) = (Instant::now(), random::random_u64());
        let decision = self.policy.lock().on_end(reason, connected_at, now, random);
        decision.pause()
    }

    fn on_restart_scheduled(&self, due: Instant, _: DisconnectReason, next: PendingRestart) {
        let slots = self.slots.clone();
        // Fails if the supervisor was dropped. Dropping the restart then closes the connection.
        let _ = self.supervisor.send(ScheduledRestart { due, next, slots });
    }
}
