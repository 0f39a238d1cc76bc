//! Open requests of one kind and their waiters.

use std::collections::BTreeMap;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::failure::Failure;
use crate::session::DisconnectReason;

/// The caller's part of an open request.
#[derive(Debug)]
pub(in crate::connection) struct Asked<T> {
    /// The id of the request. Later requests have higher ids.
    pub(in crate::connection) id: u64,
    /// Receives the answer, once.
    pub(in crate::connection) answer: Receiver<Result<T, Failure>>,
}

/// Delivers the answer. The answer is dropped if the caller has timed out.
#[derive(Debug)]
pub(in crate::connection) struct Waiter<T>(Sender<Result<T, Failure>>);

impl<T> Waiter<T> {
    pub(in crate::connection) fn answer(self, answer: Result<T, Failure>) {
        let _ = self.0.try_send(answer);
    }
}

pub(super) fn pair<T>(id: u64) -> (Asked<T>, Waiter<T>) {
    let (sender, answer) = bounded(1);
    (Asked { id, answer }, Waiter(sender))
}

/// The open requests of one kind and their waiters, in the order in which they were opened.
#[derive(Debug)]
pub(super) struct Questions<Q, T> {
    open: BTreeMap<u64, (Q, Waiter<T>)>,
}

impl<Q, T> Questions<Q, T> {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn open(&mut self, id: u64, asked: Q, waiter: Waiter<T>) {
        self.open.insert(id, (asked, waiter));
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// Returns the id of the oldest request for which `fits` returns true.
    pub(super) fn first(&self, fits: impl Fn(&Q) -> bool) -> Option<u64> {
        let mut open = self.open.iter();
        open.find_map(|(id, (asked, _))| fits(asked).then_some(*id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Q> {
        self.open.values().map(|(asked, _)| asked)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Q)> {
        self.open.iter_mut().map(|(id, (asked, _))| (*id, asked))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Q> {
        self.open.get_mut(&id).map(|(asked, _)| asked)
    }

    pub(super) fn take(&mut self, id: u64) -> Option<(Q, Waiter<T>)> {
        self.open.remove(&id)
    }

    /// Answers a request.
    pub(super) fn end(&mut self, id: u64, answer: Result<T, Failure>) {
        if let Some((_, waiter)) = self.take(id) {
            waiter.answer(answer);
        }
    }

    /// Fails all requests with the reason of the close.
    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        for (_, waiter) in std::mem::take(&mut self.open).into_values() {
            waiter.answer(Err(Failure::Ended(reason.clone())));
        }
    }
}

impl<Q, T> Default for Questions<Q, T> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
        }
    }
}
