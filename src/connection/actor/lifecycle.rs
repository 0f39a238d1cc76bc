//! Whether a connection runs, waits for a restart or is closed, and the thread to join.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

thread_local! {
    /// The address of the lifecycle whose connection runs on this thread, or 0.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// The lifecycle of a connection over all restarts.
///
/// Every change is made under one lock, so that exactly one thread emits the final event.
#[derive(Debug, Default)]
pub(in crate::connection) struct Lifecycle {
    state: Mutex<LifecycleState>,
    /// Notified at each change of the state, and by [`Lifecycle::notify`].
    changed: Condvar,
    /// Held while a thread is joined, so that a second caller waits for it too.
    joining: Mutex<()>,
}

#[derive(Debug, Default)]
struct LifecycleState {
    phase: Phase,
    /// The thread of the current or last run.
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    Running,
    /// A restart is scheduled.
    Restarting,
    #[default]
    Closed,
}

impl Lifecycle {
    /// Starts a run on the thread that `spawn` creates. The run cannot end before the handle of its
    /// thread is stored. Waits for the thread of the last run, which has ended its run.
    pub(in crate::connection) fn start(
        &self,
        spawn: impl FnOnce() -> io::Result<JoinHandle<()>>,
    ) -> io::Result<()> {
        let last = self.state.lock().thread.take();
        join_thread(last);
        let mut state = self.state.lock();
        state.thread = Some(spawn()?);
        state.phase = Phase::Running;
        Ok(())
    }

    /// Schedules a restart, unless `forbidden` returns true. Returns whether it is scheduled.
    pub(in crate::connection) fn schedule_restart(&self, forbidden: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        let is_allowed = !forbidden();
        if is_allowed {
            state.phase = Phase::Restarting;
        }
        is_allowed
    }

    pub(in crate::connection) fn is_restarting(&self) -> bool {
        self.state.lock().phase == Phase::Restarting
    }

    /// Cancels a scheduled restart, in order to start it or to close the connection. Returns
    /// whether one was scheduled. The caller must then call [`Lifecycle::start`],
    /// [`Lifecycle::schedule_restart`] or [`Lifecycle::close`].
    pub(in crate::connection) fn claim_restart(&self) -> bool {
        let mut state = self.state.lock();
        let is_scheduled = state.phase == Phase::Restarting;
        if is_scheduled {
            state.phase = Phase::Running;
        }
        is_scheduled
    }

    /// Marks the connection as permanently closed.
    pub(in crate::connection) fn close(&self) {
        self.state.lock().phase = Phase::Closed;
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().phase == Phase::Closed
    }

    /// Ends the waits whose condition is fulfilled by a change outside of the lifecycle.
    pub(super) fn notify(&self) {
        // A waiter that has checked its condition already is in its wait by then.
        drop(self.state.lock());
        self.changed.notify_all();
    }

    /// Waits until `condition` returns a value. Its parameter is whether the connection is
    /// permanently closed. Returns `None` at `deadline`.
    pub(super) fn wait_for<T>(
        &self,
        deadline: Option<Instant>,
        condition: impl Fn(bool) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(value) = condition(state.phase == Phase::Closed) {
                return Some(value);
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return condition(state.phase == Phase::Closed);
                    }
                }
            }
        }
    }

    /// Waits until the connection is permanently closed and its last thread has ended.
    ///
    /// Returns immediately on a thread of the connection, which would wait for itself.
    pub(in crate::connection) fn join(&self) {
        if self.is_own_thread() {
            return;
        }
        self.wait_for(None, |is_closed| is_closed.then_some(()));
        let _joining = self.joining.lock();
        let thread = self.state.lock().thread.take();
        join_thread(thread);
    }

    /// Marks the calling thread as a thread of the connection, until the guard is dropped.
    pub(super) fn enter_thread(&self) -> OwnThread {
        OwnThread {
            before: OWN.replace(self.address()),
        }
    }

    fn is_own_thread(&self) -> bool {
        OWN.get() == self.address()
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Marks a thread as one of a connection. Dropping it restores the mark before.
pub(super) struct OwnThread {
    before: usize,
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        OWN.set(self.before);
    }
}

fn join_thread(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        // A panic was reported as `DisconnectReason::InternalError` already.
        let _ = thread.join();
    }
}

/// Calls code of the application: a logger or an observer. Returns `None` if it panics, so that the
/// caller can go on.
pub(super) fn call_foreign<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// Closes a lifecycle if the thread panics, so that no caller waits for its end forever.
pub(super) struct CloseOnPanic<'a>(pub(super) &'a Lifecycle);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// Starts a run of `run` on a thread.
    fn start(lifecycle: &Arc<Lifecycle>, run: impl FnOnce(&Lifecycle) + Send + 'static) {
        let running = lifecycle.clone();
        let spawn = || Ok(thread::spawn(move || run(&running)));
        lifecycle.start(spawn).unwrap();
    }

    #[test]
    fn join_waits_for_thread_over_restarts() {
        let lifecycle = Arc::new(Lifecycle::default());
        lifecycle.join();
        start(&lifecycle, |run| assert!(run.schedule_restart(|| false)));
        thread::scope(|scope| {
            let joining = scope.spawn(|| lifecycle.join());
            while !lifecycle.claim_restart() {
                thread::yield_now();
            }
            assert!(!lifecycle.claim_restart());
            assert!(!joining.is_finished());
            start(&lifecycle, Lifecycle::close);
            joining.join().unwrap();
        });
        assert!(lifecycle.is_closed());
        assert!(lifecycle.state.lock().thread.is_none());
    }

    #[test]
    fn join_on_own_thread_returns_while_others_wait() {
        let lifecycle = Arc::new(Lifecycle::default());
        start(&lifecycle, |run| {
            {
                let _own = run.enter_thread();
                run.join();
            }
            assert!(!run.is_own_thread());
            run.close();
        });
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| lifecycle.join());
            }
        });
        assert!(lifecycle.is_closed());
    }

    #[test]
    fn failed_spawn_keeps_phase() {
        let lifecycle = Lifecycle::default();
        let failed = lifecycle.start(|| Err(io::ErrorKind::OutOfMemory.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        assert!(lifecycle.is_closed());
        assert!(!lifecycle.schedule_restart(|| true));
        assert!(lifecycle.schedule_restart(|| false) && lifecycle.is_restarting());
    }

    #[test]
    fn panic_of_run_closes_lifecycle() {
        let lifecycle = Arc::new(Lifecycle::default());
        start(&lifecycle, |run| {
            let _closes = CloseOnPanic(run);
            assert_eq!(call_foreign(|| panic!("foreign code")), None::<()>);
            panic!("a bug");
        });
        lifecycle.join();
        assert!(lifecycle.is_closed());
    }
}
