//! The way from a connection's thread to the supervisor's.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::connection::actor::{BeginsLives, Shared, stop_waiting};
use crate::session::DisconnectReason;

/// A connection whose thread ends, and that shall be opened again.
///
/// One that is dropped, because the supervisor has gone, ends the connection for good.
pub(super) struct Ended {
    connection: Option<Arc<Shared>>,
    next_life: Instant,
}

impl Ended {
    /// Takes over the duty to begin the next life, and tells when.
    pub(super) fn take(mut self) -> Option<(Instant, Arc<Shared>)> {
        Some((self.next_life, self.connection.take()?))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            stop_waiting(&connection, DisconnectReason::Shutdown);
        }
    }
}

impl BeginsLives for Sender<Ended> {
    fn begin_at(&self, next_life: Instant, connection: Arc<Shared>) {
        let ended = Ended {
            connection: Some(connection),
            next_life,
        };
        // If the supervisor has gone, what comes back is dropped here, and the connection is over.
        let _ = self.send(ended);
    }
}
