//! Transactions that wait to be mined.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::wire::{Block, TransactionView, Tx, Txid};

/// All the money there can ever be, in satoshi.
const MAX_MONEY: i64 = 2_100_000_000_000_000;

/// Transactions that wait to be mined, in the order in which they came.
///
/// Only their structure is checked: scripts are not run, and nobody looks whether what they spend is there, or
/// is spent twice. A block that a real node shall accept must be made of transactions which it would accept.
///
/// # Memory
///
/// The pool holds at most as many bytes of transactions and as many transactions as it was made for; each
/// transaction costs about 400 bytes beside its own. A full pool takes nothing until transactions are removed.
/// Transactions are copied when they are inserted, so that they never hold on to the payload they arrived in.
pub struct TransactionPool {
    transactions: HashMap<Txid, Pooled>,
    /// By place: later arrivals have higher ones.
    order: BTreeMap<i64, Txid>,
    bytes: u64,
    max_bytes: u64,
    max_transactions: usize,
}

struct Pooled {
    tx: Tx,
    place: i64,
}

/// What became of a transaction that a [`TransactionPool`] did not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is in the pool now.
    New,
    /// It was there already, or the chain holds it.
    Known,
    /// There is no room; it was not kept.
    Full,
}

/// Why a transaction can never be in a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransaction {
    /// There are no inputs.
    #[error("the transaction has no inputs, expected at least one")]
    NoInputs,
    /// There are no outputs.
    #[error("the transaction has no outputs, expected at least one")]
    NoOutputs,
    /// An output's amount is negative or more than there can be.
    #[error("output {index} pays {got} satoshi, expected 0 to {MAX_MONEY}")]
    BadValue {
        /// The output's place, from 0.
        index: usize,
        /// Its amount in satoshi.
        got: i64,
    },
    /// The outputs together pay more than there can be.
    #[error("the outputs up to output {index} pay {got} satoshi, expected at most {MAX_MONEY}")]
    BadTotal {
        /// The place of the output that is too much, from 0.
        index: usize,
        /// The amount up to and with it, in satoshi.
        got: i64,
    },
    /// A coinbase comes into being with its block.
    #[error("the transaction is a coinbase, which only a block may hold")]
    Coinbase,
}

impl TransactionPool {
    /// How many bytes of transactions a pool holds unless said otherwise: 32 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 32 * 1024 * 1024;

    /// How many transactions a pool holds unless said otherwise.
    pub const DEFAULT_MAX_TRANSACTIONS: usize = 50_000;

    /// An empty pool that holds at most so many bytes and so many transactions.
    pub fn new(max_bytes: u64, max_transactions: usize) -> Self {
        Self {
            transactions: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            max_bytes,
            max_transactions,
        }
    }

    /// Puts a transaction behind the others.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`], in the node's order (Bitcoin SV node, `src/validation.cpp`,
    /// `CheckRegularTransaction`).
    pub fn insert(&mut self, tx: &Tx) -> Result<InsertOutcome, InvalidTransaction> {
        let place = self.order.last_key_value().map_or(0, |(last, _)| last + 1);
        self.insert_at(place, tx.view())
    }

    /// A transaction of the pool. A clone of it shares its bytes.
    pub fn get(&self, txid: &Txid) -> Option<&Tx> {
        self.transactions.get(txid).map(|pooled| &pooled.tx)
    }

    /// Whether a transaction is in the pool.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.transactions.contains_key(txid)
    }

    /// The transactions' names, in order.
    pub fn txids(&self) -> impl Iterator<Item = Txid> {
        self.order.values().copied()
    }

    /// The transactions, in order.
    pub fn transactions(&self) -> impl Iterator<Item = &Tx> {
        self.order.values().filter_map(|txid| self.get(txid))
    }

    /// How many transactions there are.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// How many bytes the transactions have together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes the transactions that a block holds: call it for each block that joins the active chain.
    pub fn remove_included(&mut self, block: &Block) {
        for view in block.transactions() {
            if let Some(pooled) = self.transactions.remove(&view.txid()) {
                self.order.remove(&pooled.place);
                self.bytes -= pooled.tx.bytes().len() as u64;
            }
        }
    }

    /// Takes back the transactions of a block, but its coinbase, as far as there is room: call it for each
    /// block that leaves the active chain, from the old tip downwards.
    ///
    /// They stand in front of all others, which may spend their outputs.
    pub fn restore_disconnected(&mut self, block: &Block) {
        let first = self.order.first_key_value().map_or(0, |(first, _)| *first);
        let start = first - block.transaction_count() as i64;
        for (place, view) in (start..).zip(block.transactions()).skip(1) {
            // What does not fit or is no valid transaction was in no pool before either: it is lost.
            let _ = self.insert_at(place, view);
        }
    }

    fn insert_at(
        &mut self,
        place: i64,
        view: TransactionView<'_>,
    ) -> Result<InsertOutcome, InvalidTransaction> {
        let txid = view.txid();
        if self.contains(&txid) {
            return Ok(InsertOutcome::Known);
        }
        check_structure(view)?;
        let bytes = self.bytes.saturating_add(view.bytes().len() as u64);
        if bytes > self.max_bytes || self.len() >= self.max_transactions {
            return Ok(InsertOutcome::Full);
        }
        let tx = Tx::from(view);
        self.transactions.insert(txid, Pooled { tx, place });
        self.order.insert(place, txid);
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

pub(super) fn check_structure(transaction: TransactionView<'_>) -> Result<(), InvalidTransaction> {
    if transaction.is_coinbase() {
        return Err(InvalidTransaction::Coinbase);
    }
    if transaction.inputs().len() == 0 {
        return Err(InvalidTransaction::NoInputs);
    }
    if transaction.outputs().len() == 0 {
        return Err(InvalidTransaction::NoOutputs);
    }
    let mut total = 0;
    for (index, output) in transaction.outputs().enumerate() {
        let got = output.value;
        if !(0..=MAX_MONEY).contains(&got) {
            return Err(InvalidTransaction::BadValue { index, got });
        }
        // Both are at most `MAX_MONEY`: no overflow.
        total += got;
        if total > MAX_MONEY {
            return Err(InvalidTransaction::BadTotal { index, got: total });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
