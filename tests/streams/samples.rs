//! Linked blocks.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, BlockHeader, OutPoint, Transaction, TransactionInput, Txid, merkle_root,
};

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
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    Block::new(&header, &transactions)
}
