//! The thread that writes to the store of peers, so that nobody who has better things to do waits for a disk.

#[cfg(test)]
mod tests;
mod thread;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use self::thread::Writing;
use super::changes::Changes;
use crate::error::Error;
use crate::peers::{PeerStore, StoreError};

/// How often the thread writes at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// A thread that writes to a store: at most once a second, and what has come together by then at once.
pub(super) struct StoreThread {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

/// The end came before everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotFinished;

/// Where changes lie until the thread takes them.
#[derive(Default)]
struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

#[derive(Default)]
struct DeskState {
    pending: Changes,
    /// Nothing comes any more: what is there is to be written at once.
    is_last: bool,
    is_finished: bool,
}

impl StoreThread {
    /// Starts the thread. What the store cannot do is told to `failures`, the same thing once until something has worked again; never
    /// waits for a place there.
    pub(super) fn start(
        store: Arc<dyn PeerStore>,
        failures: Sender<StoreError>,
    ) -> Result<Self, Error> {
        Self::start_with(store, failures, WRITE_EVERY)
    }

    fn start_with(
        store: Arc<dyn PeerStore>,
        failures: Sender<StoreError>,
        write_every: Duration,
    ) -> Result<Self, Error> {
        let desk = Arc::new(Desk::default());
        let writing = Writing::new(store, failures, write_every, desk.clone());
        let thread = std::thread::Builder::new()
            .name("bsv-p2p store".into())
            .stack_size(512 * 1024)
            .spawn(move || writing.run())
            .map_err(|error| Error::System {
                what: "the thread of the store of peers".into(),
                kind: error.kind(),
            })?;
        Ok(Self { desk, thread })
    }

    /// Has these changes written. Never blocks: they join what is not written yet.
    pub(super) fn write(&self, changes: Changes) {
        let mut state = self.desk.state.lock();
        state.pending.merge(changes);
        self.desk.changed.notify_all();
    }

    /// Waits until everything is written and the thread has ended. A store that goes on for longer is left to itself: its thread ends
    /// when the store lets it.
    pub(super) fn finish(self, deadline: Instant) -> Result<(), NotFinished> {
        let mut state = self.desk.state.lock();
        state.is_last = true;
        self.desk.changed.notify_all();
        while !state.is_finished {
            if self
                .desk
                .changed
                .wait_until(&mut state, deadline)
                .timed_out()
                && !state.is_finished
            {
                return Err(NotFinished);
            }
        }
        drop(state);
        let _ = self.thread.join();
        Ok(())
    }
}
