//! The state of a local node that its threads share.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::state::NodeState;

/// The state, and the notification of its changes.
pub(super) struct SharedState {
    state: Mutex<NodeState>,
    /// Notified after every change of the state and at the shutdown.
    changed: Condvar,
    stopped: AtomicBool,
}

impl SharedState {
    pub(super) fn new(state: NodeState) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Locks the state. Blocks while another thread holds the lock.
    pub(super) fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock()
    }

    /// Notifies waiting threads. Must be called after a change of the state, without the lock.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Blocks until `reached` returns true, but for at most `timeout`. Returns whether it did.
    pub(super) fn wait(
        &self,
        timeout: Duration,
        mut reached: impl FnMut(&mut NodeState) -> bool,
    ) -> bool {
        let mut state = self.state.lock();
        let missing = |state: &mut NodeState| !reached(state);
        !self
            .changed
            .wait_while_for(&mut state, missing, timeout)
            .timed_out()
    }

    /// Ends every current and future [`SharedState::sleep`].
    pub(super) fn stop(&self) {
        let state = self.state.lock();
        self.stopped.store(true, Relaxed);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Blocks for `pause`, or until the node is stopped.
    pub(super) fn sleep(&self, pause: Duration) {
        self.wait(pause, |_| self.is_stopped());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::connection::EventBus;
    use crate::local_node::{Chain, LocalNode};

    #[test]
    fn stop_ends_a_rest() {
        let address = ([127, 0, 0, 1], 1).into();
        let config = LocalNode::default_config();
        let state = NodeState::new(Chain::new(), config.into(), address, EventBus::new());
        let shared = SharedState::new(state);
        let minute = Duration::from_secs(60);
        let began = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| shared.sleep(minute));
            shared.stop();
        });
        // After the stop, `sleep` returns immediately.
        shared.sleep(Duration::MAX);
        assert!(began.elapsed() < minute / 10);
    }
}
