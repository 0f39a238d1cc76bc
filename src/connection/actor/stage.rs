//! The stage of a connection: running, waiting for a restart, or closed.

use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The stage of a connection and the handle of its thread.
///
/// Every change is made under one lock, so that exactly one thread emits the final event.
#[derive(Debug, Default)]
pub(in crate::connection) struct Stages {
    stage: Mutex<Stage>,
    changed: Condvar,
    /// Held while a thread is joined, so that a second caller waits for it too.
    joining: Mutex<()>,
}

#[derive(Debug)]
enum Stage {
    Running(Option<JoinHandle<()>>),
    /// A restart is scheduled. The thread of the last run is about to end.
    Waiting(Option<JoinHandle<()>>),
    Over(Option<JoinHandle<()>>),
}

impl Default for Stage {
    fn default() -> Self {
        Stage::Over(None)
    }
}

impl Stage {
    fn take_thread(&mut self) -> Option<JoinHandle<()>> {
        match self {
            Stage::Running(thread) | Stage::Waiting(thread) | Stage::Over(thread) => thread.take(),
        }
    }
}

impl Stages {
    /// Starts a run on the thread that `spawn` creates. The run cannot end before the handle of its
    /// thread is stored.
    pub(in crate::connection) fn begin<E>(
        &self,
        spawn: impl FnOnce() -> Result<JoinHandle<()>, E>,
    ) -> Result<(), E> {
        let mut stage = self.stage.lock();
        *stage = Stage::Running(Some(spawn()?));
        Ok(())
    }

    /// Marks the connection as waiting for a restart, unless `forbidden` returns true. Returns
    /// whether it waits.
    pub(in crate::connection) fn wait_for_next(&self, forbidden: impl FnOnce() -> bool) -> bool {
        let mut stage = self.stage.lock();
        if forbidden() {
            return false;
        }
        *stage = Stage::Waiting(stage.take_thread());
        true
    }

    pub(in crate::connection) fn is_waiting(&self) -> bool {
        matches!(&*self.stage.lock(), Stage::Waiting(_))
    }

    /// Returns whether the connection is closed for good.
    pub(super) fn is_over(&self) -> bool {
        matches!(&*self.stage.lock(), Stage::Over(_))
    }

    /// Takes the connection out of its wait, to restart or to close it. Returns `None` if it does
    /// not wait.
    ///
    /// The caller must join the returned thread, or return it with [`Stages::keep_thread`].
    pub(in crate::connection) fn take_waiting(&self) -> Option<Option<JoinHandle<()>>> {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Waiting(thread) => {
                let thread = thread.take();
                *stage = Stage::Running(None);
                Some(thread)
            }
            _ => None,
        }
    }

    /// Stores the thread that [`Stages::take_waiting`] returned, for a later join.
    pub(in crate::connection) fn keep_thread(&self, thread: Option<JoinHandle<()>>) {
        *self.stage.lock() = Stage::Running(thread);
    }

    /// Marks the connection as permanently closed.
    pub(in crate::connection) fn end(&self) {
        let mut stage = self.stage.lock();
        *stage = Stage::Over(stage.take_thread());
        self.changed.notify_all();
    }

    /// Waits until the connection is permanently closed, until `deadline` at most. Returns whether
    /// it is closed.
    pub(super) fn wait_until_over(&self, deadline: Instant) -> bool {
        let mut stage = self.stage.lock();
        while !matches!(&*stage, Stage::Over(_)) {
            if self.changed.wait_until(&mut stage, deadline).timed_out() {
                return matches!(&*stage, Stage::Over(_));
            }
        }
        true
    }

    /// Waits until the connection is permanently closed and its last thread has ended. Returns
    /// immediately on the connection's own thread.
    pub(in crate::connection) fn join(&self) {
        let _joining = self.joining.lock();
        let mut stage = self.stage.lock();
        loop {
            match &mut *stage {
                Stage::Running(Some(thread)) if thread.thread().id() == thread::current().id() => {
                    return;
                }
                Stage::Over(thread) => {
                    let thread = thread.take();
                    drop(stage);
                    if let Some(thread) = thread {
                        // A panic has been reported as `DisconnectReason::InternalError` already.
                        let _ = thread.join();
                    }
                    return;
                }
                _ => self.changed.wait(&mut stage),
            }
        }
    }
}
