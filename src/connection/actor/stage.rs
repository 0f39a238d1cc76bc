//! Whether a connection has a thread, waits for its next one, or is over.

use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Where a connection stands between its first thread and its last.
///
/// Every change is made under one lock, so that exactly one thread tells of the end.
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
    /// The supervisor will begin the next life. The last thread is about to end.
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
    /// Begins a life in a thread that `spawn` starts. It cannot end before its handle is kept.
    pub(in crate::connection) fn begin<E>(
        &self,
        spawn: impl FnOnce() -> Result<JoinHandle<()>, E>,
    ) -> Result<(), E> {
        let mut stage = self.stage.lock();
        *stage = Stage::Running(Some(spawn()?));
        Ok(())
    }

    /// A life has ended, and another shall follow unless `forbidden`. Returns whether it is awaited now.
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

    pub(super) fn is_over(&self) -> bool {
        matches!(&*self.stage.lock(), Stage::Over(_))
    }

    /// Takes a connection that waits for its next life: for the one who begins that life, or sees to it that there is none.
    /// `None` if it does not wait. The thread of the last life is to be joined.
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

    /// Gives back the thread that [`Stages::take_waiting`] gave, to be joined later.
    pub(in crate::connection) fn keep_thread(&self, thread: Option<JoinHandle<()>>) {
        *self.stage.lock() = Stage::Running(thread);
    }

    /// There is no further life.
    pub(in crate::connection) fn end(&self) {
        let mut stage = self.stage.lock();
        *stage = Stage::Over(stage.take_thread());
        self.changed.notify_all();
    }

    /// Waits until there is no further life, at most until `deadline`. Returns whether there is none.
    pub(super) fn wait_until_over(&self, deadline: Instant) -> bool {
        let mut stage = self.stage.lock();
        while !matches!(&*stage, Stage::Over(_)) {
            if self.changed.wait_until(&mut stage, deadline).timed_out() {
                return matches!(&*stage, Stage::Over(_));
            }
        }
        true
    }

    /// Waits until there is no further life, and for the last thread. A connection's own thread does not wait for itself.
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
