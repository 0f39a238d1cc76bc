//! The transactions of the active chain.

use std::collections::HashMap;

use crate::local_node::Chain;
use crate::wire::{Block, BlockHash, BlockHeader, Tx, Txid, compact_size_len};

/// Where the transactions of the active chain are.
#[derive(Default)]
pub(super) struct MinedTransactions(HashMap<Txid, MinedPosition>);

/// The bytes of a transaction in its block.
struct MinedPosition {
    block: BlockHash,
    start: usize,
    len: usize,
}

impl MinedTransactions {
    /// Creates the index of a chain.
    pub(super) fn new(chain: &Chain) -> Self {
        let mut this = Self::default();
        for block in chain.active_blocks() {
            this.add_block(block);
        }
        this
    }

    /// Adds the transactions of a block that joined the active chain. Returns their names.
    pub(super) fn add_block(&mut self, block: &Block) -> Vec<Txid> {
        let hash = block.hash();
        let count = compact_size_len(block.transaction_count() as u64) as usize;
        let mut start = BlockHeader::LEN + count;
        let mut added = Vec::with_capacity(block.transaction_count());
        for transaction in block.transactions() {
            let (txid, len) = (transaction.txid(), transaction.bytes().len());
            let position = MinedPosition {
                block: hash,
                start,
                len,
            };
            self.0.insert(txid, position);
            added.push(txid);
            start += len;
        }
        added
    }

    /// Removes the transactions of a block that left the active chain.
    pub(super) fn remove_block(&mut self, block: &Block) {
        for transaction in block.transactions() {
            self.0.remove(&transaction.txid());
        }
    }

    pub(super) fn contains(&self, txid: &Txid) -> bool {
        self.0.contains_key(txid)
    }

    /// Returns a transaction. It shares the bytes of its block.
    pub(super) fn get(&self, chain: &Chain, txid: &Txid) -> Option<Tx> {
        let position = self.0.get(txid)?;
        let block = chain.block(&position.block)?.bytes();
        Tx::from_payload(block.slice(position.start..position.start + position.len)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_node::BlockTemplate;
    use crate::wire::{OutPoint, Transaction, TransactionInput};

    #[test]
    fn mined_transactions_are_found_until_their_block_leaves() {
        let mut chain = Chain::new();
        let payment = |number| {
            Tx::from(&Transaction {
                version: 1,
                inputs: vec![TransactionInput {
                    previous: OutPoint {
                        txid: Txid([1; 32]),
                        index: number,
                    },
                    script: vec![7; number as usize],
                    sequence: 0,
                }],
                outputs: Vec::new(),
                lock_time: 0,
            })
        };
        let now = 1_700_000_000;
        let payments: Vec<_> = (0..300).map(payment).collect();
        let block = BlockTemplate {
            transactions: payments.clone(),
            ..chain.template(now, 1)
        }
        .mine();
        chain.accept(&block, now).unwrap();
        let mut mined = MinedTransactions::new(&chain);
        for payment in &payments {
            let found = mined.get(&chain, &payment.txid());
            assert_eq!(found.as_ref(), Some(payment));
        }
        mined.remove_block(&block);
        assert!(!mined.contains(&payments[0].txid()));
        assert_eq!(mined.add_block(&block).len(), 301);
        assert!(mined.contains(&payments[299].txid()));
    }
}
