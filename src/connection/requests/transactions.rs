//! Questions for transactions.
//!
//! Each of them comes, or is named in a `notfound`.

use std::collections::HashMap;

use super::failure::Failure;
use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::{Inventory, Tx, Txid};

/// What a question brings: in the order asked, nothing for what the peer does not have.
pub(in crate::connection) type FoundTransactions = Vec<Option<Tx>>;

#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: Questions<TxQuestion, FoundTransactions>,
    /// Whether answers may come for which nobody waits any more.
    late: bool,
}

#[derive(Debug)]
struct TxQuestion {
    /// As they were asked for, repetitions included.
    txids: Vec<Txid>,
    slots: HashMap<Txid, Slot>,
    undecided: usize,
}

/// What is known of one transaction.
#[derive(Debug)]
enum Slot {
    /// Nothing has come for this question; perhaps for another one.
    Undecided { seen: Option<Tx> },
    /// It has come, or is named as missing.
    Decided(Option<Tx>),
}

impl TxQuestion {
    fn waits_for(&self, txid: &Txid) -> bool {
        matches!(self.slots.get(txid), Some(Slot::Undecided { .. }))
    }

    /// Decides a transaction that is waited for: it has come, or is missing.
    fn decide(&mut self, txid: Txid, tx: Option<&Tx>) {
        if let Some(slot) = self.slots.get_mut(&txid)
            && let Slot::Undecided { seen } = slot
        {
            *slot = Slot::Decided(tx.cloned().or(seen.take()));
            self.undecided -= 1;
        }
    }

    fn note(&mut self, txid: Txid, tx: &Tx) {
        if let Some(Slot::Undecided { seen }) = self.slots.get_mut(&txid) {
            *seen = Some(tx.clone());
        }
    }

    /// The answer, if each transaction is decided, or has been seen at least.
    fn answer(self) -> Option<FoundTransactions> {
        let of = |txid: &Txid| match self.slots.get(txid)? {
            Slot::Decided(tx) => Some(tx.clone()),
            Slot::Undecided { seen } => seen.clone().map(Some),
        };
        self.txids.iter().map(of).collect()
    }
}

impl Transactions {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns what is to be asked for: each transaction once.
    pub(super) fn ask(
        &mut self,
        id: u64,
        txids: &[Txid],
        waiter: Waiter<FoundTransactions>,
    ) -> Vec<Inventory> {
        let mut slots = HashMap::new();
        let mut entries = Vec::new();
        for txid in txids {
            let undecided = Slot::Undecided { seen: None };
            if slots.insert(*txid, undecided).is_none() {
                entries.push(Inventory::Tx(*txid));
            }
        }
        let question = TxQuestion {
            txids: txids.to_vec(),
            undecided: slots.len(),
            slots,
        };
        self.open.open(id, question, waiter);
        entries
    }

    pub(super) fn on_tx(&mut self, tx: &Tx) -> bool {
        // The name is a hash of all bytes: it is made only if somebody asks.
        if self.open.len() == 0 {
            return false;
        }
        let txid = tx.txid();
        let is_answer = self.decide(txid, Some(tx));
        if is_answer {
            for (_, other) in self.open.iter_mut() {
                other.note(txid, tx);
            }
        }
        is_answer
    }

    pub(super) fn on_missing(&mut self, txid: Txid) -> bool {
        self.decide(txid, None)
    }

    /// A node answers in the order in which it was asked: what was too long belongs to the oldest question, unless it is
    /// for one that was given up, which nobody can tell.
    pub(super) fn on_passed_over(&mut self, failure: Failure) -> bool {
        let Some(id) = self.open.first(|_| !self.late) else {
            return false;
        };
        self.open.end(id, Err(failure));
        true
    }

    pub(super) fn give_up(&mut self, id: u64) {
        self.late |= self.open.has(id);
        self.finish(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
    }

    /// Ends a question, with an answer if there is one.
    fn finish(&mut self, id: u64) {
        if let Some((question, waiter)) = self.open.take(id)
            && let Some(answer) = question.answer()
        {
            waiter.answer(Ok(answer));
        }
    }

    /// Decides a transaction for the oldest question that waits for it.
    fn decide(&mut self, txid: Txid, tx: Option<&Tx>) -> bool {
        let mut open = self.open.iter_mut();
        let Some((id, question)) = open.find(|(_, question)| question.waits_for(&txid)) else {
            return false;
        };
        question.decide(txid, tx);
        if question.undecided == 0 {
            drop(open);
            self.finish(id);
        }
        true
    }
}
