//! Starts, calls and stops the supervisor thread.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::supervisor::{Caller, End, ManagerSupervisor};
use crate::error::Error;

/// The supervisor thread, if it is running.
#[derive(Default)]
pub(super) struct Running {
    stage: Mutex<Stage>,
    /// Held while the thread is joined, so that concurrent calls wait for it as well.
    joining: Mutex<()>,
}

#[derive(Default)]
enum Stage {
    #[default]
    New,
    Running {
        caller: Caller,
        thread: Option<JoinHandle<End>>,
    },
    Over,
}

impl Running {
    /// Starts the thread. Fails if it was started or stopped before.
    pub(super) fn start(
        &self,
        begin: impl FnOnce() -> Result<(ManagerSupervisor, Caller), Error>,
    ) -> Result<(), Error> {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::New) {
            return Err(Error::AlreadyStarted);
        }
        let (supervisor, caller) = begin()?;
        let thread = std::thread::Builder::new()
            .name("bsv-p2p manager".into())
            .stack_size(1024 * 1024)
            .spawn(move || supervisor.run())
            .map_err(|error| Error::Io {
                operation: "spawning the manager thread".into(),
                error: error.into(),
            })?;
        *stage = Stage::Running {
            caller,
            thread: Some(thread),
        };
        Ok(())
    }

    /// Returns whether the thread was started, or the manager was shut down before.
    pub(super) fn was_started(&self) -> bool {
        !matches!(*self.stage.lock(), Stage::New)
    }

    /// Runs a function on the supervisor thread and returns its result; see [`Caller::ask`].
    pub(super) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut ManagerSupervisor) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let caller = match &*self.stage.lock() {
            Stage::Running { caller, .. } => caller.clone(),
            Stage::New | Stage::Over => return Err(Error::NotRunning),
        };
        caller.ask(what)
    }

    /// Stops the thread and waits for its end. Returns the result of the shutdown.
    pub(super) fn stop(&self, timeout: Duration) -> End {
        let _joining = self.joining.lock();
        let deadline = Instant::now() + timeout;
        let _ = self.ask(move |supervisor| supervisor.stop_by = Some(deadline));
        let before = std::mem::replace(&mut *self.stage.lock(), Stage::Over);
        match before {
            Stage::Running {
                thread: Some(thread),
                ..
            } => thread.join().unwrap_or_else(|_| End {
                left: vec!["supervisor, which panicked"],
                store: None,
            }),
            _ => End::default(),
        }
    }
}
