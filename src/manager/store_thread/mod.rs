//! The thread that writes to the store of peers, so that nobody else waits for files.

mod writer;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use self::writer::Writer;
use super::changes::Changes;
use crate::error::Error;
use crate::peers::{InMemoryPeerStore, PeerStore, StoreError};

/// How many peers may wait to be written before those that shall only be forgotten are left out: as many as any manager knows, and as
/// many again.
const MAX_WAITING: usize = 2 * InMemoryPeerStore::MAX_PEERS;

/// How often the store is bothered.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long it rests after everything that was written.
    rest: Duration,
    /// How long until what failed is tried again.
    retry: Duration,
}

const PACE: Pace = Pace {
    rest: Duration::from_secs(1),
    retry: Duration::from_secs(10),
};

/// Why the end was not as it should be. What was not kept is lost with the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FinishError {
    /// The store takes too long. Its thread is left to itself, and ends when the store lets it.
    #[error("saving the peer store timed out")]
    TimedOut,
    /// The store refused something.
    #[error("saving the peer store failed: {0}")]
    Failed(StoreError),
}

/// Writes to a store in a thread of its own, at most once a second: what comes in between is written together.
///
/// **What fails is told**, once as long as the same kind of write fails in the same way. What may go better later (a full disk, a
/// lost database) is tried again every 10 s unless it is replaced meanwhile, and once at the end; what cannot go better, such as an address that
/// another peer has, is given up. A panic of the store counts as a failure; the change of a peer that led to one is
/// given up.
///
/// **Dropping it** without [`StoreThread::finish`] lets the thread do the same without waiting for it: a store may hang.
#[derive(Debug)]
pub(super) struct StoreThread {
    inbox: Arc<Inbox>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Starts the thread. `failures` should have room for some; what finds none is not told until it fails again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread to be had.
    pub(super) fn start(
        store: Arc<dyn PeerStore>,
        failures: Sender<StoreError>,
    ) -> Result<Self, Error> {
        Self::start_with(store, failures, PACE)
    }

    fn start_with(
        store: Arc<dyn PeerStore>,
        failures: Sender<StoreError>,
        pace: Pace,
    ) -> Result<Self, Error> {
        let inbox = Arc::new(Inbox::default());
        let (is_done, done) = bounded(1);
        let changes = inbox.clone();
        let thread = thread::Builder::new()
            .name("bsv-p2p store".into())
            .spawn(move || {
                // The store is let go of before: that may take as long as anything else it does.
                let result = run(Writer::new(store, failures), &changes, pace);
                let _ = is_done.send(result);
            })
            .map_err(|error| Error::Io {
                operation: "spawning the store thread".into(),
                error: error.into(),
            })?;
        Ok(Self {
            inbox,
            done,
            thread: Some(thread),
        })
    }

    /// Has this written soon. Never waits for the store.
    pub(super) fn write(&self, changes: Changes) {
        let mut waiting = self.inbox.waiting.lock();
        waiting.changes.merge(changes);
        waiting.changes.limit_peers(MAX_WAITING);
        drop(waiting);
        self.inbox.changed.notify_one();
    }

    /// Has everything written that waits, what failed before included, and the store saved, and ends the thread. Blocks until then, at most
    /// until `deadline`.
    ///
    /// # Errors
    ///
    /// [`FinishError::TimedOut`] at the deadline; the thread goes on by itself then, and nobody joins it. [`FinishError::Failed`]
    /// with the first thing that could not be written.
    pub(super) fn finish(mut self, deadline: Instant) -> Result<(), FinishError> {
        self.inbox.finish();
        let result = match self.done.recv_deadline(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => return Err(FinishError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(panicked("being closed")),
        };
        if let Some(thread) = self.thread.take() {
            // It has nothing left to do. A panic has been printed already.
            let _ = thread.join();
        }
        result.map_err(FinishError::Failed)
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.inbox.finish();
    }
}

/// What a panic of the store is told as.
fn panicked(what: &str) -> StoreError {
    StoreError::Other(format!("store panicked while {what}"))
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: Changes,
    finishing: bool,
}

impl Inbox {
    fn finish(&self) {
        self.waiting.lock().finishing = true;
        self.changed.notify_one();
    }

    /// Waits until `rested` and for something that waits or `retry`, or for the end, which cuts all that short; says whether the
    /// end has come.
    fn next(&self, rested: Instant, retry: Option<Instant>) -> (Changes, bool) {
        let mut waiting = self.waiting.lock();
        while !waiting.finishing {
            let due = match retry {
                _ if !waiting.changes.is_empty() => Some(rested),
                retry => retry.map(|retry| retry.max(rested)),
            };
            match due {
                Some(due) if due <= Instant::now() => break,
                Some(due) => {
                    self.changed.wait_until(&mut waiting, due);
                }
                None => self.changed.wait(&mut waiting),
            }
        }
        (std::mem::take(&mut waiting.changes), waiting.finishing)
    }
}

/// Writes until the end; says what could not be written then.
fn run(mut writer: Writer, inbox: &Inbox, pace: Pace) -> Result<(), StoreError> {
    let mut failed = Changes::default();
    let mut rested = Instant::now();
    let mut retry = None;
    loop {
        let (mut changes, finishing) = inbox.next(rested, retry);
        failed.supersede(&changes);
        if finishing || retry.is_some_and(|retry| retry <= Instant::now()) {
            changes.merge(std::mem::take(&mut failed));
            retry = None;
        }
        changes.save |= finishing;
        let first_error = writer.apply(changes, &mut failed);
        failed.limit_peers(MAX_WAITING);
        if finishing {
            return first_error.map_or(Ok(()), Err);
        }
        rested = Instant::now() + pace.rest;
        if failed.is_empty() {
            retry = None;
        } else {
            retry.get_or_insert(Instant::now() + pace.retry);
        }
    }
}

#[cfg(test)]
mod tests;
