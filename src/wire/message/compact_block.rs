//! `cmpctblock`: a block with short IDs instead of most transactions.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    Block, BlockHash, BlockHeader, Decode, DecodeError, Encode, Reader, ShortIdKey,
    TransactionView, compact_size_len, write_compact_size,
};

/// A block in compact form, kept in the buffer in which it arrived.
///
/// Most transactions are represented by their short ID. Some are prefilled, usually the coinbase.
/// The buffer is checked once, when the message is created.
/// [`Reconstruction`](crate::wire::Reconstruction) builds the block from it.
#[derive(Clone, PartialEq, Eq)]
pub struct CompactBlock {
    payload: Bytes,
    short_id_count: usize,
    prefilled_count: usize,
}

/// The reason why a compact block is invalid. The node bans its sender (score 100).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompactBlockError {
    /// The bits of the header are zero.
    #[error("header has zero bits")]
    EmptyHeader,
    /// There is no transaction, not even a coinbase.
    #[error("compact block has no transactions")]
    NoTransactions,
    /// The index of a prefilled transaction is too high: the transactions before it do not fill all
    /// lower indexes.
    #[error("prefilled transaction: expected an index of at most {limit}, got {got}")]
    IndexOutOfRange {
        /// The maximum valid index.
        limit: u64,
        /// The index of the transaction.
        got: u64,
    },
    /// A prefilled transaction has neither inputs nor outputs.
    #[error("prefilled transaction at index {index} is empty")]
    EmptyTransaction {
        /// The index of the transaction in the block.
        index: u64,
    },
}

/// The length of a short ID in bytes.
const SHORT_ID: usize = 6;
/// The offset of the count of short IDs, which follows the header and the nonce.
const COUNTS_AT: usize = BlockHeader::LEN + 8;
/// The minimum length of a prefilled transaction with its index, in bytes.
const MIN_PREFILLED: usize = 1 + Block::MIN_TRANSACTION;

impl CompactBlock {
    /// Creates the compact form of a block. The first transaction is prefilled, as by the node.
    ///
    /// `nonce` should be random. If it is predictable, transactions with colliding short IDs can be
    /// prepared in advance. Hashes all transactions but the first.
    pub fn new(block: &Block, nonce: u64) -> Self {
        let header = block.header();
        let key = ShortIdKey::new(&header, nonce);
        let mut transactions = block.transactions();
        let first = transactions.next();
        let short_id_count = transactions.len();
        let prefilled_count = usize::from(first.is_some());

        let room = first.map_or(0, |first| first.bytes().len() + 1) + SHORT_ID * short_id_count;
        let mut payload = Vec::with_capacity(COUNTS_AT + 6 + room);
        header.encode(&mut payload);
        payload.extend_from_slice(&nonce.to_le_bytes());
        write_compact_size(short_id_count as u64, &mut payload);
        for transaction in transactions {
            let short_id = key.short_id(&transaction.txid()).to_le_bytes();
            payload.extend_from_slice(&short_id[..SHORT_ID]);
        }
        write_compact_size(prefilled_count as u64, &mut payload);
        if let Some(first) = first {
            write_compact_size(0, &mut payload);
            payload.extend_from_slice(first.bytes());
        }
        Self {
            payload: payload.into(),
            short_id_count,
            prefilled_count,
        }
    }

    /// Creates a compact block from a payload. Bytes after the last field are dropped, as by the
    /// node.
    ///
    /// The content is not checked; see [`CompactBlock::check`].
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if a field is incomplete.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::from_shared(&payload))
    }

    /// Returns the whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the header of the block, which is decoded from the payload.
    pub fn header(&self) -> BlockHeader {
        BlockHeader::at_start_of(&self.payload)
    }

    /// Returns the hash of the block.
    pub fn hash(&self) -> BlockHash {
        self.header().hash()
    }

    /// Returns the nonce, from which the short IDs are derived together with the header.
    pub fn nonce(&self) -> u64 {
        let at = BlockHeader::LEN;
        Reader::new(&self.payload[at..])
            .u64("nonce")
            .unwrap_or_default()
    }

    /// Returns the key of the short IDs.
    pub fn short_id_key(&self) -> ShortIdKey {
        ShortIdKey::new(&self.header(), self.nonce())
    }

    /// Returns the number of transactions in the block, including those with a short ID only.
    pub fn transaction_count(&self) -> usize {
        self.short_id_count + self.prefilled_count
    }

    /// Returns the short IDs of the transactions that are not prefilled, in block order.
    pub fn short_ids(&self) -> impl ExactSizeIterator<Item = u64> + Clone + '_ {
        let ids = &self.payload[self.short_ids_at()..][..SHORT_ID * self.short_id_count];
        ids.chunks_exact(SHORT_ID).map(|id| {
            let mut bytes = [0; 8];
            bytes[..SHORT_ID].copy_from_slice(id);
            u64::from_le_bytes(bytes)
        })
    }

    /// Returns the prefilled transactions with their indexes in the block, in ascending order.
    ///
    /// An index may be beyond the end of the block; see [`CompactBlock::check`].
    pub fn prefilled(&self) -> PrefilledTransaction<'_> {
        PrefilledTransaction {
            reader: Reader::new(&self.payload[self.prefilled_at()..]),
            left: self.prefilled_count,
            next_index: 0,
        }
    }

    /// Checks that the message can be a valid block.
    ///
    /// Every index must be below [`transaction_count`](Self::transaction_count), and the short IDs
    /// must fill all gaps between the prefilled transactions. The order of the checks is the node's
    /// (Bitcoin SV node, `src/blockencodings.cpp`, `InitData`).
    ///
    /// # Errors
    ///
    /// - [`CompactBlockError::EmptyHeader`] if the bits of the header are zero.
    /// - [`CompactBlockError::NoTransactions`] if there is no transaction.
    /// - [`CompactBlockError::EmptyTransaction`] if a prefilled transaction has neither inputs nor
    ///   outputs.
    /// - [`CompactBlockError::IndexOutOfRange`] if the index of a prefilled transaction is too
    ///   high.
    pub fn check(&self) -> Result<(), CompactBlockError> {
        if self.header().bits.0 == 0 {
            return Err(CompactBlockError::EmptyHeader);
        }
        if self.transaction_count() == 0 {
            return Err(CompactBlockError::NoTransactions);
        }
        for (limit, (got, transaction)) in (self.short_id_count as u64..).zip(self.prefilled()) {
            if transaction.inputs().len() == 0 && transaction.outputs().len() == 0 {
                return Err(CompactBlockError::EmptyTransaction { index: got });
            }
            if got > limit {
                return Err(CompactBlockError::IndexOutOfRange { limit, got });
            }
        }
        Ok(())
    }

    fn short_ids_at(&self) -> usize {
        COUNTS_AT + compact_size_len(self.short_id_count as u64) as usize
    }

    fn prefilled_at(&self) -> usize {
        let count_at = self.short_ids_at() + SHORT_ID * self.short_id_count;
        count_at + compact_size_len(self.prefilled_count as u64) as usize
    }
}

impl Decode for CompactBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        BlockHeader::decode(reader)?;
        reader.u64("nonce")?;
        let short_id_count = reader.count("short ids", SHORT_ID)?;
        reader.read_bytes("short ids", SHORT_ID * short_id_count)?;
        let prefilled_count = reader.count("prefilled transactions", MIN_PREFILLED)?;
        for _ in 0..prefilled_count {
            reader.compact_size("prefilled index")?;
            TransactionView::read(reader)?;
        }
        Ok(Self {
            payload: reader.shared_since(&start),
            short_id_count,
            prefilled_count,
        })
    }
}

encode_payload!(CompactBlock);

impl fmt::Debug for CompactBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactBlock")
            .field("hash", &self.hash())
            .field("bytes", &self.payload.len())
            .field("short_ids", &self.short_id_count)
            .field("prefilled", &self.prefilled_count)
            .finish()
    }
}

/// An iterator over the prefilled transactions of a compact block.
///
/// Created by [`CompactBlock::prefilled`].
#[derive(Clone, Debug)]
pub struct PrefilledTransaction<'a> {
    reader: Reader<'a>,
    left: usize,
    next_index: u64,
}

impl<'a> Iterator for PrefilledTransaction<'a> {
    type Item = (u64, TransactionView<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the message was created, so decoding cannot fail. The wire
        // form has the number of indexes between this transaction and the previous one.
        let between = self.reader.compact_size("prefilled index").ok()?;
        let transaction = TransactionView::read(&mut self.reader).ok()?;
        let index = self.next_index.saturating_add(between);
        self.next_index = index.saturating_add(1);
        Some((index, transaction))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for PrefilledTransaction<'_> {}

#[cfg(test)]
mod tests;
