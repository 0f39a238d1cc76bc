//! Forks for the tests.

use super::{DsDetected, DsDetectedBlock, DsDetectedError};
use crate::Network;
use crate::wire::{BlockHeader, MerkleProof, OutPoint, Transaction, TransactionInput, Tx, Txid};

/// A transaction that spends these outputs.
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

/// The proof that a transaction is the second of two.
pub(super) fn proof(tx: Tx) -> MerkleProof {
    let proof = MerkleProof::for_merkle_root(&[Txid([1; 32]), tx.txid()], 1).unwrap();
    proof.with_transaction(tx).unwrap()
}

/// A fork of so many headers above the first block, the first of them with this proof.
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

/// Two forks whose transactions spend the same output, with these changes to the second.
pub(super) fn changed(change: impl Fn(&mut DsDetectedBlock)) -> Result<(), DsDetectedError> {
    let mut second = fork(proof(tx(&[7], 2)), 3);
    change(&mut second);
    DsDetected::new(&[fork(proof(tx(&[7], 1)), 1), second]).verify()
}
