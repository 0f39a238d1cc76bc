//! Incremental computation of a merkle root.

use crate::wire::hash::merkle_parent;
use crate::wire::{MerkleRoot, Txid};

/// Returns the merkle root of `txids` and whether the tree has equal siblings.
///
/// The root of an empty list is zero. If two siblings that are hashed together are equal, another
/// list of transactions has the same root. Such a block must not be recorded as invalid by its hash
/// (CVE-2012-2459; Bitcoin SV node, `src/consensus/merkle.cpp`).
pub fn merkle_root(txids: impl IntoIterator<Item = Txid>) -> (MerkleRoot, bool) {
    let mut tree = MerkleAccumulator::new();
    txids.into_iter().for_each(|txid| tree.push(txid));
    tree.root()
}

/// Computes a merkle root from leaves that are added one by one.
///
/// Needs about 2 KiB of memory for any number of leaves: one node of each level.
///
/// ```
/// use bsv_p2p::wire::{MerkleAccumulator, Txid, merkle_root};
///
/// let txids = [1, 2, 3].map(|n| Txid([n; 32]));
/// let mut tree = MerkleAccumulator::new();
/// for txid in txids {
///     tree.push(txid);
/// }
/// assert_eq!(tree.root(), merkle_root(txids));
/// ```
#[derive(Clone, Debug)]
pub struct MerkleAccumulator {
    /// The number of leaves. A set bit means that the node of its level has no right sibling yet.
    leaves: u64,
    waiting: [[u8; 32]; u64::BITS as usize],
    mutated: bool,
}

impl MerkleAccumulator {
    /// Creates a tree without leaves.
    pub fn new() -> Self {
        Self {
            leaves: 0,
            waiting: [[0; 32]; u64::BITS as usize],
            mutated: false,
        }
    }

    /// Adds the next leaf. Hashes one pair of nodes for each leaf on average.
    #[inline]
    pub fn push(&mut self, leaf: Txid) {
        let mut node = leaf.0;
        let complete = self.leaves.trailing_ones() as usize;
        for left in &self.waiting[..complete] {
            self.mutated |= *left == node;
            node = merkle_parent(left, &node);
        }
        // No tree has 2^64 leaves, so `complete` is a valid index.
        self.waiting[complete] = node;
        self.leaves += 1;
    }

    /// Returns the number of leaves.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// Returns whether the tree has no leaves.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// Returns the root of the current leaves and whether the tree has equal siblings.
    ///
    /// The result is that of [`merkle_root`]. A last node without a sibling is paired with itself.
    pub fn root(&self) -> (MerkleRoot, bool) {
        let Some(top) = self.leaves.checked_ilog2() else {
            return (MerkleRoot::ZERO, false);
        };
        let lowest = self.leaves.trailing_zeros();
        let mut node = self.waiting[lowest as usize];
        // A node that is paired with itself equals its left sibling only if the two nodes below
        // that are equal. `push` has detected that, so no comparison is needed here.
        for level in lowest..top {
            // At the lowest level, the stored node is `node` itself.
            let waits = level > lowest && self.leaves >> level & 1 == 1;
            let left = if waits {
                self.waiting[level as usize]
            } else {
                node
            };
            node = merkle_parent(&left, &node);
        }
        if lowest < top {
            node = merkle_parent(&self.waiting[top as usize], &node);
        }
        (MerkleRoot(node), self.mutated)
    }
}

impl Default for MerkleAccumulator {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Computes the tree level by level, like `ComputeMerkleRoot` of the node.
    fn by_levels(txids: &[Txid]) -> (MerkleRoot, bool) {
        let mut level: Vec<[u8; 32]> = txids.iter().map(|txid| txid.0).collect();
        let mut mutated = false;
        while level.len() > 1 {
            mutated |= level.chunks_exact(2).any(|pair| pair[0] == pair[1]);
            let above = |pair: &[[u8; 32]]| merkle_parent(&pair[0], &pair[pair.len() - 1]);
            level = level.chunks(2).map(above).collect();
        }
        let root = level.first().copied().unwrap_or_default();
        (MerkleRoot(root), mutated)
    }

    fn txid(n: u32) -> Txid {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        Txid(bytes)
    }

    #[test]
    fn root_after_each_leaf_matches_level_computation() {
        let leaves: Vec<Txid> = (0..300).map(txid).collect();
        let mut tree = MerkleAccumulator::new();
        for count in 0..leaves.len() {
            assert_eq!(tree.root(), by_levels(&leaves[..count]), "{count} leaves");
            assert_eq!((tree.len(), tree.is_empty()), (count as u64, count == 0));
            tree.push(leaves[count]);
        }
    }

    #[test]
    fn equal_siblings_mark_tree_as_mutated() {
        let [a, b, c] = [1, 2, 3].map(txid);
        let (root, mutated) = merkle_root([a, b, c]);
        assert!(!mutated);
        let (same_root, mutated) = merkle_root([a, b, c, c]);
        assert!(mutated, "the duplicate of the last transaction is noticed");
        assert_eq!(root, same_root);
        assert_eq!(merkle_root([a]).0.0, a.0);
        assert_eq!(merkle_root([]), (MerkleRoot::ZERO, false));
        // Two of six leaves are repeated: the pairs are equal, but not the leaves in a pair.
        let six = [0, 1, 2, 3, 4, 5].map(txid);
        let eight = [0, 1, 2, 3, 4, 5, 4, 5].map(txid);
        assert!(!merkle_root(six).1);
        assert_eq!(merkle_root(eight), (merkle_root(six).0, true));
    }

    proptest! {
        #[test]
        fn repeated_leaves_match_level_computation(
            leaves in prop::collection::vec(0..3_u32, 0..70)
        ) {
            let leaves: Vec<Txid> = leaves.into_iter().map(txid).collect();
            prop_assert_eq!(merkle_root(leaves.iter().copied()), by_levels(&leaves));
        }
    }
}
