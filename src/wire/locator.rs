//! Block locators: the heights of the blocks by which a peer finds the fork of two chains.

/// The number of hashes at consecutive heights, including the tip.
const DENSE_HASHES: usize = 11;

/// Returns the heights of the blocks in a locator, for a chain whose tip has the height `tip`.
///
/// The newest block comes first and the genesis block last. The first steps are one block, and each
/// later step is twice as long as the one before. Source: Bitcoin SV node, `src/chain.cpp`,
/// `GetLocator`.
/// ```
/// let heights: Vec<u32> = bsv_p2p::wire::locator_heights(20).collect();
/// assert_eq!(heights, [20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 7, 3, 0]);
/// ```
pub fn locator_heights(tip: u32) -> impl Iterator<Item = u32> {
    let (mut given, mut step) = (1, 1);
    std::iter::successors(Some(tip), move |&height| {
        if height == 0 {
            return None;
        }
        let next = height.saturating_sub(step);
        // The first step after the dense hashes is still 1, because the node doubles it afterwards.
        if given >= DENSE_HASHES {
            step = step.saturating_mul(2);
        }
        given += 1;
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locator_steps_double_after_dense_heights() {
        let heights = |tip| locator_heights(tip).collect::<Vec<_>>();
        let dense = |from: u32, to: u32| (to..=from).rev().collect::<Vec<_>>();
        for tip in [0, 1, 11, 12] {
            assert_eq!(heights(tip), dense(tip, 0));
        }
        assert_eq!(heights(13), [dense(13, 2), vec![0]].concat());
        assert_eq!(heights(30), [dense(30, 19), vec![17, 13, 5, 0]].concat());
        let steps = vec![987, 983, 975, 959, 927, 863, 735, 479, 0];
        assert_eq!(heights(1000), [dense(1000, 989), steps].concat());
    }

    #[test]
    fn locator_of_longest_chain_is_short() {
        assert_eq!(locator_heights(u32::MAX).count(), 43);
        assert_eq!(locator_heights(u32::MAX).last(), Some(0));
    }
}
