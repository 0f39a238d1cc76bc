//! What the store's thread does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use uuid::Uuid;

use super::Desk;
use crate::manager::changes::Changes;
use crate::peers::{Peer, PeerStore, StoreError};

/// After which pause something is tried again that has failed, if nothing else is to be written before.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// All that the thread works with.
pub(super) struct Writing {
    store: Arc<dyn PeerStore>,
    failures: Sender<StoreError>,
    write_every: Duration,
    desk: Arc<Desk>,
    /// What was told last, unless something has worked since.
    told: Option<StoreError>,
}

impl Writing {
    pub(super) fn new(
        store: Arc<dyn PeerStore>,
        failures: Sender<StoreError>,
        write_every: Duration,
        desk: Arc<Desk>,
    ) -> Self {
        Self {
            store,
            failures,
            write_every,
            desk,
            told: None,
        }
    }

    /// Writes what comes, until nothing comes any more.
    pub(super) fn run(mut self) {
        // What has failed and may work another time.
        let mut failed = Changes::default();
        let mut not_before = Instant::now();
        loop {
            let (changes, is_last) = self.take(not_before, !failed.is_empty());
            failed.merge(changes);
            failed = self.write(std::mem::take(&mut failed));
            if is_last {
                break;
            }
            not_before = Instant::now() + self.write_every;
        }
        let mut state = self.desk.state.lock();
        state.is_finished = true;
        self.desk.changed.notify_all();
    }

    /// Waits for something to be written, or until something may be tried again; returns whether it is the last.
    fn take(&self, not_before: Instant, has_failed: bool) -> (Changes, bool) {
        let again = Instant::now() + TRY_AGAIN;
        let mut state = self.desk.state.lock();
        loop {
            let now = Instant::now();
            let is_due = now >= not_before && !state.pending.is_empty();
            if state.is_last || is_due || has_failed && now >= again {
                return (std::mem::take(&mut state.pending), state.is_last);
            }
            if !state.pending.is_empty() {
                self.desk.changed.wait_until(&mut state, not_before);
            } else if has_failed {
                self.desk.changed.wait_until(&mut state, again);
            } else {
                self.desk.changed.wait(&mut state);
            }
        }
    }

    /// Writes changes. Returns those that have failed and may work another time.
    fn write(&mut self, changes: Changes) -> Changes {
        let mut failed = Changes::default();
        for (peer_id, peer) in changes.peers {
            let written = self.guarded(|store| write_peer(store, peer_id, peer.clone()));
            if self.has_failed(written) {
                failed.peers.insert(peer_id, peer);
            }
        }
        if let Some(bans) = changes.bans {
            let written = self.guarded(|store| store.write_bans(bans.clone()));
            if self.has_failed(written) {
                failed.bans = Some(bans);
            }
        }
        if changes.save {
            let saved = self.guarded(|store| store.save());
            failed.save = self.has_failed(saved);
        }
        failed
    }

    /// A store of the program's own that panics costs what it was asked for, and nothing else.
    fn guarded(
        &self,
        call: impl FnOnce(&dyn PeerStore) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        catch_unwind(AssertUnwindSafe(|| call(&*self.store)))
            .unwrap_or_else(|_| Err(StoreError::Other("the store has panicked".into())))
    }

    /// Tells a failure, if it is one, and whether it is worth to be tried again.
    fn has_failed(&mut self, outcome: Result<(), StoreError>) -> bool {
        let Err(error) = outcome else {
            self.told = None;
            return false;
        };
        let may_work_later = matches!(error, StoreError::Io { .. } | StoreError::Other(_));
        if self.told.as_ref() != Some(&error) {
            // If nobody has taken the last ones, this one says nothing that they do not.
            let _ = self.failures.try_send(error.clone());
            self.told = Some(error);
        }
        may_work_later
    }
}

/// Makes a peer in the store what it is, or forgets it.
fn write_peer(store: &dyn PeerStore, peer_id: Uuid, peer: Option<Peer>) -> Result<(), StoreError> {
    let Some(peer) = peer else {
        return store.delete(peer_id).map(drop);
    };
    match store.update(peer.clone()) {
        Err(StoreError::NotFound(_)) => {}
        outcome => return outcome,
    }
    match store.create(peer, SystemTime::now()) {
        // How many a store keeps is its own affair.
        Ok(_) | Err(StoreError::Full { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
