//! `getblocktxn`: requests transactions that a compact block does not contain.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    BlockHash, Decode, DecodeError, Encode, Reader, compact_size_len, write_compact_size,
};

/// The offset of the count of indexes, which follows the block hash.
const COUNT_AT: usize = 32;

/// Requests transactions of a block by their indexes. Kept in the buffer in which it arrived.
///
/// A node answers with [`BlockTransactions`](crate::wire::BlockTransactions). It sends the whole
/// `block` instead if the block is more than 10 below its tip. It also does so if more than 99 % of
/// the transactions are requested. It does not answer if it does not have the block. Source:
/// Bitcoin SV node, `src/net/net_processing.cpp`.
#[derive(Clone, PartialEq, Eq)]
pub struct GetBlockTxn {
    payload: Bytes,
    block: BlockHash,
    index_count: usize,
}

/// The error of indexes that are not ascending. The wire form cannot represent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an index above {before}, got {got}")]
#[non_exhaustive]
pub struct IndexesNotAscending {
    /// The previous index.
    pub before: u32,
    /// The index that is not higher than the previous one.
    pub got: u32,
}

impl GetBlockTxn {
    /// Creates a request for the transactions of `block` at these indexes, counted from 0.
    ///
    /// # Errors
    ///
    /// [`IndexesNotAscending`] if an index is not higher than the previous one.
    pub fn new(block: BlockHash, indexes: &[u32]) -> Result<Self, IndexesNotAscending> {
        match indexes.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(IndexesNotAscending {
                before: pair[0],
                got: pair[1],
            }),
            None => Ok(Self::from_ascending(block, indexes)),
        }
    }

    /// Like [`GetBlockTxn::new`], for indexes that are known to be ascending.
    pub(in crate::wire) fn from_ascending(block: BlockHash, indexes: &[u32]) -> Self {
        let mut payload = Vec::with_capacity(COUNT_AT + 5 + indexes.len());
        block.encode(&mut payload);
        write_compact_size(indexes.len() as u64, &mut payload);
        let mut next = 0;
        for &index in indexes {
            // The wire form has the number of indexes between this index and the previous one.
            write_compact_size(u64::from(index) - next, &mut payload);
            next = u64::from(index) + 1;
        }
        Self {
            payload: payload.into(),
            block,
            index_count: indexes.len(),
        }
    }

    /// Returns the whole message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the hash of the block.
    pub fn block(&self) -> BlockHash {
        self.block
    }

    /// Returns the indexes in ascending order, counted from 0.
    pub fn indexes(&self) -> Indexes<'_> {
        let at = COUNT_AT + compact_size_len(self.index_count as u64) as usize;
        Indexes {
            reader: Reader::new(&self.payload[at..]),
            left: self.index_count,
            next: 0,
        }
    }
}

encode_payload!(GetBlockTxn);

impl fmt::Debug for GetBlockTxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetBlockTxn")
            .field("block", &self.block)
            .field("index_count", &self.index_count)
            .finish()
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
            payload: reader.shared_since(&start),
            block,
            index_count,
        })
    }
}

/// Reads an index, which is at least `next`.
fn read_index(reader: &mut Reader<'_>, next: u64) -> Result<u32, DecodeError> {
    let got = next + reader.compact_size("index")?;
    u32::try_from(got).map_err(|_| DecodeError::InvalidValue {
        field: "index",
        expected: "at most 4294967295",
        got,
    })
}

/// An iterator over the indexes of a `getblocktxn`, in order.
///
/// Created by [`GetBlockTxn::indexes`].
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
        // The bytes were checked when the message was created: this cannot fail.
        let index = read_index(&mut self.reader, self.next).ok()?;
        self.next = u64::from(index) + 1;
        Some(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Indexes<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn indexes_are_encoded_as_differences() {
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
    fn index_above_32_bits_is_rejected() {
        for (numbers, got) in [
            (&[0xffff_ffff, 0][..], 0x1_0000_0000),
            (&[0, 0xffff_ffff], 0x1_0000_0000),
            (&[0xffff_ffff, 0xffff_ffff], 0x1_ffff_ffff),
        ] {
            assert_eq!(
                GetBlockTxn::decode_from(&wire(numbers)),
                Err(DecodeError::InvalidValue {
                    field: "index",
                    expected: "at most 4294967295",
                    got
                })
            );
        }
    }

    #[test]
    fn indexes_that_do_not_ascend_are_rejected() {
        for (before, got) in [(3, 3), (3, 2), (u32::MAX, 0)] {
            assert_eq!(
                GetBlockTxn::new(BLOCK, &[before, got]),
                Err(IndexesNotAscending { before, got })
            );
        }
    }
}
