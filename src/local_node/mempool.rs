//! The pool of unconfirmed transactions.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::wire::{Block, InvalidTransaction, TransactionView, Tx, Txid};

/// Unconfirmed transactions in the order of their arrival.
///
/// Only the structure of a transaction is checked. Scripts are not run, and neither the existence
/// of spent outputs nor double spends are checked. A block is accepted by real nodes only if they
/// would accept its transactions.
///
/// # Memory
///
/// The pool has a maximum number of bytes and of transactions. Each transaction needs about 400
/// bytes in addition to its own. A full pool accepts nothing until transactions are removed.
/// Transactions are copied when they are inserted, so that they do not keep the payload in which
/// they arrived.
pub struct TransactionPool {
    transactions: HashMap<Txid, Pooled>,
    /// Ordered by position: later arrivals have higher ones.
    order: BTreeMap<i64, Txid>,
    bytes: u64,
    max_bytes: u64,
    max_transactions: usize,
}

struct Pooled {
    tx: Tx,
    position: i64,
}

/// The result of inserting a valid transaction into a [`TransactionPool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// The transaction was added.
    New,
    /// The transaction was already in the pool or in the chain.
    Known,
    /// The pool is full. The transaction was not added.
    Full,
}

impl TransactionPool {
    /// The default maximum number of bytes of all transactions: 32 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 32 * 1024 * 1024;

    /// The default maximum number of transactions.
    pub const DEFAULT_MAX_TRANSACTIONS: usize = 50_000;

    /// Creates an empty pool with a maximum number of bytes and of transactions.
    pub fn new(max_bytes: u64, max_transactions: usize) -> Self {
        Self {
            transactions: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            max_bytes,
            max_transactions,
        }
    }

    /// Adds a transaction at the end of the pool.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`], the rule that the transaction violates.
    pub fn insert(&mut self, tx: &Tx) -> Result<InsertOutcome, InvalidTransaction> {
        let position = self.order.last_key_value().map_or(0, |(last, _)| last + 1);
        self.insert_at(position, tx.view())
    }

    /// Returns a transaction of the pool. A clone of it shares its bytes.
    pub fn get(&self, txid: &Txid) -> Option<&Tx> {
        self.transactions.get(txid).map(|pooled| &pooled.tx)
    }

    /// Returns whether a transaction is in the pool.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.transactions.contains_key(txid)
    }

    /// Returns the ids of the transactions, in order.
    pub fn txids(&self) -> impl Iterator<Item = Txid> {
        self.order.values().copied()
    }

    /// Returns the transactions, in order.
    pub fn transactions(&self) -> impl Iterator<Item = &Tx> {
        self.order.values().filter_map(|txid| self.get(txid))
    }

    /// Returns the number of transactions.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Returns whether there are no transactions.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Returns the total size of the transactions in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes the transactions of a block. Must be called for each block that joins the active
    /// chain.
    pub fn remove_included(&mut self, block: &Block) {
        for view in block.transactions() {
            if let Some(pooled) = self.transactions.remove(&view.txid()) {
                self.order.remove(&pooled.position);
                self.bytes -= pooled.tx.bytes().len() as u64;
            }
        }
    }

    /// Adds the transactions of a block except the coinbase at the start of the pool, if they fit.
    ///
    /// Must be called for each block that leaves the active chain, from the old tip downwards.
    /// Transactions of later blocks, which may spend outputs of this one, then follow them.
    pub fn restore_disconnected(&mut self, block: &Block) {
        let first = self.order.first_key_value().map_or(0, |(first, _)| *first);
        let start = first - block.transaction_count() as i64;
        for (position, view) in (start..).zip(block.transactions()).skip(1) {
            // Transactions that do not fit or are invalid are dropped.
            let _ = self.insert_at(position, view);
        }
    }

    fn insert_at(
        &mut self,
        position: i64,
        view: TransactionView<'_>,
    ) -> Result<InsertOutcome, InvalidTransaction> {
        let txid = view.txid();
        if self.contains(&txid) {
            return Ok(InsertOutcome::Known);
        }
        view.check()?;
        let bytes = self.bytes.saturating_add(view.bytes().len() as u64);
        if bytes > self.max_bytes || self.len() >= self.max_transactions {
            return Ok(InsertOutcome::Full);
        }
        let tx = Tx::from(view);
        self.transactions.insert(txid, Pooled { tx, position });
        self.order.insert(position, txid);
        self.bytes = bytes;
        Ok(InsertOutcome::New)
    }
}

impl Default for TransactionPool {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_BYTES, Self::DEFAULT_MAX_TRANSACTIONS)
    }
}

impl fmt::Debug for TransactionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionPool")
            .field("transactions", &self.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests;
