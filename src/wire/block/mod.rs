//! Blocks that stay where they arrived.

mod places;
mod transactions;

use std::fmt;

use bytes::Bytes;

use super::{
    BlockHash, BlockHeader, Decode, DecodeError, Encode, MerkleRoot, Reader, Transaction,
    TransactionView, compact_size_len, merkle_root, write_compact_size,
};
use crate::network::Network;
use crate::wire::encode::encode_payload;
use places::{Places, Placing};
pub use transactions::Transactions;

/// A block, kept as the one buffer in which it arrived.
///
/// The buffer is checked once, when the block is made: every transaction in it is whole. Header and
/// transactions are views that borrow from it. Beside it stands where each transaction is, in 8 bytes. A clone shares both.
///
/// ```
/// use bsv_p2p::{Network, wire::Block};
///
/// let block = Block::genesis(&Network::Mainnet);
/// assert_eq!(block.transaction_count(), 1);
/// for transaction in block.transactions() {
///     println!("{} pays {} outputs", transaction.txid(), transaction.outputs().len());
/// }
/// ```
#[derive(Clone)]
pub struct Block {
    payload: Bytes,
    transaction_count: usize,
    /// Where the first transaction starts.
    transactions_at: usize,
    places: Places,
}

/// What makes a block's content not that which its header commits to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The transactions have another merkle root than the header says.
    #[error("the transactions' merkle root is {got}, the header says {expected}")]
    MerkleRootMismatch {
        /// What the header says.
        expected: MerkleRoot,
        /// What the transactions have.
        got: MerkleRoot,
    },
    /// A run of transactions stands twice in a way that leaves the root as it is (CVE-2012-2459).
    #[error("transactions are repeated so that the merkle root {0} stays the same")]
    DuplicatedTransactions(MerkleRoot),
}

impl BlockError {
    /// Compares what the header says with what [`merkle_root`] has found.
    pub(in crate::wire) fn check(
        expected: MerkleRoot,
        (got, mutated): (MerkleRoot, bool),
    ) -> Result<(), Self> {
        if got != expected {
            return Err(BlockError::MerkleRootMismatch { expected, got });
        }
        if mutated {
            return Err(BlockError::DuplicatedTransactions(got));
        }
        Ok(())
    }
}

impl Block {
    /// The least bytes of a transaction.
    pub(in crate::wire) const MIN_TRANSACTION: usize = 10;

    /// Puts a block together.
    pub fn new(header: &BlockHeader, transactions: &[Transaction]) -> Self {
        // Of just its size: the block keeps it.
        let len = header.encoded_len()
            + compact_size_len(transactions.len() as u64)
            + transactions.iter().map(Encode::encoded_len).sum::<u64>();
        let len = usize::try_from(len).unwrap_or(0);
        Self::assemble(
            header,
            transactions.len(),
            len,
            transactions.iter(),
            |tx, out| tx.encode_marked(out),
        )
    }

    /// Puts a block together from `count` transactions in their wire form, which have been checked before and
    /// have `len` bytes in all.
    pub(in crate::wire) fn of_checked<'a>(
        header: &BlockHeader,
        count: usize,
        len: usize,
        transactions: impl Iterator<Item = TransactionView<'a>>,
    ) -> Self {
        let len = BlockHeader::LEN + 5 + len;
        Self::assemble(header, count, len, transactions, |transaction, out| {
            out.extend_from_slice(transaction.bytes());
            transaction.outputs_at()
        })
    }

    /// A block of at most `len` bytes; `append` writes a transaction and tells where in it the outputs are.
    fn assemble<T>(
        header: &BlockHeader,
        count: usize,
        len: usize,
        transactions: impl Iterator<Item = T>,
        append: impl Fn(T, &mut Vec<u8>) -> usize,
    ) -> Self {
        let mut payload = Vec::with_capacity(len);
        header.encode(&mut payload);
        write_compact_size(count as u64, &mut payload);
        let transactions_at = payload.len();
        let mut places = Placing::new(count);
        for transaction in transactions {
            let start = payload.len();
            let outputs_at = append(transaction, &mut payload);
            places.push(payload.len() - start, outputs_at);
        }
        Self {
            payload: payload.into(),
            transaction_count: count,
            transactions_at,
            places: places.done(),
        }
    }

    /// The first block of `network`.
    pub fn genesis(network: &Network) -> Self {
        let bytes = network.genesis_transaction();
        let transaction = TransactionView::read(&mut Reader::new(bytes));
        let header = BlockHeader::genesis(network);
        Self::of_checked(&header, 1, bytes.len(), transaction.into_iter())
    }

    /// Takes a payload as a block. Bytes behind the last transaction are dropped, as the node does.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if a transaction is not whole.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::shared(&payload))
    }

    /// The same block in a buffer of its own, for keeping: the payload in which a block arrived may be
    /// longer than the block, and counts as its connection's memory for as long as anything shares it.
    pub fn to_owned_buffer(&self) -> Self {
        Self {
            payload: Bytes::copy_from_slice(&self.payload),
            places: self.places.clone(),
            ..*self
        }
    }

    /// The whole block in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The header, read from the payload.
    pub fn header(&self) -> BlockHeader {
        BlockHeader::at_start_of(&self.payload)
    }

    /// The block's name: the hash of its header.
    pub fn hash(&self) -> BlockHash {
        self.header().hash()
    }

    /// How many transactions there are.
    pub fn transaction_count(&self) -> usize {
        self.transaction_count
    }

    /// The transactions, in order.
    pub fn transactions(&self) -> Transactions<'_> {
        let bytes = &self.payload[self.transactions_at..];
        match self.places.get() {
            Some(places) => Transactions::placed(bytes, places),
            None => Transactions::unplaced(bytes, self.transaction_count),
        }
    }

    /// Checks that the transactions are those which the header commits to. Hashes every transaction.
    ///
    /// # Errors
    ///
    /// [`BlockError::MerkleRootMismatch`] and [`BlockError::DuplicatedTransactions`].
    pub fn check_merkle_root(&self) -> Result<(), BlockError> {
        let found = merkle_root(self.transactions().map(|transaction| transaction.txid()));
        BlockError::check(self.header().merkle_root, found)
    }
}

impl Decode for Block {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        BlockHeader::decode(reader)?;
        let transaction_count = reader.count("transactions", Self::MIN_TRANSACTION)?;
        let transactions_at = start.rest().len() - reader.rest().len();
        let mut places = Placing::new(transaction_count);
        for _ in 0..transaction_count {
            let transaction = TransactionView::read(reader)?;
            places.push(transaction.bytes().len(), transaction.outputs_at());
        }
        Ok(Self {
            payload: reader.keep_since(&start),
            transaction_count,
            transactions_at,
            places: places.done(),
        })
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from it.
        self.payload == other.payload
    }
}

impl Eq for Block {}

encode_payload!(Block);

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("hash", &self.hash())
            .field("bytes", &self.payload.len())
            .field("transactions", &self.transaction_count)
            .finish()
    }
}

#[cfg(test)]
mod tests;
