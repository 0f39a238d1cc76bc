//! Shutdown of the supervisor.

use std::thread;
use std::time::Instant;

use log::Level;

use super::ManagerSupervisor;
use crate::manager::store_thread::FinishError;
use crate::session::DisconnectReason;

impl ManagerSupervisor {
    /// Stops the listener, all connections and the store thread.
    pub(super) fn stop(&mut self) {
        let deadline = self.stop_by.unwrap_or_else(Instant::now);
        // Pending and further calls fail now instead of waiting for the shutdown.
        self.calls.close();
        self.accepted = None;
        if let Some(listener) = self.listener.take() {
            listener.stop();
        }
        if let Some(round) = &self.seeds {
            round.stop();
        }
        self.plan.stop();
        let sockets = self.inbound.close_sockets(deadline);
        // A socket may have become a connection before.
        self.take_last_news();
        let connections = self.shared.connections.all();
        for handle in &connections {
            handle.stop(DisconnectReason::Shutdown);
        }
        let without_place = self.inbound.take_rejected();
        for handle in &without_place {
            handle.stop(DisconnectReason::Shutdown);
        }
        self.waiting.clear();
        // All connections are stopping at the same time, so they can be joined in any order.
        let mut ends = sockets.is_empty();
        for handle in &connections {
            ends &= handle.join_until(deadline);
            self.shared.counters.add_past(&handle.statistics());
            self.shared.connections.remove(handle.peer_id());
        }
        for handle in &without_place {
            ends &= handle.join_until(deadline);
            self.shared.counters.add_past(&handle.statistics());
        }
        if let Some(round) = self.seeds.take()
            && !round.join_until(deadline)
        {
            self.end.left.push("seed lookup");
        }
        if !ends {
            self.end.left.push("connections");
            // Dropping a handle joins its thread, which must not delay the shutdown further.
            let _ =
                thread::Builder::new().spawn(move || drop((connections, without_place, sockets)));
        }
        self.take_last_news();
        self.plan.save();
        let changes = self.plan.take_changes();
        if let Some(store) = self.store.take() {
            store.write(changes);
            match store.finish(deadline) {
                Ok(()) => {}
                Err(FinishError::TimedOut) => self.end.left.push("peer store"),
                Err(FinishError::Failed(error)) => self.end.store = Some(error),
            }
        }
        while let Ok(error) = self.store_failures.try_recv() {
            self.on_store_failure(error);
        }
        if !self.end.left.is_empty() {
            let left = self.end.left.join(", ");
            let record = self.shared.log(Level::Warn);
            record.write(format_args!("shutdown timed out, still running: {left}"));
        }
    }

    /// Handles the queued events of connections, so that the store gets their effects.
    fn take_last_news(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.on_news(news);
        }
    }
}
