//! Encoding and validity of compact blocks.

use super::*;
use crate::Network;
use crate::wire::Transaction;

fn genesis_transaction() -> Transaction {
    Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap()
}

/// Returns the bytes of a message with `short_ids` short IDs, and with prefilled transactions that
/// have these numbers on the wire.
fn by_hand(header: &BlockHeader, short_ids: u8, prefilled: &[(u64, Transaction)]) -> Vec<u8> {
    let mut bytes = header.encode_to_vec();
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    bytes.push(short_ids);
    (0..short_ids).for_each(|id| bytes.extend_from_slice(&[id; SHORT_ID]));
    bytes.push(prefilled.len() as u8);
    for (number, transaction) in prefilled {
        write_compact_size(*number, &mut bytes);
        transaction.encode(&mut bytes);
    }
    bytes
}

fn check(short_ids: u8, prefilled: &[(u64, Transaction)]) -> Result<(), CompactBlockError> {
    let header = BlockHeader::genesis(&Network::Regtest);
    CompactBlock::decode_from(&by_hand(&header, short_ids, prefilled))
        .unwrap()
        .check()
}

#[test]
fn only_coinbase_is_prefilled() {
    let header = BlockHeader::genesis(&Network::Regtest);
    let transactions: Vec<Transaction> = (0..300)
        .map(|lock_time| Transaction {
            lock_time,
            ..genesis_transaction()
        })
        .collect();
    let compact = CompactBlock::new(&Block::new(&header, &transactions), 9);
    assert_eq!(compact.nonce(), 9);
    assert_eq!(compact.transaction_count(), 300);
    let prefilled: Vec<_> = compact.prefilled().collect();
    assert_eq!(prefilled.len(), 1);
    assert_eq!(prefilled[0].0, 0);
    assert_eq!(prefilled[0].1.txid(), transactions[0].txid());
    let key = ShortIdKey::new(&header, 9);
    let expected = transactions[1..].iter().map(|tx| key.short_id(&tx.txid()));
    assert!(compact.short_ids().eq(expected));
    assert_eq!(compact.check(), Ok(()));
    assert_eq!(CompactBlock::decode_from(compact.bytes()), Ok(compact));
}

#[test]
fn short_ids_are_little_endian_48_bit_numbers() {
    let header = BlockHeader::genesis(&Network::Regtest);
    let mut bytes = by_hand(&header, 1, &[]);
    bytes[COUNTS_AT + 1..][..SHORT_ID].copy_from_slice(&[1, 0, 0, 0, 0, 0x80]);
    let compact = CompactBlock::decode_from(&bytes).unwrap();
    assert_eq!(compact.short_ids().collect::<Vec<_>>(), [0x8000_0000_0001]);
}

#[test]
fn prefilled_indexes_are_encoded_as_differences() {
    let tx = genesis_transaction();
    let header = BlockHeader::genesis(&Network::Regtest);
    let bytes = by_hand(&header, 9, &[(1, tx.clone()), (0, tx.clone()), (6, tx)]);
    let compact = CompactBlock::decode_from(&bytes).unwrap();
    let indexes: Vec<u64> = compact.prefilled().map(|(index, _)| index).collect();
    assert_eq!(indexes, [1, 2, 9]);
}

#[test]
fn block_without_transactions_or_target_is_invalid() {
    assert_eq!(check(0, &[]), Err(CompactBlockError::NoTransactions));
    assert_eq!(check(1, &[]), Ok(()));
    let mut header = BlockHeader::genesis(&Network::Regtest);
    header.bits.0 = 0;
    let empty = CompactBlock::decode_from(&by_hand(&header, 1, &[])).unwrap();
    assert_eq!(empty.check(), Err(CompactBlockError::EmptyHeader));
}

#[test]
fn gap_before_prefilled_transaction_is_invalid() {
    let tx = genesis_transaction();
    assert_eq!(check(2, &[(2, tx.clone())]), Ok(()));
    assert_eq!(
        check(2, &[(3, tx.clone())]),
        Err(CompactBlockError::IndexOutOfRange { limit: 2, got: 3 })
    );
    assert_eq!(check(2, &[(1, tx.clone()), (1, tx.clone())]), Ok(()));
    assert_eq!(
        check(2, &[(1, tx.clone()), (2, tx.clone())]),
        Err(CompactBlockError::IndexOutOfRange { limit: 3, got: 4 })
    );
    // The sum of the indexes may exceed 32 bits.
    let most = 0xffff_ffff;
    assert_eq!(
        check(2, &[(0, tx.clone()), (most, tx)]),
        Err(CompactBlockError::IndexOutOfRange {
            limit: 3,
            got: most + 1
        })
    );
}

#[test]
fn empty_prefilled_transaction_is_invalid() {
    assert_eq!(
        check(0, &[(0, Transaction::default())]),
        Err(CompactBlockError::EmptyTransaction { index: 0 })
    );
}
