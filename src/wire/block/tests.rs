//! Blocks share their payload, and their transactions are checked against the header.

use super::*;

#[test]
fn payload_becomes_block_without_copy() {
    let payload = Block::genesis(&Network::Regtest).bytes().clone();
    let block = Block::from_payload(payload.clone()).unwrap();
    assert_eq!(block.bytes().as_ptr(), payload.as_ptr());
    assert_eq!(block, Block::genesis(&Network::Regtest));
    assert_eq!(block.check_merkle_root(), Ok(()));
}

#[test]
fn txids_match_transactions() {
    let block = Block::genesis(&Network::Regtest);
    let genesis = Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap();
    assert_eq!(block.txids().len(), 1);
    assert!(block.txids().eq([genesis.txid()]));
    assert_eq!(block.len() as u64, block.encoded_len());
}

#[test]
fn owned_buffer_is_a_copy() {
    let block = Block::genesis(&Network::Regtest);
    let copy = block.to_owned_buffer();
    assert_eq!(copy, block);
    assert_ne!(copy.bytes().as_ptr(), block.bytes().as_ptr());
}

#[test]
fn bytes_after_last_transaction_are_dropped() {
    let whole = Block::genesis(&Network::Regtest);
    let mut longer = whole.bytes().to_vec();
    longer.extend_from_slice(b"more");
    assert_eq!(Block::from_payload(longer.into()), Ok(whole));
}

#[test]
fn claimed_billion_transactions_is_truncated() {
    let mut payload = Network::Regtest.genesis_header().to_bytes().to_vec();
    payload.extend_from_slice(&[0xfe, 0x00, 0xca, 0x9a, 0x3b]);
    assert_eq!(
        Block::from_payload(payload.into()),
        Err(DecodeError::Truncated {
            field: "transactions",
            needed: 10_000_000_000,
            left: 0
        })
    );
}

#[test]
fn other_or_repeated_transactions_fail_merkle_check() {
    let header = BlockHeader::genesis(&Network::Regtest);
    let genesis = Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap();
    let other = Transaction {
        version: 9,
        ..genesis.clone()
    };
    assert!(matches!(
        Block::new(&header, std::slice::from_ref(&other)).check_merkle_root(),
        Err(BlockError::MerkleRootMismatch { .. })
    ));

    let three = [genesis.clone(), other.clone(), genesis.clone()];
    let (root, _) = merkle_root(three.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root: root,
        ..header
    };
    assert_eq!(Block::new(&header, &three).check_merkle_root(), Ok(()));
    let four = [genesis.clone(), other, genesis.clone(), genesis];
    assert_eq!(
        Block::new(&header, &four).check_merkle_root(),
        Err(BlockError::DuplicatedTransactions(root))
    );
}
