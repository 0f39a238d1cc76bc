//! Questions of one kind, and those who wait for their answers.

use std::collections::BTreeMap;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::failure::Failure;
use crate::session::DisconnectReason;

/// What a caller holds of a question of its own.
#[derive(Debug)]
pub(in crate::connection) struct Asked<T> {
    /// Names the question; later ones have higher numbers.
    pub(in crate::connection) id: u64,
    /// Gets the answer, once.
    pub(in crate::connection) answer: Receiver<Result<T, Failure>>,
}

/// Where an answer goes. Whoever has given up does not take it, which is no harm.
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

/// The open questions of one kind: what was asked, and who waits. In the order in which they were asked.
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

    /// The oldest question that something fits.
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

    /// Answers a question.
    pub(super) fn end(&mut self, id: u64, answer: Result<T, Failure>) {
        if let Some((_, waiter)) = self.take(id) {
            waiter.answer(answer);
        }
    }

    /// Answers all questions with the end of the connection.
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
