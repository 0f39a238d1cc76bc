//! Forks for the tests.

use super::{DsDetected, DsDetectedBlock, DsDetectedError};
use crate::Network;
use crate::wire::{BlockHeader, MerkleProof, OutPoint, Transaction, TransactionInput, Tx, Txid};

/// Returns a transaction that spends these outputs.
pub(super) fn tx(spent: &[u8], lock_time: u32) -> Tx {
    let inputs = spent.iter().map(|n| TransactionInput {
        previous: OutPoint {
            txid: Txid([*n; 32]),
            index: 0,
        },
        script: Vec::new(),
        sequence: 0,
    });
    Tx::from(&Transaction {
        inputs: inputs.collect(),
        lock_time,
        ..Transaction::default()
    })
}

/// Returns a proof that a transaction is the second of two in its block.
pub(super) fn proof(tx: Tx) -> MerkleProof {
    let proof = MerkleProof::for_merkle_root(&[Txid([1; 32]), tx.txid()], 1).unwrap();
    proof.with_transaction(tx).unwrap()
}

/// Returns a fork of `length` headers on the genesis block. The proof belongs to the newest header.
pub(super) fn fork(proof: MerkleProof, length: u32) -> DsDetectedBlock {
    let mut headers = vec![BlockHeader::genesis(&Network::Regtest)];
    for nonce in 0..length {
        headers.push(BlockHeader {
            previous: headers.last().unwrap().hash(),
            merkle_root: proof.root(),
            nonce,
            ..headers[0]
        });
    }
    headers.remove(0);
    headers.reverse();
    DsDetectedBlock { headers, proof }
}

/// Verifies two forks with a double spend, after `change` was applied to the second fork.
pub(super) fn changed(change: impl Fn(&mut DsDetectedBlock)) -> Result<(), DsDetectedError> {
    let mut second = fork(proof(tx(&[7], 2)), 3);
    change(&mut second);
    DsDetected::new(&[fork(proof(tx(&[7], 1)), 1), second]).verify()
}
