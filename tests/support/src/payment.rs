//! A transaction that a pool accepts.

use bsv_p2p::wire::{OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};

/// Returns a transaction that a local node's pool takes; different numbers make different ones.
pub fn payment(number: u32) -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([1; 32]),
                index: number,
            },
            script: vec![0x51],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1_000,
            script: vec![0x51],
        }],
        lock_time: 0,
    }
}
