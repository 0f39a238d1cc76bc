//! Creates a partial merkle tree from the transactions of a block.

use super::{PartialMerkleTree, PartialMerkleTreeError};
use crate::wire::merkle::tree::{depth, levels};
use crate::wire::{Hash256, Txid};

impl PartialMerkleTree {
    /// Creates the tree from the IDs of all transactions of a block, in order, each with whether it
    /// matches.
    ///
    /// # Errors
    ///
    /// - [`PartialMerkleTreeError::NoTransactions`] if there are no transactions.
    /// - [`PartialMerkleTreeError::TooManyTransactions`] if there are more than 2^32 - 1.
    pub fn new(
        transactions: impl IntoIterator<Item = (Txid, bool)>,
    ) -> Result<Self, PartialMerkleTreeError> {
        let (leaves, matches): (Vec<[u8; 32]>, Vec<bool>) = transactions
            .into_iter()
            .map(|(txid, matches)| (txid.0, matches))
            .unzip();
        if leaves.is_empty() {
            return Err(PartialMerkleTreeError::NoTransactions);
        }
        let got = leaves.len();
        let total_transactions =
            u32::try_from(got).map_err(|_| PartialMerkleTreeError::TooManyTransactions { got })?;
        let mut build = Build {
            levels: levels(leaves),
            matches: match_levels(matches),
            hashes: Vec::new(),
            flags: Vec::new(),
            flag_count: 0,
        };
        build.visit(depth(total_transactions), 0);
        Ok(Self {
            total_transactions,
            hashes: build.hashes,
            flags: build.flags,
        })
    }
}

/// The state of the visit that writes a tree.
struct Build {
    levels: Vec<Vec<[u8; 32]>>,
    matches: Vec<Vec<bool>>,
    hashes: Vec<Hash256>,
    flags: Vec<u8>,
    flag_count: usize,
}

impl Build {
    fn visit(&mut self, level: u32, position: usize) {
        let leads_to_match = self.matches[level as usize][position];
        self.push_flag(leads_to_match);
        if level == 0 || !leads_to_match {
            let hash = self.levels[level as usize][position];
            self.hashes.push(Hash256(hash));
            return;
        }
        self.visit(level - 1, 2 * position);
        if 2 * position + 1 < self.levels[level as usize - 1].len() {
            self.visit(level - 1, 2 * position + 1);
        }
    }

    fn push_flag(&mut self, flag: bool) {
        let bit = self.flag_count % 8;
        if bit == 0 {
            self.flags.push(0);
        }
        if let Some(byte) = self.flags.last_mut() {
            *byte |= u8::from(flag) << bit;
        }
        self.flag_count += 1;
    }
}

/// Returns for each node of each level whether a match is below it.
fn match_levels(leaves: Vec<bool>) -> Vec<Vec<bool>> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let above = below.chunks(2).map(|pair| pair.contains(&true));
        levels.push(above.collect());
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_without_matches_has_only_the_root() {
        let txids = [1, 2, 3].map(|n| Txid([n; 32]));
        let (root, _) = crate::wire::merkle_root(txids);
        let tree = PartialMerkleTree::new(txids.map(|txid| (txid, false)));
        let alone = PartialMerkleTree {
            total_transactions: 3,
            hashes: vec![root.into()],
            flags: vec![0],
        };
        assert_eq!(tree, Ok(alone));
    }

    #[test]
    fn tree_with_all_matches_has_all_transactions() {
        let txids = [1, 2, 3, 4, 5].map(|n| Txid([n; 32]));
        let tree = PartialMerkleTree::new(txids.map(|txid| (txid, true))).unwrap();
        assert_eq!(tree.hashes, txids.map(Hash256::from));
        // Eleven nodes: the last transaction has two ancestors with only one child.
        assert_eq!(tree.flags, [0xff, 0x07]);
    }

    #[test]
    fn there_is_no_tree_over_no_transactions() {
        assert_eq!(
            PartialMerkleTree::new([]),
            Err(PartialMerkleTreeError::NoTransactions)
        );
    }
}
