//! `merkleblock`: a block without the transactions that a filter does not match.

use crate::wire::{
    BlockHeader, Decode, DecodeError, Encode, MatchedTransaction, PartialMerkleTree,
    PartialMerkleTreeError, Reader,
};

/// A block's header and the part of its merkle tree that leads to the transactions which match the receiver's filter.
///
/// It comes only as an answer to a `getdata` for [`Inventory::FilteredBlock`](crate::wire::Inventory::FilteredBlock), and a
/// `tx` for each match follows it. Without a filter everything matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MerkleBlock {
    /// The header.
    pub header: BlockHeader,
    /// The part of the tree.
    pub tree: PartialMerkleTree,
}

impl MerkleBlock {
    /// Checks that the tree is part of the block's, and lists the transactions that matched, in the block's order.
    ///
    /// That the header has proof of work and stands in the chain is not checked.
    ///
    /// # Errors
    ///
    /// Those of [`PartialMerkleTree::verify`].
    pub fn verify(&self) -> Result<Vec<MatchedTransaction>, PartialMerkleTreeError> {
        self.tree.verify(self.header.merkle_root)
    }
}

impl Decode for Box<MerkleBlock> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        MerkleBlock::decode(reader).map(Box::new)
    }
}

impl Encode for Box<MerkleBlock> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_len(&self) -> u64 {
        (**self).encoded_len()
    }
}

impl From<MerkleBlock> for super::Message {
    fn from(content: MerkleBlock) -> Self {
        super::Message::MerkleBlock(Box::new(content))
    }
}

impl Decode for MerkleBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            header: Decode::decode(reader)?,
            tree: Decode::decode(reader)?,
        })
    }
}

impl Encode for MerkleBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        self.tree.encode(out);
    }

    fn encoded_len(&self) -> u64 {
        self.header.encoded_len() + self.tree.encoded_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::Block;

    #[test]
    fn a_merkleblock_is_checked_against_its_own_header() {
        let block = Block::genesis(&Network::Regtest);
        let txid = block.transactions().next().unwrap().txid();
        let mut filtered = MerkleBlock {
            header: block.header(),
            tree: PartialMerkleTree::new([(txid, true)]).unwrap(),
        };
        let position = 0;
        assert_eq!(
            filtered.verify(),
            Ok(vec![MatchedTransaction { position, txid }])
        );
        filtered.header.merkle_root.0[0] ^= 1;
        assert!(matches!(
            filtered.verify(),
            Err(PartialMerkleTreeError::RootMismatch { .. })
        ));
    }
}
