//! Requests for transactions.
//!
//! The peer sends each transaction or lists it in a `notfound`.

use std::collections::{BTreeMap, HashMap};

use super::pending_queue::WaitIndex;
use super::ticket::{Failure, Responder};
use crate::session::DisconnectReason;
use crate::wire::{Inventory, Tx, Txid};

/// The transactions of a request in the requested order, with `None` for each that is missing.
pub(in crate::connection) type FoundTransactions = Vec<Option<Tx>>;

#[derive(Debug, Default)]
pub(super) struct TransactionRequests {
    open: BTreeMap<u64, TransactionRequest>,
    /// The requests to which no response for a transaction was assigned yet.
    waiting: WaitIndex<Txid>,
    /// Transactions that answered a request while others wait for them. The peer may send a copy
    /// for each request, or a single one.
    seen: HashMap<Txid, Tx>,
    /// Whether responses to cancelled requests may still arrive.
    late: bool,
}

#[derive(Debug)]
struct TransactionRequest {
    /// The requested txids, including repetitions.
    txids: Vec<Txid>,
    /// The responses: the transaction, or `None` if the peer does not have it.
    decided: HashMap<Txid, Option<Tx>>,
    undecided: usize,
    responder: Responder<FoundTransactions>,
}

impl TransactionRequests {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns the number of transactions that open requests wait for.
    pub(super) fn undecided(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Opens a request. Returns the entries to request, with each transaction once.
    pub(super) fn open(
        &mut self,
        id: u64,
        txids: &[Txid],
        responder: Responder<FoundTransactions>,
    ) -> Vec<Inventory> {
        let mut entries = Vec::new();
        for txid in txids {
            if self.waiting.insert(*txid, id) {
                entries.push(Inventory::Tx(*txid));
            }
        }
        let request = TransactionRequest {
            txids: txids.to_vec(),
            decided: HashMap::new(),
            undecided: entries.len(),
            responder,
        };
        self.open.insert(id, request);
        entries
    }

    pub(super) fn on_tx(&mut self, tx: &Tx) -> bool {
        // The txid is a hash of all bytes, so it is computed only if a request is open.
        !self.open.is_empty() && self.decide(tx.txid(), Some(tx))
    }

    pub(super) fn on_missing(&mut self, txid: Txid) -> bool {
        self.decide(txid, None)
    }

    /// Assigns a discarded payload to the oldest request, because a node responds in order. Ends it
    /// and returns the number of further transactions that it waited for. Returns `None` without an
    /// open request, or if the payload may belong to a cancelled one.
    pub(super) fn on_discarded(&mut self, failure: Failure) -> Option<u64> {
        let (id, request) = self.open.first_key_value().filter(|_| !self.late)?;
        let (id, undecided) = (*id, request.undecided);
        if let Some((_, responder)) = self.take(id) {
            responder.answer(Err(failure));
        }
        Some((undecided as u64).saturating_sub(1))
    }

    /// Cancels a request, with the result if it is complete. Returns the number of transactions
    /// that it waited for.
    pub(super) fn cancel(&mut self, id: u64) -> u64 {
        let undecided = self.open.get(&id).map(|request| request.undecided as u64);
        self.late |= undecided.is_some();
        self.finish(id);
        undecided.unwrap_or_default()
    }

    /// Removes a request that was not sent.
    pub(super) fn abort(&mut self, id: u64) {
        self.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.waiting.clear();
        self.seen.clear();
        for request in std::mem::take(&mut self.open).into_values() {
            request.responder.close(reason);
        }
    }

    /// Assigns a response to the oldest request that waits for the transaction. Returns whether
    /// there is one.
    ///
    /// A missing transaction is replaced by a copy that answered another request.
    fn decide(&mut self, txid: Txid, tx: Option<&Tx>) -> bool {
        let Some(id) = self.waiting.first(txid) else {
            return false;
        };
        self.waiting.remove(txid, id);
        let found = tx.or_else(|| self.seen.get(&txid)).cloned();
        match tx {
            Some(tx) if self.waiting.first(txid).is_some() => {
                self.seen.insert(txid, tx.clone());
            }
            _ => self.forget(txid),
        }
        if let Some(request) = self.open.get_mut(&id) {
            request.decided.insert(txid, found);
            request.undecided -= 1;
            if request.undecided == 0 {
                self.finish(id);
            }
        }
        true
    }

    /// Ends a request, with the result if it is complete.
    fn finish(&mut self, id: u64) {
        if let Some((Some(found), responder)) = self.take(id) {
            responder.answer(Ok(found));
        }
    }

    /// Removes a request. Returns the result, if a decision or a copy is known for each
    /// transaction.
    fn take(
        &mut self,
        id: u64,
    ) -> Option<(Option<FoundTransactions>, Responder<FoundTransactions>)> {
        let request = self.open.remove(&id)?;
        let found = |txid| match request.decided.get(txid) {
            Some(decided) => Some(decided.clone()),
            None => self.seen.get(txid).cloned().map(Some),
        };
        let found = request.txids.iter().map(found).collect();
        if request.undecided > 0 {
            for txid in request.txids {
                self.waiting.remove(txid, id);
                self.forget(txid);
            }
        }
        Some((found, request.responder))
    }

    /// Drops the copy of a transaction that no open request waits for.
    fn forget(&mut self, txid: Txid) {
        if self.waiting.first(txid).is_none() {
            self.seen.remove(&txid);
        }
    }
}
