//! Verification of a partial merkle tree.

use super::{MatchedTransaction, PartialMerkleTree, PartialMerkleTreeError};
use crate::wire::hash::merkle_parent;
use crate::wire::merkle::tree::{depth, width};
use crate::wire::{MerkleRoot, Txid};

impl PartialMerkleTree {
    /// Verifies the tree against the merkle root of a block and returns the matches, in the order
    /// of the block.
    ///
    /// The work is bounded by the number of hashes, whatever number of transactions the tree
    /// claims.
    ///
    /// # Errors
    ///
    /// - [`PartialMerkleTreeError::NoTransactions`] if the block has no transactions.
    /// - [`PartialMerkleTreeError::TooManyHashes`] or [`PartialMerkleTreeError::TooFewFlags`] if
    ///   the counts contradict each other.
    /// - [`PartialMerkleTreeError::OutOfFlags`] or [`PartialMerkleTreeError::OutOfHashes`] if the
    ///   tree is incomplete.
    /// - [`PartialMerkleTreeError::UnusedFlags`] or [`PartialMerkleTreeError::UnusedHashes`] if the
    ///   tree has more than the visit uses.
    /// - [`PartialMerkleTreeError::EqualNodes`] if both children of a node are equal.
    /// - [`PartialMerkleTreeError::RootMismatch`] if the tree has another root.
    pub fn verify(
        &self,
        root: MerkleRoot,
    ) -> Result<Vec<MatchedTransaction>, PartialMerkleTreeError> {
        let (hashes, bytes) = (self.hashes.len(), self.flags.len());
        let bits = bytes.saturating_mul(8);
        if self.total_transactions == 0 {
            return Err(PartialMerkleTreeError::NoTransactions);
        }
        if hashes as u64 > u64::from(self.total_transactions) {
            return Err(PartialMerkleTreeError::TooManyHashes {
                transactions: self.total_transactions,
                got: hashes,
            });
        }
        if bits < hashes {
            return Err(PartialMerkleTreeError::TooFewFlags { hashes, got: bits });
        }
        let mut visitor = TreeVisitor {
            tree: self,
            flags_used: 0,
            hashes_used: 0,
            matches: Vec::new(),
        };
        let got = MerkleRoot(visitor.visit(depth(self.total_transactions), 0)?);
        let needed = visitor.flags_used.div_ceil(8);
        if needed < bytes {
            return Err(PartialMerkleTreeError::UnusedFlags { needed, got: bytes });
        }
        let needed = visitor.hashes_used;
        if needed < hashes {
            return Err(PartialMerkleTreeError::UnusedHashes {
                needed,
                got: hashes,
            });
        }
        if got != root {
            return Err(PartialMerkleTreeError::RootMismatch {
                expected: root,
                got,
            });
        }
        Ok(visitor.matches)
    }
}

/// The state of the visit that reads a tree, at most 32 levels deep.
struct TreeVisitor<'a> {
    tree: &'a PartialMerkleTree,
    flags_used: usize,
    hashes_used: usize,
    matches: Vec<MatchedTransaction>,
}

impl TreeVisitor<'_> {
    fn visit(&mut self, level: u32, position: u32) -> Result<[u8; 32], PartialMerkleTreeError> {
        let leads_to_match = self.flag()?;
        if level == 0 || !leads_to_match {
            let hash = self.hash()?;
            if leads_to_match {
                let txid = Txid(hash);
                self.matches.push(MatchedTransaction { position, txid });
            }
            return Ok(hash);
        }
        // Positions are below `total_transactions` and fit into 32 bits. The right child is checked
        // before its position is computed.
        let left = self.visit(level - 1, 2 * position)?;
        let has_right =
            u64::from(position) * 2 + 1 < width(self.tree.total_transactions, level - 1);
        if !has_right {
            return Ok(merkle_parent(&left, &left));
        }
        let right = self.visit(level - 1, 2 * position + 1)?;
        if left == right {
            return Err(PartialMerkleTreeError::EqualNodes { level, position });
        }
        Ok(merkle_parent(&left, &right))
    }

    fn flag(&mut self) -> Result<bool, PartialMerkleTreeError> {
        let at = self.flags_used;
        let flags = &self.tree.flags;
        let byte = flags
            .get(at / 8)
            .ok_or(PartialMerkleTreeError::OutOfFlags {
                got: flags.len() * 8,
            })?;
        self.flags_used += 1;
        Ok(byte >> (at % 8) & 1 == 1)
    }

    fn hash(&mut self) -> Result<[u8; 32], PartialMerkleTreeError> {
        let hashes = &self.tree.hashes;
        let hash = hashes
            .get(self.hashes_used)
            .ok_or(PartialMerkleTreeError::OutOfHashes { got: hashes.len() })?;
        self.hashes_used += 1;
        Ok(hash.0)
    }
}

#[cfg(test)]
mod tests;
