//! The root of a merkle tree whose leaves come one by one.

use crate::wire::hash::merkle_parent;
use crate::wire::{MerkleRoot, Txid};

/// The root of the merkle tree over `txids`; zero for an empty list.
///
/// `mutated` of the result tells whether two neighbours that are hashed together are equal somewhere
/// in the tree: then another list of transactions has the same root, and the block must not be kept
/// as invalid under that hash (CVE-2012-2459; Bitcoin SV node, `src/consensus/merkle.cpp`).
pub fn merkle_root(txids: impl IntoIterator<Item = Txid>) -> (MerkleRoot, bool) {
    let mut tree = MerkleAccumulator::new();
    txids.into_iter().for_each(|txid| tree.push(txid));
    tree.root()
}

/// A merkle tree that takes its leaves one by one and keeps one node of each level, about 2 KiB, however many leaves
/// there are.
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
    /// How many leaves came. A bit that is set means that the node of its level waits for its right neighbour.
    leaves: u64,
    waiting: [[u8; 32]; u64::BITS as usize],
    mutated: bool,
}

impl MerkleAccumulator {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self {
            leaves: 0,
            waiting: [[0; 32]; u64::BITS as usize],
            mutated: false,
        }
    }

    /// Adds the next leaf. Hashes two nodes for every second leaf, and so on upwards: one pair for each leaf on average.
    #[inline]
    pub fn push(&mut self, leaf: Txid) {
        let mut node = leaf.0;
        let complete = self.leaves.trailing_ones() as usize;
        for left in &self.waiting[..complete] {
            self.mutated |= *left == node;
            node = merkle_parent(left, &node);
        }
        // 2^64 leaves cannot be: nobody lives to hash them.
        self.waiting[complete] = node;
        self.leaves += 1;
    }

    /// How many leaves have come.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// Whether no leaf has come.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// The root over the leaves that have come, and whether neighbours are equal somewhere, as
    /// [`merkle_root`] tells it. A last node without a neighbour is paired with itself.
    pub fn root(&self) -> (MerkleRoot, bool) {
        let Some(top) = self.leaves.checked_ilog2() else {
            return (MerkleRoot::ZERO, false);
        };
        let lowest = self.leaves.trailing_zeros();
        let mut node = self.waiting[lowest as usize];
        // A node that is paired with itself equals its left neighbour only if the two below that are equal too, which has
        // been noticed when they came: nothing is left to compare here.
        for level in lowest..top {
            // The first is `node` itself.
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

    /// The tree level by level, as the node's `ComputeMerkleRoot` describes it.
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
    fn the_root_after_every_leaf_is_that_of_the_tree_level_by_level() {
        let leaves: Vec<Txid> = (0..300).map(txid).collect();
        let mut tree = MerkleAccumulator::new();
        for count in 0..leaves.len() {
            assert_eq!(tree.root(), by_levels(&leaves[..count]), "{count} leaves");
            assert_eq!((tree.len(), tree.is_empty()), (count as u64, count == 0));
            tree.push(leaves[count]);
        }
    }

    #[test]
    fn a_merkle_tree_with_equal_neighbours_is_noticed() {
        let [a, b, c] = [1, 2, 3].map(txid);
        let (root, mutated) = merkle_root([a, b, c]);
        assert!(!mutated);
        let (same_root, mutated) = merkle_root([a, b, c, c]);
        assert!(mutated, "the duplicate of the last transaction is noticed");
        assert_eq!(root, same_root);
        assert_eq!(merkle_root([a]).0.0, a.0);
        assert_eq!(merkle_root([]), (MerkleRoot::ZERO, false));
        // Two of six stand again: the pairs are equal, and not the leaves beside each other.
        let six = [0, 1, 2, 3, 4, 5].map(txid);
        let eight = [0, 1, 2, 3, 4, 5, 4, 5].map(txid);
        assert!(!merkle_root(six).1);
        assert_eq!(merkle_root(eight), (merkle_root(six).0, true));
    }

    proptest! {
        #[test]
        fn leaves_of_few_kinds_repeat_themselves_just_as_level_by_level(
            leaves in prop::collection::vec(0..3_u32, 0..70)
        ) {
            let leaves: Vec<Txid> = leaves.into_iter().map(txid).collect();
            prop_assert_eq!(merkle_root(leaves.iter().copied()), by_levels(&leaves));
        }
    }
}
