//! `dsdetected`: a report of a double spend in different forks.

// The first module: rustdoc lists the methods of child modules first, in the order of the modules.
mod create;

mod age;
mod block;
mod error;
#[cfg(test)]
#[path = "tests/forks.rs"]
mod forks;
mod verify;

pub use error::DsDetectedError;

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{BlockHeader, Decode, DecodeError, Encode, MerkleProof, Reader};

/// Proves that transactions in blocks of different forks spend the same output.
///
/// The message is kept in the buffer in which it arrived. When it is created, the buffer is checked
/// once for completeness and for version 1. [`DsDetected::verify`] checks the content. The blocks
/// of [`DsDetected::blocks`] share the buffer, so a transaction of them keeps the whole message in
/// memory.
///
/// Nodes relay it to all other peers and never create one.
#[derive(Clone, PartialEq, Eq)]
pub struct DsDetected {
    payload: Bytes,
}

/// One of the blocks with a conflicting transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DsDetectedBlock {
    /// The headers of the fork, newest first: from the block with the transaction to the child of
    /// the ancestor that all forks share.
    pub headers: Vec<BlockHeader>,
    /// The full transaction and the proof that it is in the first block.
    pub proof: MerkleProof,
}

impl DsDetected {
    /// Returns the message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the blocks, in the order of the message. Transactions and proofs are not copied.
    pub fn blocks(&self) -> DsDetectedBlocks<'_> {
        let mut reader = Reader::from_shared(&self.payload);
        // The bytes were checked when the message was created: this cannot fail.
        let left = read_count(&mut reader).unwrap_or(0);
        DsDetectedBlocks { reader, left }
    }
}

/// Reads the version and the number of blocks.
fn read_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let version = u16::from_le_bytes(reader.array("dsdetected version")?);
    if version != DsDetected::VERSION {
        return Err(DecodeError::InvalidValue {
            field: "dsdetected version",
            expected: "1",
            got: u64::from(version),
        });
    }
    reader.count("blocks", DsDetectedBlock::MIN_LEN)
}

impl DsDetectedBlock {
    /// The minimum length of an entry: a count and a proof.
    const MIN_LEN: usize = 1 + MerkleProof::MIN_LEN;
}

impl Decode for DsDetected {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let count = read_count(reader)?;
        for _ in 0..count {
            DsDetectedBlock::decode(reader)?;
        }
        Ok(Self {
            payload: reader.shared_since(&start),
        })
    }
}

encode_payload!(DsDetected);

impl Decode for DsDetectedBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let headers = super::decode_list(reader, "headers", BlockHeader::LEN)?;
        let proof = MerkleProof::decode(reader)?;
        Ok(Self { headers, proof })
    }
}

impl Encode for DsDetectedBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        super::encode_list(&self.headers, out);
        self.proof.encode(out);
    }

    fn encoded_len(&self) -> u64 {
        super::list_len(self.headers.len(), BlockHeader::LEN as u64) + self.proof.encoded_len()
    }
}

impl fmt::Debug for DsDetected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.blocks()).finish()
    }
}

/// An iterator over the blocks of a `dsdetected`, in order.
///
/// Created by [`DsDetected::blocks`].
#[derive(Clone, Debug)]
pub struct DsDetectedBlocks<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl Iterator for DsDetectedBlocks<'_> {
    type Item = DsDetectedBlock;

    fn next(&mut self) -> Option<DsDetectedBlock> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the message was created: this cannot fail.
        DsDetectedBlock::decode(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for DsDetectedBlocks<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{Transaction, Tx};

    fn block() -> DsDetectedBlock {
        let tx = Tx::from(&Transaction::default());
        let proof = MerkleProof::for_merkle_root(&[tx.txid()], 0).unwrap();
        DsDetectedBlock {
            headers: vec![BlockHeader::genesis(&Network::Regtest)],
            proof: proof.with_transaction(tx).unwrap(),
        }
    }

    #[test]
    fn any_number_of_blocks_and_headers_is_accepted() {
        for (blocks, headers) in [(0, 0), (1, 0), (2, 1), (300, 3)] {
            let block = DsDetectedBlock {
                headers: vec![block().headers[0]; headers],
                ..block()
            };
            let message = DsDetected::new(&vec![block.clone(); blocks]);
            assert_eq!(
                DsDetected::decode_from(message.bytes()),
                Ok(message.clone())
            );
            assert_eq!(message.blocks().len(), blocks);
            assert!(message.blocks().all(|read| read == block));
        }
    }

    #[test]
    fn unknown_version_is_rejected_first() {
        for version in [0, 2, 0x0101_u16] {
            assert_eq!(
                DsDetected::decode_from(&version.to_le_bytes()),
                Err(DecodeError::InvalidValue {
                    field: "dsdetected version",
                    expected: "1",
                    got: u64::from(version)
                })
            );
        }
    }

    #[test]
    fn truncated_message_is_rejected() {
        let message = DsDetected::new(&[block(), block()]);
        for len in 0..message.bytes().len() {
            let cut = DsDetected::decode_from(&message.bytes()[..len]);
            assert!(matches!(cut, Err(DecodeError::Truncated { .. })), "{len}");
        }
    }

    #[test]
    fn transaction_length_is_kept_as_received() {
        let message = DsDetected::new(&[block()]);
        let mut altered = message.bytes().to_vec();
        let at = 3 + 1 + BlockHeader::LEN + 2;
        assert_eq!(altered[at], 10);
        altered[at] = 11;
        let read = DsDetected::decode_from(&altered).unwrap();
        assert_eq!(read.encode_to_vec(), altered);
        assert!(read.blocks().eq(message.blocks()));
    }
}
