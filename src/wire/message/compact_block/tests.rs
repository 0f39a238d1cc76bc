//! What a compact block holds, and which can be none.

use super::*;
use crate::Network;
use crate::wire::Transaction;

fn genesis_transaction() -> Transaction {
    Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap()
}

/// A message by hand: so many short names, and prefilled transactions by the number on the wire.
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
fn the_coinbase_is_prefilled_and_every_other_transaction_has_a_short_name() {
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
fn short_names_are_48_bits_with_the_lowest_byte_first() {
    let header = BlockHeader::genesis(&Network::Regtest);
    let mut bytes = by_hand(&header, 1, &[]);
    bytes[COUNTS_AT + 1..][..SHORT_ID].copy_from_slice(&[1, 0, 0, 0, 0, 0x80]);
    let compact = CompactBlock::decode_from(&bytes).unwrap();
    assert_eq!(compact.short_ids().collect::<Vec<_>>(), [0x8000_0000_0001]);
}

#[test]
fn the_first_prefilled_index_is_absolute_and_the_others_count_from_the_one_before() {
    let tx = genesis_transaction();
    let header = BlockHeader::genesis(&Network::Regtest);
    let bytes = by_hand(&header, 9, &[(1, tx.clone()), (0, tx.clone()), (6, tx)]);
    let compact = CompactBlock::decode_from(&bytes).unwrap();
    let indexes: Vec<u64> = compact.prefilled().map(|(index, _)| index).collect();
    assert_eq!(indexes, [1, 2, 9]);
}

#[test]
fn a_compact_block_without_transactions_or_target_is_none() {
    assert_eq!(check(0, &[]), Err(CompactBlockError::NoTransactions));
    assert_eq!(check(1, &[]), Ok(()));
    let mut header = BlockHeader::genesis(&Network::Regtest);
    header.bits.0 = 0;
    let empty = CompactBlock::decode_from(&by_hand(&header, 1, &[])).unwrap();
    assert_eq!(empty.check(), Err(CompactBlockError::EmptyHeader));
}

#[test]
fn a_prefilled_index_may_leave_no_place_that_nothing_fills() {
    let tx = genesis_transaction();
    assert_eq!(check(2, &[(2, tx.clone())]), Ok(()));
    assert_eq!(
        check(2, &[(3, tx.clone())]),
        Err(CompactBlockError::IndexBeyondRange { limit: 2, got: 3 })
    );
    assert_eq!(check(2, &[(1, tx.clone()), (1, tx.clone())]), Ok(()));
    assert_eq!(
        check(2, &[(1, tx.clone()), (2, tx.clone())]),
        Err(CompactBlockError::IndexBeyondRange { limit: 3, got: 4 })
    );
    // Numbers whose sum does not fit 32 bits are read like any others.
    let most = 0xffff_ffff;
    assert_eq!(
        check(2, &[(0, tx.clone()), (most, tx)]),
        Err(CompactBlockError::IndexBeyondRange {
            limit: 3,
            got: most + 1
        })
    );
}

#[test]
fn an_empty_prefilled_transaction_is_refused() {
    assert_eq!(
        check(0, &[(0, Transaction::default())]),
        Err(CompactBlockError::EmptyTransaction { index: 0 })
    );
}
