//! Iteration over consecutive encoded transactions.

use std::slice;

use super::super::{Reader, TransactionView};
use super::tx_offsets::TxOffset;

/// An iterator over the transactions of a block or a `blocktxn`, in order.
///
/// Returned by [`Block::transactions`](super::Block::transactions) and
/// [`BlockTransactions::transactions`](crate::wire::BlockTransactions::transactions).
#[derive(Clone, Debug)]
pub struct Transactions<'a> {
    rest: &'a [u8],
    /// The index entries of the remaining transactions.
    tx_offsets: slice::Iter<'a, TxOffset>,
    /// The number of remaining transactions without an index entry. They follow the indexed ones.
    unindexed: usize,
}

impl<'a> Transactions<'a> {
    /// Iterates over the transactions at `tx_offsets` of `bytes`, which must have been checked.
    pub(super) fn with_offsets(bytes: &'a [u8], tx_offsets: &'a [TxOffset]) -> Self {
        Self {
            rest: bytes,
            tx_offsets: tx_offsets.iter(),
            unindexed: 0,
        }
    }

    /// Iterates over `count` transactions at the start of `bytes`, which must have been checked.
    pub(in crate::wire) fn without_offsets(bytes: &'a [u8], count: usize) -> Self {
        Self {
            rest: bytes,
            tx_offsets: [].iter(),
            unindexed: count,
        }
    }
}

impl<'a> Iterator for Transactions<'a> {
    type Item = TransactionView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // The bytes were checked when the message was created, so this fails only at the end.
        let (len, outputs_at) = match self.tx_offsets.next() {
            Some(entry) => (entry.len as usize, entry.outputs_at as usize),
            None => {
                self.unindexed = self.unindexed.checked_sub(1)?;
                measure(self.rest)?
            }
        };
        let (transaction, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(TransactionView::checked(transaction, outputs_at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.tx_offsets.len() + self.unindexed;
        (left, Some(left))
    }
}

/// Returns the length of the first transaction and the offset of its outputs.
///
/// It takes no part of the iterator by reference, so that the compiler can keep the iterator in
/// registers.
#[inline(never)]
fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let transaction = TransactionView::read(&mut Reader::new(bytes)).ok()?;
    Some((transaction.bytes().len(), transaction.outputs_at()))
}

impl ExactSizeIterator for Transactions<'_> {}

#[cfg(test)]
mod tests {
    use crate::Network;
    use crate::wire::{
        Block, BlockHeader, BlockTransactions, OutPoint, Transaction, TransactionInput,
        TransactionOutput,
    };

    /// Transactions with numbers of entries and script lengths that are encoded in 1, 3 or 5 bytes.
    fn transactions() -> Vec<Transaction> {
        let transaction = |entries: usize, script: usize| Transaction {
            version: 2,
            inputs: vec![
                TransactionInput {
                    previous: OutPoint::NULL,
                    script: vec![7; script],
                    sequence: 9,
                };
                entries
            ],
            outputs: vec![
                TransactionOutput {
                    value: 8,
                    script: vec![6; script],
                };
                entries
            ],
            lock_time: u32::MAX,
        };
        let shapes = [
            (0, 0),
            (1, 0),
            (2, 1),
            (252, 0),
            (253, 2),
            (65_536, 0),
            (1, 252),
            (2, 253),
            (3, 65_535),
            (2, 65_536),
            (0, 0),
        ];
        shapes
            .map(|(entries, script)| transaction(entries, script))
            .into()
    }

    #[test]
    fn iteration_is_equal_with_and_without_offsets() {
        let owned = transactions();
        let block = Block::new(&BlockHeader::genesis(&Network::Regtest), &owned);
        let read = Block::from_payload(block.bytes().clone()).unwrap();
        let views: Vec<_> = block.transactions().collect();
        assert_eq!(views.len(), owned.len());
        let answer = BlockTransactions::new(block.hash(), &views);
        let mut ways = [
            block.transactions(),
            read.transactions(),
            answer.transactions(),
        ];
        assert_eq!(ways[0].tx_offsets.len(), owned.len());
        assert_eq!(ways[1].tx_offsets.len(), owned.len());
        assert_eq!(ways[2].tx_offsets.len(), 0);
        for (passed, expected) in owned.iter().enumerate() {
            for way in &mut ways {
                assert_eq!(way.len(), owned.len() - passed);
                let view = way.next().unwrap();
                assert_eq!(view.inputs().len(), expected.inputs.len());
                assert_eq!(view.outputs().len(), expected.outputs.len());
                assert_eq!(&Transaction::from(view), expected);
                assert_eq!(view.lock_time(), expected.lock_time);
            }
        }
        for way in &mut ways {
            assert_eq!((way.len(), way.next()), (0, None));
        }
    }

    #[test]
    fn entries_are_counted_down_to_none() {
        for transaction in transactions() {
            let block = Block::new(
                &BlockHeader::genesis(&Network::Regtest),
                std::slice::from_ref(&transaction),
            );
            let view = block.transactions().next().unwrap();
            let (mut inputs, mut outputs) = (view.inputs(), view.outputs());
            for left in (1..=transaction.inputs.len()).rev() {
                assert_eq!((inputs.len(), outputs.len()), (left, left));
                assert!(inputs.next().is_some() && outputs.next().is_some());
            }
            assert_eq!((inputs.len(), inputs.next()), (0, None));
            assert_eq!((outputs.len(), outputs.next()), (0, None));
        }
    }
}
