//! Open requests, found by id and by the object that they wait for.

use std::collections::{BTreeMap, BTreeSet};

use super::ticket::{Failure, Responder};
use crate::session::DisconnectReason;

/// The requests that wait for an object, oldest first.
///
/// Each operation takes O(log n) of all entries. A peer chooses the objects of its messages, so no
/// message may lead to a walk through the open requests.
#[derive(Debug)]
pub(super) struct WaitIndex<K>(BTreeSet<(K, u64)>);

impl<K: Copy + Ord> WaitIndex<K> {
    /// Returns the number of objects, counted for each request that waits for them.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the oldest request that waits for `key`.
    pub(super) fn first(&self, key: K) -> Option<u64> {
        let (found, id) = self.0.range((key, 0)..).next()?;
        (*found == key).then_some(*id)
    }

    /// Adds a request. Returns `false` if it already waits for `key`.
    pub(super) fn insert(&mut self, key: K, id: u64) -> bool {
        self.0.insert((key, id))
    }

    pub(super) fn remove(&mut self, key: K, id: u64) {
        self.0.remove(&(key, id));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K> Default for WaitIndex<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

/// The open requests of one kind, each for a single object.
#[derive(Debug)]
pub(super) struct PendingQueue<K, T> {
    open: BTreeMap<u64, (K, Responder<T>)>,
    waiting: WaitIndex<K>,
}

impl<K: Copy + Ord, T> PendingQueue<K, T> {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn open(&mut self, id: u64, key: K, responder: Responder<T>) {
        self.waiting.insert(key, id);
        self.open.insert(id, (key, responder));
    }

    /// Returns the oldest request that waits for `key`.
    pub(super) fn first(&self, key: K) -> Option<u64> {
        self.waiting.first(key)
    }

    pub(super) fn take(&mut self, id: u64) -> Option<(K, Responder<T>)> {
        let (key, responder) = self.open.remove(&id)?;
        self.waiting.remove(key, id);
        Some((key, responder))
    }

    /// Answers a request. Returns whether it was open.
    pub(super) fn end(&mut self, id: u64, answer: Result<T, Failure>) -> bool {
        let taken = self.take(id);
        let is_open = taken.is_some();
        if let Some((_, responder)) = taken {
            responder.answer(answer);
        }
        is_open
    }

    /// Fails all requests with the reason of the close.
    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.waiting.clear();
        for (_, responder) in std::mem::take(&mut self.open).into_values() {
            responder.close(reason);
        }
    }
}

impl<K, T> Default for PendingQueue<K, T> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            waiting: WaitIndex::default(),
        }
    }
}
