//! Callbacks for the owner of a connection, invoked before events reach subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SlotGuard;
use super::actor::{PeerConnection, cancel_restart, fail, spawn_thread};
use crate::peers::PeerId;
use crate::session::{DisconnectReason, PeerInfo};
use crate::wire::Message;

/// Observes a connection and decides whether it is reopened.
///
/// Callbacks run on the connection thread, or on the thread that stops the connection, and must not
/// block. Each run of the connection ends with exactly one call of [`ConnectionObserver::on_restart_scheduled`] or
/// [`ConnectionObserver::on_closed`], after its events have been published.
pub(crate) trait ConnectionObserver: Send + Sync {
    /// Called when the handshake is complete, before subscribers receive the event.
    fn on_connected(&self, info: &PeerInfo) {
        let _ = info;
    }

    /// Called for each message that answers no pending request, before subscribers receive it.
    fn on_message(&self, message: &Message) {
        let _ = message;
    }

    /// Returns the delay before the connection is reopened, or `None` to close it permanently.
    ///
    /// `connected_at` is the time at which the handshake completed, if it did. Called once for each
    /// run, before subscribers receive the event.
    fn restart_delay(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration>;

    /// Called when a restart is scheduled for `due`.
    fn on_restart_scheduled(&self, due: Instant, reason: DisconnectReason, next: PendingRestart);

    /// Called when the connection is closed permanently, after the final event.
    fn on_closed(&self, reason: DisconnectReason) {
        let _ = reason;
    }
}

/// A scheduled restart of a connection. Dropping it closes the connection permanently.
pub(crate) struct PendingRestart {
    connection: Option<Arc<PeerConnection>>,
}

impl PendingRestart {
    pub(super) fn new(connection: Arc<PeerConnection>) -> Self {
        Self {
            connection: Some(connection),
        }
    }

    /// Returns the id of the peer.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.connection
            .as_ref()
            .map_or(PeerId::from_u128(0), |one| one.peer_id())
    }

    /// Returns whether the restart is still pending, i.e. the connection has not been stopped.
    pub(crate) fn is_pending(&self) -> bool {
        let waits = |one: &Arc<PeerConnection>| one.lifecycle.is_restarting();
        self.connection.as_ref().is_some_and(waits)
    }

    /// Starts the connection in `slot`. Does nothing if the connection was stopped. Returns the
    /// restart if the connection could not be started.
    pub(crate) fn start(mut self, slot: Option<SlotGuard>) -> Result<(), PendingRestart> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        if !connection.lifecycle.claim_restart() {
            return Ok(());
        }
        if connection.restart(|next| spawn_thread(&connection, next, slot)) {
            return Ok(());
        }
        if connection
            .lifecycle
            .schedule_restart(|| connection.is_stopped())
        {
            return Err(Self::new(connection));
        }
        fail(&connection, DisconnectReason::Requested);
        Ok(())
    }

    /// Cancels the restart and closes the connection permanently.
    pub(crate) fn cancel(mut self, reason: DisconnectReason) {
        if let Some(connection) = self.connection.take() {
            cancel_restart(&connection, reason);
        }
    }
}

impl Drop for PendingRestart {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            cancel_restart(&connection, DisconnectReason::Shutdown);
        }
    }
}
