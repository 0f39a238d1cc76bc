//! The thread that writes to the peer store, so that no other thread waits for files.

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

/// Maximum number of pending peer changes before deletions are dropped. Twice the maximum number of
/// known peers of a manager.
const MAX_WAITING: usize = 2 * InMemoryPeerStore::MAX_PEERS;

/// The intervals at which the store is written to.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Pause after each batch of changes.
    rest: Duration,
    /// Delay before failed changes are retried.
    retry: Duration,
}

const PACE: Pace = Pace {
    rest: Duration::from_secs(1),
    retry: Duration::from_secs(10),
};

/// The error of an incomplete shutdown. Changes that were not written are lost when the process
/// ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FinishError {
    /// The store did not finish in time. Its thread is detached, and ends when the store returns.
    #[error("saving the peer store timed out")]
    TimedOut,
    /// The store returned an error.
    #[error("saving the peer store failed: {0}")]
    Failed(StoreError),
}

/// Writes to a store on its own thread, at most once a second. Changes queued during the pause are
/// written together.
///
/// Failures are reported once until the error changes or a write of that kind succeeds. Transient
/// failures (a full disk, a lost database) are retried every 10 s unless superseded, and once at
/// shutdown. Other failures are final, for example an address that belongs to another peer. A panic
/// of the store counts as a failure. The change of a peer that caused a panic is dropped.
///
/// Dropping the value without [`StoreThread::finish`] lets the thread finish in the background,
/// because a store may hang.
#[derive(Debug)]
pub(super) struct StoreThread {
    inbox: Arc<Inbox>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Starts the thread. `failures` should have some capacity: an error that finds it full is not
    /// reported until it occurs again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the thread could not be spawned.
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
                // The store is dropped before the result is sent, because that may block as well.
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

    /// Queues changes to be written soon. Does not block on the store.
    pub(super) fn write(&self, changes: Changes) {
        let mut waiting = self.inbox.waiting.lock();
        waiting.changes.merge(changes);
        waiting.changes.limit_peers(MAX_WAITING);
        drop(waiting);
        self.inbox.changed.notify_one();
    }

    /// Writes all pending and failed changes, saves the store and ends the thread. Blocks until
    /// `deadline` at most.
    ///
    /// # Errors
    ///
    /// - [`FinishError::TimedOut`] if the deadline expires. The thread is detached and continues.
    /// - [`FinishError::Failed`] with the first error, if a change could not be written.
    pub(super) fn finish(mut self, deadline: Instant) -> Result<(), FinishError> {
        self.inbox.finish();
        let result = match self.done.recv_deadline(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => return Err(FinishError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(panicked("being closed")),
        };
        if let Some(thread) = self.thread.take() {
            // The thread has finished its work. The panic hook has already reported a panic.
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

/// Returns the error that reports a panic of the store.
fn panicked(what: &str) -> StoreError {
    StoreError::Other(format!("store panicked while {what}"))
}

/// The queue of pending changes.
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

    /// Blocks until `rested` and until changes are pending or `retry` is reached. Returns early at
    /// shutdown. Returns the changes, and whether the thread is shutting down.
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

/// Writes changes until shutdown. Returns the first error of the final write.
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
