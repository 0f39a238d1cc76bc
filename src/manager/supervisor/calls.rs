//! How others have the supervisor do something, and never wait for one that is over.

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::Supervisor;
use crate::error::Error;

/// How many calls may wait.
const CAPACITY: usize = 64;

/// Something that somebody wants to be done or to know.
type Call = Box<dyn FnOnce(&mut Supervisor) + Send>;

/// Nothing is ever sent: the channel's end is the signal.
enum Never {}

/// Where calls are put.
#[derive(Clone)]
pub(in crate::manager) struct Caller {
    calls: Sender<Call>,
    over: Receiver<Never>,
}

/// Where they come out. Who waits for an answer is told that there will be none when this is dropped.
pub(super) struct Calls {
    pub(super) waiting: Receiver<Call>,
    /// A call that comes at the very end may stay in the queue for as long as a sender holds it: the end of the queue would not be seen.
    _over: Sender<Never>,
}

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
    /// Takes no more, and tells so who waits.
    pub(super) fn close(&mut self) {
        *self = Self {
            waiting: never(),
            _over: bounded(0).0,
        };
    }
}

impl Caller {
    /// Has the supervisor do something, and waits for what comes of it: for moments, as it never waits for anybody.
    pub(in crate::manager) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Supervisor) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = bounded(1);
        let call: Call = Box::new(move |supervisor| {
            // Who has asked waits for it.
            let _ = answer.send(what(supervisor));
        });
        self.calls.send(call).map_err(|_| Error::NotRunning)?;
        select! {
            recv(answered) -> answer => answer.map_err(|_| Error::NotRunning),
            // The answer may have come before the end, which is looked at in any order.
            recv(self.over) -> _ => answered.try_recv().map_err(|_| Error::NotRunning),
        }
    }
}
