//! Calls: functions that other threads run on the supervisor thread.

use std::convert::Infallible;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::ManagerSupervisor;
use crate::error::Error;

/// Maximum number of queued calls.
const CAPACITY: usize = 64;

/// A function to run on the supervisor thread.
type Call = Box<dyn FnOnce(&mut ManagerSupervisor) + Send>;

/// Sends calls to the supervisor thread.
#[derive(Clone)]
pub(in crate::manager) struct Caller {
    calls: Sender<Call>,
    /// Disconnected at the end of the supervisor. Nothing is ever sent.
    over: Receiver<Infallible>,
}

/// Receives the calls of each [`Caller`]. If it is dropped, pending and further calls fail.
pub(super) struct Calls {
    pub(super) waiting: Receiver<Call>,
    /// Disconnected to fail pending calls. Dropping their queue is not sufficient: a call sent
    /// during the shutdown can stay in it while a sender exists.
    _over: Sender<Infallible>,
}

/// Creates a queue of calls.
pub(super) fn calls() -> (Caller, Calls) {
    let (sender, waiting) = bounded(CAPACITY);
    let (over_sender, over) = bounded(0);
    let caller = Caller {
        calls: sender,
        over,
    };
    let calls = Calls {
        waiting,
        _over: over_sender,
    };
    (caller, calls)
}

impl Calls {
    /// Fails pending and further calls with [`Error::NotRunning`].
    pub(super) fn close(&mut self) {
        *self = Self {
            waiting: never(),
            _over: bounded(0).0,
        };
    }
}

impl Caller {
    /// Runs a function on the supervisor thread and returns its result.
    ///
    /// Blocks for some milliseconds at most, because the supervisor never blocks.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the supervisor has stopped.
    pub(in crate::manager) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut ManagerSupervisor) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = bounded(1);
        let call: Call = Box::new(move |supervisor| {
            // The caller waits for the answer until the supervisor stops.
            let _ = answer.send(what(supervisor));
        });
        self.calls.send(call).map_err(|_| Error::NotRunning)?;
        select! {
            recv(answered) -> answer => answer.map_err(|_| Error::NotRunning),
            // `select!` chooses at random, so the answer can have arrived as well.
            recv(self.over) -> _ => answered.try_recv().map_err(|_| Error::NotRunning),
        }
    }
}
