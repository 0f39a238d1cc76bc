//! Verification of the coinbase and the miner information of a header.

use super::*;
use crate::Network;
use crate::wire::{
    MerkleProof, MerkleProofNode, OutPoint, ProofSubject, Transaction, TransactionInput, Tx,
    merkle_root,
};

fn tx(previous: OutPoint) -> Tx {
    let input = TransactionInput {
        previous,
        script: vec![0x51],
        sequence: 0,
    };
    Tx::from(&Transaction {
        inputs: vec![input],
        ..Transaction::default()
    })
}

/// Returns a block of three transactions: the coinbase, one with miner information, and another
/// one.
fn full() -> (EnrichedHeader, [Txid; 3]) {
    let coinbase = tx(OutPoint::NULL);
    let miner_info = tx(OutPoint {
        txid: coinbase.txid(),
        index: 0,
    });
    let txids = [coinbase.txid(), miner_info.txid(), Txid([3; 32])];
    let header = BlockHeader {
        merkle_root: merkle_root(txids).0,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    let part = |tx: Tx, index| DatarefTx {
        tx,
        proof: MerkleProof::for_block(&txids, index, header.hash()).unwrap(),
    };
    let full = EnrichedHeader {
        header,
        transaction_count: 3,
        no_more_headers: true,
        coinbase: Some(part(coinbase, 0)),
        miner_info: Some(part(miner_info, 1)),
    };
    (full, txids)
}

#[test]
fn both_parts_are_optional() {
    let (full, _) = full();
    for (coinbase, miner_info) in [(false, false), (true, false), (false, true), (true, true)] {
        let header = EnrichedHeader {
            coinbase: full.coinbase.clone().filter(|_| coinbase),
            miner_info: full.miner_info.clone().filter(|_| miner_info),
            ..full.clone()
        };
        let bytes = header.encode_to_vec();
        assert_eq!(bytes.len() as u64, header.encoded_len());
        assert!(bytes.len() >= EnrichedHeader::MIN_LEN);
        assert_eq!(header.verify_coinbase().is_ok(), coinbase);
        assert_eq!(header.verify_miner_info().is_ok(), miner_info);
        assert_eq!(EnrichedHeader::decode_from(&bytes), Ok(header));
    }
}

#[test]
fn verification_of_missing_part_fails() {
    let (full, _) = full();
    let bare = EnrichedHeader {
        coinbase: None,
        miner_info: None,
        ..full
    };
    assert_eq!(bare.verify_coinbase(), Err(EnrichedHeaderError::NoCoinbase));
    assert_eq!(
        bare.verify_miner_info(),
        Err(EnrichedHeaderError::NoMinerInfo)
    );
    assert_eq!(bare.encoded_len(), EnrichedHeader::MIN_LEN as u64);
}

#[test]
fn transaction_that_spends_outputs_is_not_coinbase() {
    let (mut header, txids) = full();
    header.coinbase = header.miner_info.clone();
    assert_eq!(
        header.verify_coinbase(),
        Err(EnrichedHeaderError::NotACoinbase(txids[1]))
    );
}

#[test]
fn coinbase_must_be_first_transaction() {
    let (mut header, _) = full();
    let coinbase = header.coinbase.as_mut().unwrap();
    let proof = &coinbase.proof;
    let (transaction, target) = (proof.transaction().clone(), proof.target());
    coinbase.proof = MerkleProof::new(1, transaction, target, proof.nodes());
    assert_eq!(
        header.verify_coinbase(),
        Err(EnrichedHeaderError::NotFirst { got: 1 })
    );
}

#[test]
fn proof_of_another_transaction_or_block_is_rejected() {
    let (full, txids) = full();
    let mut other = full.clone();
    let coinbase = other.coinbase.as_mut().unwrap();
    let proof = &coinbase.proof;
    let (name, target) = (ProofSubject::Txid(txids[2]), proof.target());
    coinbase.proof = MerkleProof::new(0, name, target, proof.nodes());
    let (expected, got) = (txids[0], txids[2]);
    let mismatch = MerkleProofError::TxidMismatch { expected, got };
    assert_eq!(
        other.verify_coinbase(),
        Err(EnrichedHeaderError::Proof(mismatch))
    );

    let mut other = full;
    other.header.nonce += 1;
    for refused in [other.verify_coinbase(), other.verify_miner_info()] {
        assert!(matches!(
            refused,
            Err(EnrichedHeaderError::Proof(
                MerkleProofError::TargetMismatch { .. }
            ))
        ));
    }
}

#[test]
fn transaction_count_must_match_proof_depth() {
    for (transactions, expected) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3)] {
        let (mut header, _) = full();
        header.transaction_count = transactions;
        let refused = Err(EnrichedHeaderError::DepthMismatch {
            transactions,
            expected,
            got: 2,
        });
        let judged = if expected == 2 { Ok(()) } else { refused };
        assert_eq!(header.verify_coinbase(), judged);
        assert_eq!(header.verify_miner_info(), judged);
    }
}

#[test]
fn overlong_proof_is_rejected() {
    let (mut header, _) = full();
    let coinbase = header.coinbase.as_mut().unwrap();
    let proof = &coinbase.proof;
    let (transaction, target) = (proof.transaction().clone(), proof.target());
    let nodes = [MerkleProofNode::DUPLICATE; 33];
    coinbase.proof = MerkleProof::new(0, transaction, target, nodes);
    let refused = Err(EnrichedHeaderError::DepthMismatch {
        transactions: 3,
        expected: 2,
        got: 33,
    });
    assert_eq!(header.verify_coinbase(), refused);
}

#[test]
fn index_beyond_transaction_count_is_rejected() {
    let (mut header, [coinbase, miner_info, other]) = full();
    // The tree has four transactions and the header claims three: both have the same depth.
    let txids = [coinbase, other, Txid([4; 32]), miner_info];
    header.header.merkle_root = merkle_root(txids).0;
    let part = header.miner_info.as_mut().unwrap();
    part.proof = MerkleProof::for_block(&txids, 3, header.header.hash()).unwrap();
    let (transactions, index) = (3, 3);
    let refused = Err(EnrichedHeaderError::IndexOutOfRange {
        transactions,
        index,
    });
    assert_eq!(header.verify_miner_info(), refused);
    header.transaction_count = 4;
    assert_eq!(header.verify_miner_info(), Ok(()));
}

#[test]
fn transaction_count_of_zero_is_rejected() {
    let coinbase = tx(OutPoint::NULL);
    let txids = [coinbase.txid()];
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let judged = |transaction_count| {
        let header = EnrichedHeader {
            header: BlockHeader {
                merkle_root: merkle_root(txids).0,
                ..genesis
            },
            transaction_count,
            no_more_headers: true,
            coinbase: Some(DatarefTx {
                tx: coinbase.clone(),
                proof: MerkleProof::for_merkle_root(&txids, 0).unwrap(),
            }),
            miner_info: None,
        };
        header.verify_coinbase()
    };
    assert_eq!(judged(1), Ok(()));
    assert!(matches!(
        judged(0),
        Err(EnrichedHeaderError::DepthMismatch { .. })
    ));
}
