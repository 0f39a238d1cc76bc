//! Tests of the pool: capacity, rules, and changes by blocks.

use super::*;
use crate::local_node::BlockTemplate;
use crate::wire::{BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput};

/// Returns a transaction of 62 bytes that differs from others by its lock time.
fn payment(lock_time: u32) -> Transaction {
    Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([1; 32]),
                index: 0,
            },
            script: vec![0x51],
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 1_000,
            script: vec![0x51],
        }],
        lock_time,
    }
}

fn tx(lock_time: u32) -> Tx {
    Tx::from(&payment(lock_time))
}

fn pool_of(lock_times: impl IntoIterator<Item = u32>) -> TransactionPool {
    let mut pool = TransactionPool::default();
    for lock_time in lock_times {
        assert_eq!(pool.insert(&tx(lock_time)), Ok(InsertOutcome::New));
    }
    pool
}

fn lock_times(pool: &TransactionPool) -> Vec<u32> {
    pool.transactions()
        .map(|tx| tx.view().lock_time())
        .collect()
}

fn block_of(lock_times: impl IntoIterator<Item = u32>) -> Block {
    BlockTemplate {
        transactions: lock_times.into_iter().map(tx).collect(),
        ..BlockTemplate::new(BlockHash::ZERO, 1, 1_700_000_000, 0)
    }
    .mine()
}

#[test]
fn transactions_are_unique_and_ordered() {
    let mut pool = pool_of([5, 3, 9]);
    assert_eq!(pool.insert(&tx(3)), Ok(InsertOutcome::Known));
    assert_eq!(lock_times(&pool), [5, 3, 9]);
    assert_eq!(
        pool.txids().collect::<Vec<_>>(),
        [5, 3, 9].map(|n| tx(n).txid())
    );
    assert_eq!(pool.get(&tx(9).txid()), Some(&tx(9)));
    assert_eq!(pool.get(&tx(8).txid()), None);
    assert_eq!((pool.len(), pool.bytes()), (3, 3 * 62));
}

#[test]
fn a_pool_is_bounded_in_bytes() {
    let mut pool = TransactionPool::new(2 * 62 + 61, 100);
    let inserted = [1, 2, 3].map(|n| pool.insert(&tx(n)).unwrap());
    assert_eq!(
        inserted,
        [InsertOutcome::New, InsertOutcome::New, InsertOutcome::Full]
    );
    assert_eq!(lock_times(&pool), [1, 2]);
    pool.remove_included(&block_of([1]));
    assert_eq!(
        pool.insert(&tx(3)),
        Ok(InsertOutcome::New),
        "there is room again"
    );
    assert_eq!(
        pool.insert(&tx(2)),
        Ok(InsertOutcome::Known),
        "a full pool knows what it has"
    );
}

#[test]
fn a_pool_is_bounded_in_transactions() {
    let mut pool = TransactionPool::new(u64::MAX, 2);
    let inserted = [1, 2, 3].map(|n| pool.insert(&tx(n)).unwrap());
    assert_eq!(
        inserted,
        [InsertOutcome::New, InsertOutcome::New, InsertOutcome::Full]
    );
}

#[test]
fn included_transactions_are_removed() {
    let mut pool = pool_of([1, 2, 3, 4]);
    pool.remove_included(&block_of([4, 2, 77]));
    assert_eq!(lock_times(&pool), [1, 3]);
    assert_eq!(pool.bytes(), 2 * 62);
    pool.remove_included(&block_of([1, 3]));
    assert!(pool.is_empty() && pool.bytes() == 0 && pool.txids().next().is_none());
}

#[test]
fn disconnected_transactions_are_restored_in_front() {
    let mut pool = pool_of([30, 31]);
    // The old tip first, then the block below it.
    pool.restore_disconnected(&block_of([20, 21]));
    pool.restore_disconnected(&block_of([10, 11]));
    assert_eq!(
        lock_times(&pool),
        [10, 11, 20, 21, 30, 31],
        "and without the coinbases"
    );
    pool.insert(&tx(40)).unwrap();
    assert_eq!(lock_times(&pool).last(), Some(&40));
}

#[test]
fn malformed_transactions_are_rejected() {
    let mut transaction = payment(0);
    transaction.outputs.clear();
    let rejected = TransactionPool::default().insert(&Tx::from(&transaction));
    assert_eq!(rejected, Err(InvalidTransaction::NoOutputs));
}
