//! A complete merkle tree, from which proofs are created.

use crate::wire::hash::merkle_parent;

/// Returns the number of levels above the leaves: 0 for one leaf, 2 for three.
pub(in crate::wire) const fn depth(leaves: u32) -> u32 {
    match leaves.checked_sub(1) {
        Some(last) => u32::BITS - last.leading_zeros(),
        None => 0,
    }
}

/// Returns the number of nodes of a level. The leaves are level 0.
pub(super) fn width(leaves: u32, level: u32) -> u64 {
    u64::from(leaves).div_ceil(1 << level)
}

/// Returns all nodes, level by level from the leaves to the root.
///
/// A last node without a sibling is paired with itself and listed once. There must be at least one
/// leaf.
pub(super) fn levels(leaves: Vec<[u8; 32]>) -> Vec<Vec<[u8; 32]>> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let above = below
            .chunks(2)
            .map(|pair| merkle_parent(&pair[0], pair.last().unwrap_or(&pair[0])));
        levels.push(above.collect());
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Txid, merkle_root};

    #[test]
    fn depth_and_width_match_leaf_count() {
        for (leaves, levels) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (8, 3),
            (9, 4),
        ] {
            assert_eq!(depth(leaves), levels, "{leaves}");
        }
        assert_eq!(depth(u32::MAX), 32);
        assert_eq!(depth(1 << 31), 31);
        assert_eq!(depth((1 << 31) + 1), 32);
        assert_eq!((width(u32::MAX, 1), width(u32::MAX, 32)), (1 << 31, 1));
    }

    #[test]
    fn top_level_is_merkle_root() {
        for count in 1..40_u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|n| [n; 32]).collect();
            let (root, _) = merkle_root(leaves.iter().copied().map(Txid));
            let levels = levels(leaves);
            assert_eq!(levels.len() as u32, 1 + depth(u32::from(count)));
            assert_eq!(levels.last(), Some(&vec![root.0]));
            let widths = (0..).map(|level| width(u32::from(count), level));
            assert!(
                levels
                    .iter()
                    .map(|level| level.len() as u64)
                    .eq(widths.take(levels.len()))
            );
        }
    }
}
