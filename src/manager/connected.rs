//! How many peers are connected, and waiting for them.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// How many peers are connected, handshake complete. Counted by the connections' own threads, before anybody hears of it.
#[derive(Default)]
pub(super) struct Connected {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    /// There will be none any more.
    is_over: bool,
}

impl Connected {
    /// A peer is connected.
    pub(super) fn add(&self) {
        self.state.lock().count += 1;
        self.changed.notify_all();
    }

    /// One is connected no more.
    pub(super) fn remove(&self) {
        let mut state = self.state.lock();
        state.count = state.count.saturating_sub(1);
    }

    /// No peer will be connected any more.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }

    /// Waits until so many are connected, the deadline has passed, or there will be none any more. Returns how many there are.
    pub(super) fn wait_for(&self, wanted: usize, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        while state.count < wanted
            && !state.is_over
            && !self.changed.wait_until(&mut state, deadline).timed_out()
        {}
        state.count
    }
}
