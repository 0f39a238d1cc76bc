//! `cmpctblock`: a block whose transactions are named, not sent.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    Block, BlockHash, BlockHeader, Decode, DecodeError, Encode, Reader, ShortIdKey,
    TransactionView, compact_size_len, write_compact_size,
};

/// A block in compact form, kept as the one buffer in which it arrived.
///
/// Most transactions are there by their short name alone, some are prefilled, the coinbase above all. The buffer is
/// checked once, when the message is made; [`Reconstruction`](crate::wire::Reconstruction) makes a block of it.
#[derive(Clone, PartialEq, Eq)]
pub struct CompactBlock {
    payload: Bytes,
    short_id_count: usize,
    prefilled_count: usize,
}

/// Why a compact block can be no block. The node bans its sender (score 100).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactBlockError {
    /// The header has no target at all.
    #[error("the header is empty: its bits are zero")]
    EmptyHeader,
    /// Not one transaction, not even a coinbase.
    #[error("the compact block has no transactions")]
    NoTransactions,
    /// A prefilled transaction stands where there cannot be one: those before it do not fill the places up to it.
    #[error("prefilled transaction at index {got}, expected at most {limit}")]
    IndexBeyondRange {
        /// The highest index that it could have.
        limit: u64,
        /// Its index.
        got: u64,
    },
    /// A prefilled transaction has neither inputs nor outputs.
    #[error("the prefilled transaction at index {index} is empty")]
    EmptyTransaction {
        /// Its index in the block.
        index: u64,
    },
}

/// How many bytes a short name has.
const SHORT_ID: usize = 6;
/// Where the count of short names stands: behind header and nonce.
const COUNTS_AT: usize = BlockHeader::LEN + 8;
/// The least bytes of a prefilled transaction: index and transaction.
const MIN_PREFILLED: usize = 1 + Block::MIN_TRANSACTION;

impl CompactBlock {
    /// The compact form of a block, with its first transaction prefilled as the node does. Hashes all others.
    ///
    /// `nonce` should be random: who knows it beforehand can make transactions whose short names collide.
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

    /// Takes a payload as a compact block. Bytes behind it are dropped, as the node does.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if a field is not whole. What [`CompactBlock::check`] finds is no reason.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::shared(&payload))
    }

    /// The whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The block's header, read from the payload.
    pub fn header(&self) -> BlockHeader {
        BlockHeader::at_start_of(&self.payload)
    }

    /// The block's name.
    pub fn hash(&self) -> BlockHash {
        self.header().hash()
    }

    /// What the short names depend on beside the header.
    pub fn nonce(&self) -> u64 {
        let at = BlockHeader::LEN;
        Reader::new(&self.payload[at..])
            .u64("nonce")
            .unwrap_or_default()
    }

    /// The key of the short names.
    pub fn short_id_key(&self) -> ShortIdKey {
        ShortIdKey::new(&self.header(), self.nonce())
    }

    /// How many transactions the block has, named and prefilled ones.
    pub fn transaction_count(&self) -> usize {
        self.short_id_count + self.prefilled_count
    }

    /// The short names of the transactions that are not prefilled, in the order of the block.
    pub fn short_ids(&self) -> impl ExactSizeIterator<Item = u64> + Clone + '_ {
        let ids = &self.payload[self.short_ids_at()..][..SHORT_ID * self.short_id_count];
        ids.chunks_exact(SHORT_ID).map(|id| {
            let mut bytes = [0; 8];
            bytes[..SHORT_ID].copy_from_slice(id);
            u64::from_le_bytes(bytes)
        })
    }

    /// The prefilled transactions with their indexes in the block, which ascend.
    ///
    /// An index may lie beyond the block: see [`CompactBlock::check`].
    pub fn prefilled(&self) -> PrefilledTransaction<'_> {
        PrefilledTransaction {
            reader: Reader::new(&self.payload[self.prefilled_at()..]),
            left: self.prefilled_count,
            next_index: 0,
        }
    }

    /// Checks that what is there can be a block at all: every index below
    /// [`transaction_count`](Self::transaction_count), and no gap between the prefilled transactions that the named
    /// ones do not fill.
    ///
    /// # Errors
    ///
    /// [`CompactBlockError`], in the node's order (Bitcoin SV node, `src/blockencodings.cpp`, `InitData`).
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
                return Err(CompactBlockError::IndexBeyondRange { limit, got });
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
        reader.take("short ids", SHORT_ID * short_id_count)?;
        let prefilled_count = reader.count("prefilled transactions", MIN_PREFILLED)?;
        for _ in 0..prefilled_count {
            reader.compact_size("prefilled index")?;
            TransactionView::read(reader)?;
        }
        Ok(Self {
            payload: reader.keep_since(&start),
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

/// The prefilled transactions of a compact block. Made by [`CompactBlock::prefilled`].
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
        // The bytes were checked when the message was made: neither can fail. On the wire stands how many
        // places lie between this transaction and the one before.
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
