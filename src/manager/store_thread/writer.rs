//! What is done to the store, and what becomes of what fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use crossbeam_channel::Sender;

use super::{Changes, panicked};
use crate::peers::{Peer, PeerStore, StoreError};

/// Does to a store what is to be done, and tells of what fails.
pub(super) struct Writer {
    store: Arc<dyn PeerStore>,
    failures: Sender<StoreError>,
    /// How each kind of write failed last, if that was told and none has succeeded since.
    told: [Option<StoreError>; 3],
    /// What has gone wrong first in the changes that are being written.
    first_error: Option<StoreError>,
}

/// The kinds of writes, of which one may go well while another fails.
#[derive(Clone, Copy)]
enum Kind {
    Peer,
    Bans,
    Save,
}

/// How a write failed.
struct Failure {
    error: StoreError,
    is_panic: bool,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn PeerStore>, failures: Sender<StoreError>) -> Self {
        Self {
            store,
            failures,
            told: [const { None }; 3],
            first_error: None,
        }
    }

    /// Writes; what may go better later is added to `failed`. Returns the first error.
    pub(super) fn apply(&mut self, changes: Changes, failed: &mut Changes) -> Option<StoreError> {
        let store = self.store.clone();
        // Those that are to be forgotten go first: a new peer may have the address of one.
        let (forgotten, known): (Vec<_>, Vec<_>) = changes
            .peers
            .into_iter()
            .partition(|(_, peer)| peer.is_none());
        for (id, peer) in forgotten {
            let deleted =
                self.attempt(Kind::Peer, "deleting a peer", || store.delete(id).map(drop));
            if deleted.is_err_and(|failure| !failure.is_panic && may_heal(&failure.error)) {
                failed.peers.insert(id, peer);
            }
        }
        for (id, peer) in known {
            let Some(peer) = peer else { continue };
            let written = self.attempt(Kind::Peer, "writing a peer", || put(&*store, &peer));
            let Err(failure) = written else { continue };
            // Its address may be free once a delete goes well that has failed.
            let waits = matches!(failure.error, StoreError::DuplicateAddress(_))
                && failed.peers.values().any(Option::is_none);
            if waits || !failure.is_panic && may_heal(&failure.error) {
                failed.peers.insert(id, Some(peer));
            }
        }
        if let Some(bans) = changes.bans {
            let write = || store.write_bans(bans.clone());
            let written = self.attempt(Kind::Bans, "writing bans", write);
            if written.is_err_and(|failure| may_heal(&failure.error)) {
                failed.bans = Some(bans);
            }
        }
        if changes.save {
            let saved = self.attempt(Kind::Save, "saving", || store.save());
            failed.save |= saved.is_err_and(|failure| may_heal(&failure.error));
        }
        self.first_error.take()
    }

    /// Tries one write, and tells of its failure unless that was told last.
    fn attempt(
        &mut self,
        kind: Kind,
        what: &str,
        write: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), Failure> {
        let (result, is_panic) = match catch_unwind(AssertUnwindSafe(write)) {
            Ok(result) => (result, false),
            Err(_) => (Err(panicked(what)), true),
        };
        let told = &mut self.told[kind as usize];
        let Err(error) = result else {
            *told = None;
            return Ok(());
        };
        if told.as_ref() != Some(&error) {
            // Where there is no room it is not told, and may be the next time.
            let sent = self.failures.try_send(error.clone());
            *told = sent.is_ok().then(|| error.clone());
        }
        self.first_error.get_or_insert_with(|| error.clone());
        Err(Failure { error, is_panic })
    }
}

/// Writes a peer that the store knows or does not. That it has no room, or forgets another one, is its own affair.
fn put(store: &dyn PeerStore, peer: &Peer) -> Result<(), StoreError> {
    match store.update(peer.clone()) {
        Err(StoreError::NotFound(_)) => {}
        result => return result,
    }
    match store.create(peer.clone(), SystemTime::now()) {
        Ok(_) | Err(StoreError::Full { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the same write may go well later. The other errors are about what is written, or about what the store is.
fn may_heal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Io { .. } | StoreError::InUse { .. } | StoreError::Other(_)
    )
}
