//! `blocktxn`: what a compact block leaves out.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    Block, BlockHash, Decode, DecodeError, Encode, GetBlockTxn, Reader, TransactionView,
    Transactions, compact_size_len, write_compact_size,
};

/// Where the count of transactions stands: behind the block's hash.
const COUNT_AT: usize = 32;

/// The transactions that a [`GetBlockTxn`] asked for, in that order, kept as the one buffer in which they arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockTransactions {
    payload: Bytes,
    block: BlockHash,
    transaction_count: usize,
}

/// An index that a block does not have. The node bans who asks for one (score 100).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} is asked for, the block has {transactions}")]
pub struct IndexOutOfRange {
    /// What was asked for.
    pub index: u32,
    /// How many transactions the block has.
    pub transactions: usize,
}

impl BlockTransactions {
    /// Puts an answer together.
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

    /// The answer to `request`, which is for `block`.
    ///
    /// # Errors
    ///
    /// [`IndexOutOfRange`] if it asks for a transaction that the block does not have.
    pub fn for_request(block: &Block, request: &GetBlockTxn) -> Result<Self, IndexOutOfRange> {
        let mut transactions = block.transactions();
        let mut asked = Vec::new();
        let mut next = 0;
        for index in request.indexes() {
            let transaction = transactions.nth((index - next) as usize);
            asked.push(transaction.ok_or(IndexOutOfRange {
                index,
                transactions: block.transaction_count(),
            })?);
            // The block has that many transactions: behind the last index of 32 bits there is none.
            next = index.saturating_add(1);
        }
        Ok(Self::new(request.block(), &asked))
    }

    /// The whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The block.
    pub fn block(&self) -> BlockHash {
        self.block
    }

    /// How many transactions there are.
    pub fn transaction_count(&self) -> usize {
        self.transaction_count
    }

    /// The transactions, in order.
    pub fn transactions(&self) -> Transactions<'_> {
        let at = COUNT_AT + compact_size_len(self.transaction_count as u64) as usize;
        Transactions::unplaced(&self.payload[at..], self.transaction_count)
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
            payload: reader.keep_since(&start),
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
    fn an_answer_has_what_was_asked_for_in_that_order() {
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
