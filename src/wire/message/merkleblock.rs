//! `merkleblock`: a block that is reduced to the matches of a filter.

use crate::wire::{
    BlockHeader, Decode, DecodeError, Encode, MatchedTransaction, PartialMerkleTree,
    PartialMerkleTreeError, Reader,
};

/// A block header and the part of the merkle tree that proves the matching transactions.
///
/// It is sent only as the answer to a `getdata` for
/// [`Inventory::FilteredBlock`](crate::wire::Inventory::FilteredBlock). One `tx` for each match
/// follows it. If the receiver has no filter, every transaction matches.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::{Block, MerkleBlock, PartialMerkleTree};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let block = Block::genesis(&Network::Regtest);
/// let matches = block.transactions().map(|tx| (tx.txid(), true));
/// let filtered = MerkleBlock {
///     header: block.header(),
///     tree: PartialMerkleTree::new(matches)?,
/// };
/// for transaction in filtered.verify()? {
///     println!("transaction {} at {}", transaction.txid, transaction.position);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MerkleBlock {
    /// The header of the block.
    pub header: BlockHeader,
    /// The part of the merkle tree.
    pub tree: PartialMerkleTree,
}

impl MerkleBlock {
    /// Checks that the tree belongs to the block, and returns the matching transactions in block
    /// order.
    ///
    /// The proof of work of the header and its position in the chain are not checked.
    ///
    /// # Errors
    ///
    /// The errors of [`PartialMerkleTree::verify`].
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
    fn tree_must_match_header() {
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
