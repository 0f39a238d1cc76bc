//! Writes to the store, and classification of failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use crossbeam_channel::Sender;

use super::{Changes, panicked};
use crate::peers::{Peer, PeerStore, StoreError};

/// Writes changes to a store, and reports failures.
pub(super) struct Writer {
    store: Arc<dyn PeerStore>,
    failures: Sender<StoreError>,
    /// The last reported error of each kind of write, cleared by a success.
    told: [Option<StoreError>; 3],
    /// The first error of the changes that are being written.
    first_error: Option<StoreError>,
}

/// The kinds of writes. One kind may succeed while another fails.
#[derive(Clone, Copy)]
enum Kind {
    Peer,
    Bans,
    Save,
}

/// The failure of a write.
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

    /// Writes the changes. Adds transient failures to `failed`, and returns the first error.
    pub(super) fn apply(&mut self, changes: Changes, failed: &mut Changes) -> Option<StoreError> {
        let store = self.store.clone();
        // Deletions must come first, because a new peer may have the address of a deleted one.
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
        let known: Vec<Peer> = known.into_iter().filter_map(|(_, peer)| peer).collect();
        let updated = update_all(&*store, &known);
        for (peer, updated) in known.into_iter().zip(updated) {
            let written = self.attempt(Kind::Peer, "writing a peer", || match updated {
                Some(Err(StoreError::NotFound(_))) => create(&*store, &peer),
                Some(result) => result,
                None => put(&*store, &peer),
            });
            let Err(failure) = written else { continue };
            // The address may be free if the retry of a failed deletion succeeds.
            let waits = matches!(failure.error, StoreError::DuplicateAddress(_))
                && failed.peers.values().any(Option::is_none);
            if waits || !failure.is_panic && may_heal(&failure.error) {
                failed.peers.insert(peer.id, Some(peer));
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

    /// Attempts one write. Reports an error if it differs from the last one reported.
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
            // An error that does not fit into the channel counts as unreported.
            let sent = self.failures.try_send(error.clone());
            *told = sent.is_ok().then(|| error.clone());
        }
        self.first_error.get_or_insert_with(|| error.clone());
        Err(Failure { error, is_panic })
    }
}

/// Updates peers with one call of the store.
///
/// Returns one result for each peer. It is `None` if the store panicked: each peer must then be
/// written alone, so that the store may fail for one of them only.
fn update_all(store: &dyn PeerStore, peers: &[Peer]) -> Vec<Option<Result<(), StoreError>>> {
    if peers.is_empty() {
        return Vec::new();
    }
    let Ok(results) = catch_unwind(AssertUnwindSafe(|| store.update_all(peers))) else {
        return vec![None; peers.len()];
    };
    let missing = || StoreError::Other("the batch update returned no result for a peer".into());
    let padding = std::iter::repeat_with(|| Err(missing()));
    let results = results.into_iter().chain(padding).take(peers.len());
    results.map(Some).collect()
}

/// Updates or creates a peer. A full store is not an error, because the store decides which peers
/// it keeps.
fn put(store: &dyn PeerStore, peer: &Peer) -> Result<(), StoreError> {
    match store.update(peer.clone()) {
        Err(StoreError::NotFound(_)) => create(store, peer),
        result => result,
    }
}

/// Adds a peer. A store that is full may reject it or evict another one.
fn create(store: &dyn PeerStore, peer: &Peer) -> Result<(), StoreError> {
    match store.create(peer.clone(), SystemTime::now()) {
        Ok(_) | Err(StoreError::Full { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns whether a retry of the write may succeed. Other errors concern the data or the kind of
/// store.
fn may_heal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Io { .. } | StoreError::InUse { .. } | StoreError::Other(_)
    )
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use parking_lot::Mutex;

    use super::*;
    use crate::peers::{InMemoryPeerStore, PeerId, PeerSource};

    /// A store whose batch update returns results for the first `results` peers.
    struct BatchStore {
        inner: InMemoryPeerStore,
        batches: Mutex<Vec<usize>>,
        results: usize,
    }

    impl PeerStore for BatchStore {
        fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError> {
            self.inner.create(peer, now)
        }
        fn update(&self, _: Peer) -> Result<(), StoreError> {
            panic!("the batch update is overridden")
        }
        fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
            self.inner.delete(id)
        }
        fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
            self.inner.list_all()
        }
        fn update_all(&self, peers: &[Peer]) -> Vec<Result<(), StoreError>> {
            self.batches.lock().push(peers.len());
            let mut results = self.inner.update_all(peers);
            results.truncate(self.results);
            results
        }
    }

    fn peers(count: u16) -> Changes {
        let peers = (1..=count).map(|port| {
            let address = ([203, 0, 113, 7], port).into();
            let peer = Peer::new(address, PeerSource::Seed, SystemTime::now()).unwrap();
            (peer.id, Some(peer))
        });
        Changes {
            peers: peers.collect(),
            ..Changes::default()
        }
    }

    #[test]
    fn pending_peers_are_updated_with_one_call() {
        let store = Arc::new(BatchStore {
            inner: InMemoryPeerStore::default(),
            batches: Mutex::default(),
            results: usize::MAX,
        });
        let mut writer = Writer::new(store.clone(), unbounded().0);
        let (changes, mut failed) = (peers(3), Changes::default());
        for _ in 0..2 {
            assert_eq!(writer.apply(changes.clone(), &mut failed), None);
        }
        assert_eq!(*store.batches.lock(), [3, 3]);
        assert_eq!(store.list_all().unwrap().len(), 3);
        assert!(failed.peers.is_empty());
    }

    #[test]
    fn missing_result_of_batch_is_retried() {
        let store = Arc::new(BatchStore {
            inner: InMemoryPeerStore::default(),
            batches: Mutex::default(),
            results: 2,
        });
        let mut writer = Writer::new(store.clone(), unbounded().0);
        let mut failed = Changes::default();
        let error = writer.apply(peers(3), &mut failed).unwrap();
        assert!(matches!(&error, StoreError::Other(_)), "{error}");
        assert_eq!(failed.peers.len(), 1);
        assert_eq!(store.list_all().unwrap().len(), 2);
    }
}
