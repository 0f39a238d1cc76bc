//! The number of connected peers, and calls that wait for it.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The number of peers with a complete handshake.
///
/// The threads of the connections update it before subscribers receive the event.
#[derive(Default)]
pub(super) struct Connected {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    /// Whether the manager was shut down.
    is_over: bool,
}

impl Connected {
    /// Counts a peer whose handshake is complete.
    pub(super) fn add(&self) {
        self.state.lock().count += 1;
        self.changed.notify_all();
    }

    /// Subtracts a peer whose connection ended.
    pub(super) fn remove(&self) {
        let mut state = self.state.lock();
        state.count = state.count.saturating_sub(1);
    }

    /// Ends all waits, because no peer will connect any more.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }

    /// Blocks until `wanted` peers are connected, the deadline passes, or the manager is shut down.
    ///
    /// Returns the number of connected peers.
    pub(super) fn wait_for(&self, wanted: usize, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        while state.count < wanted
            && !state.is_over
            && !self.changed.wait_until(&mut state, deadline).timed_out()
        {}
        state.count
    }
}
