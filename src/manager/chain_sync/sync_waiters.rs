//! Callers that wait for a synchronized chain.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The callers that wait until the chain is synchronized, in order.
#[derive(Default)]
pub(super) struct SyncWaiters {
    state: Mutex<WaiterState>,
    changed: Condvar,
}

#[derive(Default)]
struct WaiterState {
    /// The number of the last waiter.
    last: u64,
    /// The last waiter for which the chain is synchronized.
    synced: u64,
    is_closed: bool,
}

/// The end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncResult {
    Synced,
    TimedOut,
    /// The manager was shut down.
    Closed,
}

impl SyncWaiters {
    /// Registers a waiter and returns its number. Numbers ascend from 1.
    pub(super) fn register(&self) -> u64 {
        let mut state = self.state.lock();
        state.last += 1;
        state.last
    }

    /// Returns the number of the last waiter.
    pub(super) fn last(&self) -> u64 {
        self.state.lock().last
    }

    /// Blocks until the chain is synchronized for a waiter.
    pub(super) fn wait(&self, waiter: u64, deadline: Instant) -> SyncResult {
        let mut state = self.state.lock();
        loop {
            if state.synced >= waiter {
                return SyncResult::Synced;
            }
            if state.is_closed {
                return SyncResult::Closed;
            }
            if Instant::now() >= deadline {
                return SyncResult::TimedOut;
            }
            self.changed.wait_until(&mut state, deadline);
        }
    }

    /// Ends the waits of all waiters up to this one.
    pub(super) fn on_synced(&self, waiter: u64) {
        let mut state = self.state.lock();
        if waiter > state.synced {
            state.synced = waiter;
            self.changed.notify_all();
        }
    }

    /// Ends all current and future waits.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn waiters_up_to_synced_one_return() {
        let waiters = SyncWaiters::default();
        assert_eq!(waiters.last(), 0);
        let [first, second, third] = [(); 3].map(|()| waiters.register());
        assert_eq!((first, second, third, waiters.last()), (1, 2, 3, 3));
        waiters.on_synced(second);
        waiters.on_synced(first);
        let now = Instant::now();
        assert_eq!(waiters.wait(first, now), SyncResult::Synced);
        assert_eq!(waiters.wait(second, now), SyncResult::Synced);
        assert_eq!(waiters.wait(third, now), SyncResult::TimedOut);
    }

    #[test]
    fn wait_ends_when_chain_becomes_synchronized() {
        let waiters = SyncWaiters::default();
        let waiter = waiters.register();
        thread::scope(|scope| {
            let wait = || waiters.wait(waiter, Instant::now() + LIMIT);
            let waiting = [scope.spawn(wait), scope.spawn(wait)];
            waiters.on_synced(waiter);
            for one in waiting {
                assert_eq!(one.join().unwrap(), SyncResult::Synced);
            }
        });
    }

    #[test]
    fn close_ends_current_and_later_waits() {
        let waiters = SyncWaiters::default();
        let [synced, other] = [(); 2].map(|()| waiters.register());
        waiters.on_synced(synced);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| waiters.wait(other, Instant::now() + LIMIT));
            waiters.close();
            assert_eq!(waiting.join().unwrap(), SyncResult::Closed);
        });
        let deadline = Instant::now() + LIMIT;
        assert_eq!(waiters.wait(synced, deadline), SyncResult::Synced);
        assert_eq!(waiters.wait(other, deadline), SyncResult::Closed);
    }
}
