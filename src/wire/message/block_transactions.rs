//! `getblocktxn` and `blocktxn`: what a compact block leaves out.

use std::fmt;

use bytes::Bytes;

use crate::wire::{
    Block, BlockHash, Decode, DecodeError, Encode, Reader, TransactionView, Transactions,
    compact_size_len, write_compact_size,
};

/// Where the count stands in both messages: behind the block's hash.
const COUNT_AT: usize = 32;

/// Asks for transactions of a block by their indexes, kept as the one buffer in which it arrived.
///
/// A node answers with [`BlockTransactions`]. It sends the whole `block` instead if that lies more than 10 below its
/// tip or more than 99 % of it are asked for, and nothing if it does not have it (Bitcoin SV node,
/// `src/net/net_processing.cpp`).
#[derive(Clone, PartialEq, Eq)]
pub struct GetBlockTxn {
    payload: Bytes,
    block: BlockHash,
    index_count: usize,
}

/// Indexes that do not ascend: the wire has no form for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index {got} comes after {before}, expected a higher one")]
pub struct IndexesNotAscending {
    /// The index before.
    pub before: u32,
    /// The index that is not higher.
    pub got: u32,
}

/// An index that a block does not have. The node bans who asks for one (score 100).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} is asked for, the block has {transactions}")]
pub struct IndexBeyondBlock {
    /// What was asked for.
    pub index: u32,
    /// How many transactions the block has.
    pub transactions: usize,
}

impl GetBlockTxn {
    /// Asks for the transactions of `block` at these indexes, counted from 0.
    ///
    /// # Errors
    ///
    /// [`IndexesNotAscending`] unless each is higher than the one before.
    pub fn new(block: BlockHash, indexes: &[u32]) -> Result<Self, IndexesNotAscending> {
        match indexes.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(IndexesNotAscending {
                before: pair[0],
                got: pair[1],
            }),
            None => Ok(Self::of_ascending(block, indexes)),
        }
    }

    /// Like [`GetBlockTxn::new`] for indexes that are known to ascend.
    pub(in crate::wire) fn of_ascending(block: BlockHash, indexes: &[u32]) -> Self {
        let mut payload = Vec::with_capacity(COUNT_AT + 5 + indexes.len());
        block.encode(&mut payload);
        write_compact_size(indexes.len() as u64, &mut payload);
        let mut next = 0;
        for &index in indexes {
            // On the wire stands how many indexes lie between this one and the one before.
            write_compact_size(u64::from(index) - next, &mut payload);
            next = u64::from(index) + 1;
        }
        Self {
            payload: payload.into(),
            block,
            index_count: indexes.len(),
        }
    }

    /// The whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The block.
    pub fn block(&self) -> BlockHash {
        self.block
    }

    /// The indexes, counted from 0, ascending.
    pub fn indexes(&self) -> Indexes<'_> {
        let at = COUNT_AT + compact_size_len(self.index_count as u64) as usize;
        Indexes {
            reader: Reader::new(&self.payload[at..]),
            left: self.index_count,
            next: 0,
        }
    }
}

impl Decode for GetBlockTxn {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let block = Decode::decode(reader)?;
        let index_count = reader.count("indexes", 1)?;
        let mut next = 0;
        for _ in 0..index_count {
            let index = read_index(reader, next)?;
            next = u64::from(index) + 1;
        }
        Ok(Self {
            payload: reader.keep_since(&start),
            block,
            index_count,
        })
    }
}

/// Reads an index that is `next` at least.
fn read_index(reader: &mut Reader<'_>, next: u64) -> Result<u32, DecodeError> {
    let got = next + reader.compact_size("index")?;
    u32::try_from(got).map_err(|_| DecodeError::BadValue {
        field: "index",
        expected: "at most 4294967295",
        got,
    })
}

/// The indexes of a `getblocktxn`, in order. Made by [`GetBlockTxn::indexes`].
#[derive(Clone, Debug)]
pub struct Indexes<'a> {
    reader: Reader<'a>,
    left: usize,
    next: u64,
}

impl Iterator for Indexes<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the message was made: this cannot fail.
        let index = read_index(&mut self.reader, self.next).ok()?;
        self.next = u64::from(index) + 1;
        Some(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Indexes<'_> {}

/// The transactions that a [`GetBlockTxn`] asked for, in that order, kept as the one buffer in which they arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockTransactions {
    payload: Bytes,
    block: BlockHash,
    transaction_count: usize,
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
    /// [`IndexBeyondBlock`] if it asks for a transaction that the block does not have.
    pub fn answer(block: &Block, request: &GetBlockTxn) -> Result<Self, IndexBeyondBlock> {
        let mut transactions = block.transactions();
        let mut asked = Vec::new();
        let mut next = 0;
        for index in request.indexes() {
            let transaction = transactions.nth((index - next) as usize);
            asked.push(transaction.ok_or(IndexBeyondBlock {
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
        Transactions::checked(&self.payload[at..], self.transaction_count)
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

macro_rules! written_as_they_lie {
    ($($name:ident: $count:ident;)+) => {$(
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.payload);
            }

            fn encoded_len(&self) -> u64 {
                self.payload.len() as u64
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("block", &self.block)
                    .field(stringify!($count), &self.$count)
                    .finish()
            }
        }
    )+};
}

written_as_they_lie! {
    GetBlockTxn: index_count;
    BlockTransactions: transaction_count;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{BlockHeader, Transaction};

    const BLOCK: BlockHash = BlockHash([7; 32]);

    fn wire(numbers: &[u64]) -> Vec<u8> {
        let mut bytes = BLOCK.encode_to_vec();
        write_compact_size(numbers.len() as u64, &mut bytes);
        numbers
            .iter()
            .for_each(|number| write_compact_size(*number, &mut bytes));
        bytes
    }

    #[test]
    fn indexes_are_absolute_for_the_program_and_differences_on_the_wire() {
        for (indexes, numbers) in [
            (&[][..], &[][..]),
            (&[0], &[0]),
            (&[1, 2, 4], &[1, 0, 1]),
            (&[0, 254, 70_000], &[0, 253, 69_745]),
            (&[u32::MAX - 1, u32::MAX], &[0xffff_fffe, 0]),
            (&[0, u32::MAX], &[0, 0xffff_fffe]),
        ] {
            let built = GetBlockTxn::new(BLOCK, indexes).unwrap();
            assert_eq!(built.bytes(), &wire(numbers));
            assert_eq!(built.indexes().collect::<Vec<_>>(), indexes);
            assert_eq!(built.indexes().len(), indexes.len());
            assert_eq!(GetBlockTxn::decode_from(&wire(numbers)), Ok(built));
        }
    }

    #[test]
    fn an_index_above_32_bits_is_refused() {
        for (numbers, got) in [
            (&[0xffff_ffff, 0][..], 0x1_0000_0000),
            (&[0, 0xffff_ffff], 0x1_0000_0000),
            (&[0xffff_ffff, 0xffff_ffff], 0x1_ffff_ffff),
        ] {
            assert_eq!(
                GetBlockTxn::decode_from(&wire(numbers)),
                Err(DecodeError::BadValue {
                    field: "index",
                    expected: "at most 4294967295",
                    got
                })
            );
        }
    }

    #[test]
    fn indexes_that_do_not_ascend_cannot_be_sent() {
        for (before, got) in [(3, 3), (3, 2), (u32::MAX, 0)] {
            assert_eq!(
                GetBlockTxn::new(BLOCK, &[before, got]),
                Err(IndexesNotAscending { before, got })
            );
        }
    }

    #[test]
    fn an_answer_has_what_was_asked_for_in_that_order() {
        let genesis = Transaction::decode_from(Network::genesis_transaction()).unwrap();
        let transactions: Vec<_> = (0..5)
            .map(|lock_time| Transaction {
                lock_time,
                ..genesis.clone()
            })
            .collect();
        let block = Block::new(&BlockHeader::genesis(Network::Regtest), &transactions);
        let ask = |indexes: &[u32]| {
            let request = GetBlockTxn::new(block.hash(), indexes).unwrap();
            BlockTransactions::answer(&block, &request)
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
                Err(IndexBeyondBlock {
                    index,
                    transactions
                })
            );
        }
    }
}
