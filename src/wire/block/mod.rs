//! A block as one shared buffer.

mod parser;
mod transactions;
mod tx_offsets;

use std::fmt;

use bytes::Bytes;

use super::{
    BlockHash, BlockHeader, Decode, DecodeError, Encode, MerkleRoot, Reader, Transaction,
    TransactionView, Txid, compact_size_len, merkle_root, write_compact_size,
};
use crate::network::Network;
use crate::wire::encode::encode_payload;
pub(crate) use parser::BlockParser;
pub use transactions::Transactions;
use tx_offsets::{TxOffsets, TxOffsetsBuilder};

/// A block, stored in the buffer in which it was received.
///
/// Constructors check once that every transaction is complete. The header and the transactions are
/// views that borrow from the buffer. The block also stores an index with 8 bytes for each
/// transaction. A clone shares the buffer and the index.
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
    /// The offset of the first transaction.
    transactions_at: usize,
    tx_offsets: TxOffsets,
}

/// The error of a block whose transactions do not match its header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The merkle root of the transactions differs from that of the header.
    #[error("expected merkle root {expected}, got {got}")]
    MerkleRootMismatch {
        /// The merkle root in the header.
        expected: MerkleRoot,
        /// The merkle root of the transactions.
        got: MerkleRoot,
    },
    /// Transactions are duplicated in a way that does not change the merkle root (CVE-2012-2459).
    #[error("duplicate transactions do not change the merkle root {0}")]
    DuplicatedTransactions(MerkleRoot),
}

impl BlockError {
    /// Compares the merkle root of the header with the result of [`merkle_root`].
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

#[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
impl Block {
    /// The minimum length of a transaction in bytes.
    pub(in crate::wire) const MIN_TRANSACTION: usize = 10;

    /// Creates a block from a header and transactions.
    ///
    /// Does not check that they match: see [`check_merkle_root`](Self::check_merkle_root).
    pub fn new(header: &BlockHeader, transactions: &[Transaction]) -> Self {
        // The exact size, because the block keeps the buffer.
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

    /// Creates a block from `count` encoded transactions of `len` bytes in total.
    ///
    /// The transactions must have been checked.
    pub(in crate::wire) fn from_checked<'a>(
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

    /// Creates a block of at most `len` bytes.
    ///
    /// `append` encodes a transaction and returns the offset of its outputs in the transaction.
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
        let mut tx_offsets = TxOffsetsBuilder::new(count);
        for transaction in transactions {
            let start = payload.len();
            let outputs_at = append(transaction, &mut payload);
            tx_offsets.push(payload.len() - start, outputs_at);
        }
        Self {
            payload: payload.into(),
            transaction_count: count,
            transactions_at,
            tx_offsets: tx_offsets.done(),
        }
    }

    /// Returns the first block of `network`.
    pub fn genesis(network: &Network) -> Self {
        let bytes = network.genesis_transaction();
        let transaction = TransactionView::read(&mut Reader::new(bytes));
        let header = BlockHeader::genesis(network);
        Self::from_checked(&header, 1, bytes.len(), transaction.into_iter())
    }

    /// Creates a block from the payload of a `block` message, without a copy.
    ///
    /// Like the node, ignores bytes after the last transaction.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the header or a transaction is incomplete or malformed.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::from_shared(&payload))
    }

    /// Returns a copy of the block in a buffer of its own.
    ///
    /// Use it to store a block. The received payload may be longer than the block, and counts as
    /// memory of its connection as long as it is shared.
    pub fn to_owned_buffer(&self) -> Self {
        Self {
            payload: Bytes::copy_from_slice(&self.payload),
            tx_offsets: self.tx_offsets.clone(),
            ..*self
        }
    }

    /// Returns the length of the encoded block in bytes, at least 81.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Returns the encoded block.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the header, decoded from the payload.
    pub fn header(&self) -> BlockHeader {
        BlockHeader::at_start_of(&self.payload)
    }

    /// Returns the hash of the header, which identifies the block.
    pub fn hash(&self) -> BlockHash {
        self.header().hash()
    }

    /// Returns the number of transactions.
    pub fn transaction_count(&self) -> usize {
        self.transaction_count
    }

    /// Returns an iterator over the transactions, in order.
    pub fn transactions(&self) -> Transactions<'_> {
        let bytes = &self.payload[self.transactions_at..];
        match self.tx_offsets.get() {
            Some(tx_offsets) => Transactions::with_offsets(bytes, tx_offsets),
            None => Transactions::without_offsets(bytes, self.transaction_count),
        }
    }

    /// Returns an iterator over the transaction IDs, in order. Each step hashes a transaction.
    pub fn txids(&self) -> impl ExactSizeIterator<Item = Txid> + Clone + '_ {
        self.transactions().map(|transaction| transaction.txid())
    }

    /// Checks that the header commits to the transactions. Hashes every transaction.
    ///
    /// # Errors
    ///
    /// - [`BlockError::MerkleRootMismatch`] if the merkle root differs from that of the header.
    /// - [`BlockError::DuplicatedTransactions`] if transactions are duplicated without an effect on
    ///   the merkle root.
    pub fn check_merkle_root(&self) -> Result<(), BlockError> {
        let found = merkle_root(self.txids());
        BlockError::check(self.header().merkle_root, found)
    }
}

impl TryFrom<Bytes> for Block {
    type Error = DecodeError;

    /// Like [`from_payload`](Self::from_payload).
    fn try_from(payload: Bytes) -> Result<Self, DecodeError> {
        Self::from_payload(payload)
    }
}

impl TryFrom<Vec<u8>> for Block {
    type Error = DecodeError;

    /// Like [`from_payload`](Self::from_payload).
    fn try_from(payload: Vec<u8>) -> Result<Self, DecodeError> {
        Self::from_payload(payload.into())
    }
}

impl Decode for Block {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        BlockParser::new().finish_at(reader)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        // The payload determines all other fields.
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
