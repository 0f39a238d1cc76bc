//! Partial merkle trees: the part of the tree of a block that leads to some of its transactions.

mod build;
mod error;
mod verify;

pub use error::PartialMerkleTreeError;

use crate::wire::hex_debug::impl_hex_debug;
use crate::wire::{
    Decode, DecodeError, Encode, Hash256, Reader, Txid, compact_size_len, write_compact_size,
};

/// The branches of a merkle tree that lead to the transactions that match a filter (BIP37).
///
/// The nodes are visited depth first, left before right. A flag for each visited node says whether
/// a match is below it. A hash represents each node without a match, and each leaf that is visited.
///
/// Decoding accepts any values. [`PartialMerkleTree::verify`] checks them.
///
/// The depth of the tree follows from the number of transactions, which is a claim of the sender.
/// An inner node can therefore be presented as a transaction. A caller must not accept a matched
/// txid without its transaction.
///
/// ```
/// use bsv_p2p::wire::{PartialMerkleTree, Txid, merkle_root};
///
/// let txids = [1, 2, 3].map(|n| Txid([n; 32]));
/// let tree = PartialMerkleTree::new(txids.map(|txid| (txid, txid == txids[2])))?;
/// let (root, _) = merkle_root(txids);
/// let matched = tree.verify(root)?;
/// assert_eq!((matched[0].position, matched[0].txid), (2, txids[2]));
/// # Ok::<_, bsv_p2p::wire::PartialMerkleTreeError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PartialMerkleTree {
    /// The number of transactions in the block.
    pub total_transactions: u32,
    /// The hashes, in the order of the visit.
    pub hashes: Vec<Hash256>,
    /// The flags, in the order of the visit.
    ///
    /// The first flag is the lowest bit of the first byte. The last byte is padded with zeros.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub flags: Vec<u8>,
}

impl_hex_debug!(PartialMerkleTree {
    total_transactions: as_debug,
    hashes: as_debug,
    flags: hex
});

/// A transaction that matches the filter of a partial merkle tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MatchedTransaction {
    /// The index of the transaction in the block, from 0.
    pub position: u32,
    /// The ID of the transaction.
    pub txid: Txid,
}

impl Decode for PartialMerkleTree {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let total_transactions = reader.u32("total transactions")?;
        let count = reader.count("hashes", 32)?;
        let mut hashes = Vec::with_capacity(count);
        for _ in 0..count {
            hashes.push(Hash256::decode(reader)?);
        }
        Ok(Self {
            total_transactions,
            hashes,
            flags: reader.var_bytes("flag bytes", u64::MAX)?.to_vec(),
        })
    }
}

impl Encode for PartialMerkleTree {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.total_transactions.to_le_bytes());
        write_compact_size(self.hashes.len() as u64, out);
        for hash in &self.hashes {
            hash.encode(out);
        }
        write_compact_size(self.flags.len() as u64, out);
        out.extend_from_slice(&self.flags);
    }

    fn encoded_len(&self) -> u64 {
        let (hashes, flags) = (self.hashes.len() as u64, self.flags.len() as u64);
        4 + compact_size_len(hashes) + 32 * hashes + compact_size_len(flags) + flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_numbers_are_read_and_written_back() {
        let tree = PartialMerkleTree {
            total_transactions: u32::MAX,
            hashes: vec![Hash256([7; 32]); 3],
            flags: vec![0xff; 2],
        };
        let bytes = tree.encode_to_vec();
        assert_eq!(bytes.len() as u64, tree.encoded_len());
        assert_eq!(PartialMerkleTree::decode_from(&bytes), Ok(tree));
    }

    #[test]
    fn counts_beyond_payload_are_rejected() {
        let many = [0xfe, 0xff, 0xff, 0xff, 0xff];
        let hashes = [&[1, 0, 0, 0][..], &many, &[0; 100]].concat();
        let flags = [&[1, 0, 0, 0, 0][..], &many, &[0; 100]].concat();
        for (bytes, field) in [(hashes, "hashes"), (flags, "flag bytes")] {
            let refused = PartialMerkleTree::decode_from(&bytes);
            assert!(
                matches!(refused, Err(DecodeError::Truncated { field: at, left: 100, .. }) if at == field)
            );
        }
    }
}
