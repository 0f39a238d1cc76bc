//! Requests for transactions.
//!
//! The peer sends each transaction or lists it in a `notfound`.

use std::collections::HashMap;

use super::failure::Failure;
use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::{Inventory, Tx, Txid};

/// The transactions of a request in the requested order, with `None` for each that is missing.
pub(in crate::connection) type FoundTransactions = Vec<Option<Tx>>;

#[derive(Debug, Default)]
pub(super) struct TransactionRequests {
    open: Questions<TxQuestion, FoundTransactions>,
    /// Whether responses to cancelled requests may still arrive.
    late: bool,
}

#[derive(Debug)]
struct TxQuestion {
    /// The requested txids, including repetitions.
    txids: Vec<Txid>,
    slots: HashMap<Txid, Slot>,
    undecided: usize,
}

/// The state of one requested transaction.
#[derive(Debug)]
enum Slot {
    /// No response was assigned to this request. `seen` is a copy that answered another request.
    Undecided { seen: Option<Tx> },
    /// The transaction, or `None` if the peer does not have it.
    Decided(Option<Tx>),
}

impl TxQuestion {
    fn waits_for(&self, txid: &Txid) -> bool {
        matches!(self.slots.get(txid), Some(Slot::Undecided { .. }))
    }

    /// Records the response for a pending transaction. A missing one is replaced by a copy that
    /// answered another request.
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

    /// Returns the result if a copy or a decision is known for each transaction.
    fn answer(self) -> Option<FoundTransactions> {
        let of = |txid: &Txid| match self.slots.get(txid)? {
            Slot::Decided(tx) => Some(tx.clone()),
            Slot::Undecided { seen } => seen.clone().map(Some),
        };
        self.txids.iter().map(of).collect()
    }
}

impl TransactionRequests {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Opens a request. Returns the entries to request, with each transaction once.
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
        // The txid is a hash of all bytes, so it is computed only if a request is open.
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

    /// Assigns a discarded payload to the oldest request, because a node responds in order. Returns
    /// `false` without an open request, or if the payload may belong to a cancelled one.
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

    /// Ends a request, with the result if it is complete.
    fn finish(&mut self, id: u64) {
        if let Some((question, waiter)) = self.open.take(id)
            && let Some(answer) = question.answer()
        {
            waiter.answer(Ok(answer));
        }
    }

    /// Assigns a response to the oldest request that waits for the transaction. Returns whether
    /// there is one.
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
