//! Who owns connections, and hears of them before any subscriber does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SlotGuard;
use super::actor::{Shared, begin_life, give_up, stop_waiting};
use crate::peers::PeerId;
use crate::session::{DisconnectReason, PeerInfo};
use crate::wire::Message;

/// The owner of a connection: decides whether it is opened again, and hears how it fares.
///
/// Every call comes from a connection's thread or from whoever stops the connection, and must not block. After each life exactly one of
/// [`Keeper::on_waiting`] and [`Keeper::on_over`] is called, when its events have been handed over.
pub(crate) trait Keeper: Send + Sync {
    /// The handshake is complete. Subscribers hear of it next.
    fn on_connected(&self, info: &PeerInfo) {
        let _ = info;
    }

    /// A message has come that answers no question. Subscribers have it next.
    fn on_message(&self, message: &Message) {
        let _ = message;
    }

    /// A life has ended, `connected_at` being when its handshake was complete, if it was. Returns after which pause there shall be another;
    /// subscribers hear of both next. Called once for each life.
    fn pause_before_next(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration>;

    /// The connection waits for its next life, which is due at `due`.
    fn on_waiting(&self, due: Instant, reason: DisconnectReason, next: NextLife);

    /// The connection is over: the last event has been sent.
    fn on_over(&self, reason: DisconnectReason) {
        let _ = reason;
    }
}

/// The next life of a connection that waits for it. One that is dropped, because its keeper has gone, ends the connection for good.
pub(crate) struct NextLife {
    connection: Option<Arc<Shared>>,
}

impl NextLife {
    pub(super) fn of(connection: Arc<Shared>) -> Self {
        Self {
            connection: Some(connection),
        }
    }

    /// The peer's identity in events.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.connection
            .as_ref()
            .map_or(PeerId::from_u128(0), |one| one.peer_id())
    }

    /// Whether the connection still waits: nobody has stopped it meanwhile.
    pub(crate) fn is_wanted(&self) -> bool {
        let waits = |one: &Arc<Shared>| one.stages.is_waiting();
        self.connection.as_ref().is_some_and(waits)
    }

    /// Begins it, in the place `slot`. Does nothing if the connection waits no more; gives the life back if there is no thread for it now.
    pub(crate) fn begin(mut self, slot: Option<SlotGuard>) -> Result<(), NextLife> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let Some(last_thread) = connection.stages.take_waiting() else {
            return Ok(());
        };
        if let Some(thread) = last_thread {
            // It has nothing left to do.
            let _ = thread.join();
        }
        if connection.renew().is_ok() && begin_life(&connection, None, slot).is_ok() {
            connection.count_restart();
            return Ok(());
        }
        if connection.stages.wait_for_next(|| connection.is_stopped()) {
            return Err(Self::of(connection));
        }
        give_up(&connection, DisconnectReason::Requested);
        Ok(())
    }

    /// Ends the connection for good.
    pub(crate) fn give_up(mut self, reason: DisconnectReason) {
        if let Some(connection) = self.connection.take() {
            stop_waiting(&connection, reason);
        }
    }
}

impl Drop for NextLife {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            stop_waiting(&connection, DisconnectReason::Shutdown);
        }
    }
}
