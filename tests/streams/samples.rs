//! Linked blocks.

use bsv_p2p::wire::{Block, OutPoint, Transaction, TransactionInput, Txid};
use test_support::mining::mined_block;

/// Returns a block of `transactions` transactions, each with `script` bytes of script.
pub(crate) fn block(transactions: u32, script: usize) -> Block {
    let transaction = |index| Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([7; 32]),
                index,
            },
            script: vec![0x51; script],
            sequence: 0,
        }],
        outputs: Vec::new(),
        lock_time: 0,
    };
    let transactions: Vec<_> = (0..transactions).map(transaction).collect();
    mined_block(&transactions)
}
