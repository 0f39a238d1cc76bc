//! `blocktxn`: transactions that a compact block does not contain.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    Block, BlockHash, Decode, DecodeError, Encode, GetBlockTxn, Reader, TransactionView,
    Transactions, compact_size_len, write_compact_size,
};

/// The offset of the count of transactions, which follows the block hash.
const COUNT_AT: usize = 32;

/// The transactions requested by a [`GetBlockTxn`], in the same order.
///
/// They are kept in the buffer in which they arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockTransactions {
    payload: Bytes,
    block: BlockHash,
    transaction_count: usize,
}

/// The error of an index that a block does not have.
///
/// The node bans a peer that requests such an index (score 100).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index {index} is out of range in a block of {transactions} transactions")]
#[non_exhaustive]
pub struct IndexOutOfRange {
    /// The requested index.
    pub index: u32,
    /// The number of transactions in the block.
    pub transactions: usize,
}

impl BlockTransactions {
    /// Creates the message from a block hash and transactions.
    pub fn new(block: BlockHash, transactions: &[TransactionView<'_>]) -> Self {
        let bytes: usize = transactions.iter().map(|tx| tx.bytes().len()).sum();
        let mut payload = Vec::with_capacity(COUNT_AT + 5 + bytes);
        block.encode(&mut payload);
        write_compact_size(transactions.len() as u64, &mut payload);
        for transaction in transactions {
            payload.extend_from_slice(transaction.bytes());
        }
        Self {
            payload: payload.into(),
            block,
            transaction_count: transactions.len(),
        }
    }

    /// Creates the answer to `request`, which must be a request for `block`.
    ///
    /// # Errors
    ///
    /// [`IndexOutOfRange`] if `request` contains an index that the block does not have.
    pub fn for_request(block: &Block, request: &GetBlockTxn) -> Result<Self, IndexOutOfRange> {
        let mut transactions = block.transactions();
        let mut requested = Vec::new();
        let mut next = 0;
        for index in request.indexes() {
            let transaction = transactions.nth((index - next) as usize);
            requested.push(transaction.ok_or(IndexOutOfRange {
                index,
                transactions: block.transaction_count(),
            })?);
            // Saturation is harmless: no transaction can follow the last index of 32 bits.
            next = index.saturating_add(1);
        }
        Ok(Self::new(request.block(), &requested))
    }

    /// Returns the whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the hash of the block.
    pub fn block(&self) -> BlockHash {
        self.block
    }

    /// Returns the number of transactions.
    pub fn transaction_count(&self) -> usize {
        self.transaction_count
    }

    /// Returns the transactions, in order.
    pub fn transactions(&self) -> Transactions<'_> {
        let at = COUNT_AT + compact_size_len(self.transaction_count as u64) as usize;
        Transactions::without_offsets(&self.payload[at..], self.transaction_count)
    }
}

impl Decode for BlockTransactions {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let block = Decode::decode(reader)?;
        let transaction_count = reader.count("transactions", Block::MIN_TRANSACTION)?;
        for _ in 0..transaction_count {
            TransactionView::read(reader)?;
        }
        Ok(Self {
            payload: reader.shared_since(&start),
            block,
            transaction_count,
        })
    }
}

encode_payload!(BlockTransactions);

impl fmt::Debug for BlockTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockTransactions")
            .field("block", &self.block)
            .field("transaction_count", &self.transaction_count)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{BlockHeader, Transaction};

    #[test]
    fn answer_has_requested_transactions_in_order() {
        let genesis = Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap();
        let transactions: Vec<_> = (0..5)
            .map(|lock_time| Transaction {
                lock_time,
                ..genesis.clone()
            })
            .collect();
        let block = Block::new(&BlockHeader::genesis(&Network::Regtest), &transactions);
        let ask = |indexes: &[u32]| {
            let request = GetBlockTxn::new(block.hash(), indexes).unwrap();
            BlockTransactions::for_request(&block, &request)
        };
        for indexes in [&[][..], &[0], &[4], &[1, 2, 4], &[0, 1, 2, 3, 4]] {
            let answer = ask(indexes).unwrap();
            assert_eq!(answer.block(), block.hash());
            assert_eq!(answer.transaction_count(), indexes.len());
            let lock_times = answer.transactions().map(|tx| tx.lock_time());
            assert_eq!(lock_times.collect::<Vec<_>>(), indexes);
            assert_eq!(BlockTransactions::decode_from(answer.bytes()), Ok(answer));
        }
        for (indexes, index) in [(&[5][..], 5), (&[4, 5], 5), (&[0, u32::MAX], u32::MAX)] {
            let transactions = 5;
            assert_eq!(
                ask(indexes),
                Err(IndexOutOfRange {
                    index,
                    transactions
                })
            );
        }
    }
}
