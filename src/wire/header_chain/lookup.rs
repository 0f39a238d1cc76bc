//! Read access to a chain of headers.

use std::collections::HashMap;
use std::iter::FusedIterator;
use std::ops::{Bound, Range, RangeBounds};

use super::HeaderChain;
use crate::network::Network;
use crate::wire::{
    Ancestors, BlockHash, BlockHeader, ChainRuleError, ChainRules, CompactTarget, Work,
    locator_heights,
};

/// The end of the active chain or of a side chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainTip {
    /// The height of the last header.
    pub height: u32,
    /// The hash of the last header.
    pub hash: BlockHash,
    /// The number of headers above the active chain; 0 for the active chain.
    pub branch_len: u32,
    /// The chain work up to and including the last header.
    pub work: Work,
    /// Whether this is the tip of the active chain.
    pub is_active: bool,
}

impl HeaderChain {
    /// Returns the rules by which headers are verified.
    pub fn rules(&self) -> &ChainRules {
        &self.rules
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        self.rules.network()
    }

    /// Returns the height of the first header: 0 unless the chain starts with trusted headers.
    pub fn first_height(&self) -> u32 {
        self.active.first_height()
    }

    /// Returns the height and the hash of the last header of the active chain.
    pub fn tip(&self) -> (u32, BlockHash) {
        self.active.tip()
    }

    /// Returns the work of the active chain.
    ///
    /// Counts from the first header if the chain started with trusted headers of unknown work.
    pub fn total_work(&self) -> Work {
        self.active.work()
    }

    /// Returns whether the chain has the minimum work of its network.
    ///
    /// A chain of unknown work below its first header also qualifies if it contains the last
    /// checkpoint of its rules.
    pub fn has_minimum_work(&self) -> bool {
        let contains_last_checkpoint = || {
            let last = self.rules.checkpoints().last();
            last.is_some_and(|(height, hash)| self.hash_at(*height) == Some(*hash))
        };
        self.total_work() >= self.rules.minimum_work()
            || !self.is_work_known && contains_last_checkpoint()
    }

    /// Returns the headers of the active chain in ascending order of heights.
    ///
    /// The first has the height [`first_height`](Self::first_height). `&HeaderChain` can be
    /// iterated directly as well.
    pub fn iter(&self) -> HeaderIter<'_> {
        self.headers(..)
    }

    /// Returns the headers of the active chain in a range of heights, in ascending order.
    ///
    /// Heights outside of the chain are skipped.
    pub fn headers(&self, heights: impl RangeBounds<u32>) -> HeaderIter<'_> {
        let start = match heights.start_bound() {
            Bound::Included(height) => *height,
            Bound::Excluded(height) => height.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match heights.end_bound() {
            Bound::Included(height) => height.saturating_add(1),
            Bound::Excluded(height) => *height,
            Bound::Unbounded => u32::MAX,
        };
        let start = start.max(self.first_height()) as usize;
        let end = (end as usize).min(self.tip().0 as usize + 1);
        let heights = start..end.max(start);
        HeaderIter {
            chain: self,
            heights,
        }
    }

    /// Returns a header of the active chain or of a side chain.
    pub fn header(&self, hash: &BlockHash) -> Option<&BlockHeader> {
        match self.active.height_of(hash) {
            Some(height) => self.active.header_at(height),
            None => self.side_chains.get(hash).map(|side| &side.header),
        }
    }

    /// Returns the header of the active chain at a height.
    pub fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        self.active.header_at(height)
    }

    /// Returns the hash of the header of the active chain at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.hash_at(height)
    }

    /// Returns the height of a header of the active chain or of a side chain.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let side = || self.side_chains.get(hash).map(|side| side.height);
        self.active.height_of(hash).or_else(side)
    }

    /// Returns whether a header is known, on the active chain or on a side chain.
    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.height_of(hash).is_some()
    }

    /// Returns whether a header is on the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.active.height_of(hash).is_some()
    }

    /// Returns the number of confirmations of a block: 1 for the tip of the active chain.
    ///
    /// Returns `None` if the block is not on the active chain.
    pub fn confirmations(&self, hash: &BlockHash) -> Option<u32> {
        let height = self.active.height_of(hash)?;
        Some(self.tip().0 - height + 1)
    }

    /// Returns the chain work up to and including the header of the active chain at a height.
    pub fn work_at(&self, height: u32) -> Option<Work> {
        self.active.work_at(height)
    }

    /// Returns the chain work up to and including a header of the active chain or of a side chain.
    pub fn work_of(&self, hash: &BlockHash) -> Option<Work> {
        match self.active.height_of(hash) {
            Some(height) => self.active.work_at(height),
            None => self.side_chains.get(hash).map(|side| side.work),
        }
    }

    /// Returns the median time of the up to 11 headers of the active chain that end with a height,
    /// in Unix seconds. The time of the next block must be later.
    pub fn median_time_at(&self, height: u32) -> Option<u32> {
        ActiveView(self).median_time(height)
    }

    /// Returns the compact target that the next header of the active chain must have, if its time
    /// is `time` (Unix seconds).
    ///
    /// # Errors
    ///
    /// [`ChainRuleError::MissingAncestor`] if the chain starts above an ancestor that the rule
    /// needs.
    pub fn next_bits(&self, time: u32) -> Result<CompactTarget, ChainRuleError> {
        self.rules.required_bits(&ActiveView(self), time)
    }

    /// Returns the tips of the active chain and of all side chains, the active one first.
    ///
    /// The others are in descending order of work. Takes O(n) in the number of side headers.
    pub fn tips(&self) -> Vec<ChainTip> {
        let mut forks = HashMap::new();
        let mut tips: Vec<_> = self
            .side_chains
            .tips()
            .map(|side| ChainTip {
                height: side.height,
                hash: side.hash,
                branch_len: side.height - self.known_fork_height(&side.hash, &mut forks),
                work: side.work,
                is_active: false,
            })
            .collect();
        tips.sort_by_key(|tip| (std::cmp::Reverse(tip.work), tip.hash));
        let (height, hash) = self.tip();
        let active = ChainTip {
            height,
            hash,
            branch_len: 0,
            work: self.total_work(),
            is_active: true,
        };
        tips.insert(0, active);
        tips
    }

    /// Returns the height and the hash of the last common ancestor of two headers.
    ///
    /// Returns `None` if one of them is unknown. Takes O(n) in the length of their side chains.
    pub fn fork_point(&self, one: &BlockHash, other: &BlockHash) -> Option<(u32, BlockHash)> {
        let (mut one, mut other) = (*one, *other);
        loop {
            if one == other {
                return Some((self.height_of(&one)?, one));
            }
            match (self.side_chains.get(&one), self.side_chains.get(&other)) {
                (None, None) => {
                    let heights = [self.active.height_of(&one)?, self.active.height_of(&other)?];
                    let height = heights[0].min(heights[1]);
                    return Some((height, self.hash_at(height)?));
                }
                (Some(side), Some(lower)) if side.height < lower.height => {
                    other = lower.header.previous;
                }
                (Some(side), _) => one = side.header.previous,
                (None, Some(side)) => other = side.header.previous,
            }
        }
    }

    /// Returns the hashes by which a peer finds the last block that it shares with the active
    /// chain.
    ///
    /// Contains the hashes at the [`locator_heights`] above the first header, the first header and
    /// the genesis block.
    pub fn locator(&self) -> Vec<BlockHash> {
        self.locator_below(self.tip().0)
    }

    /// Returns a locator that starts with a known header of any branch.
    ///
    /// Returns `None` if the header is unknown.
    pub fn locator_from(&self, hash: &BlockHash) -> Option<Vec<BlockHash>> {
        let height = self.height_of(hash)?;
        let fork = self.fork_height(hash);
        let mut wanted = locator_heights(height - self.first_height())
            .map(|above| self.first_height() + above)
            .peekable();
        let mut locator = Vec::new();
        for (height, hash, _) in self.branch(hash) {
            if height <= fork {
                break;
            }
            if wanted.next_if_eq(&height).is_some() {
                locator.push(hash);
            }
        }
        locator.extend(self.locator_below(fork));
        Some(locator)
    }

    fn locator_below(&self, height: u32) -> Vec<BlockHash> {
        let first = self.first_height();
        let mut locator: Vec<BlockHash> = locator_heights(height - first)
            .filter_map(|above| self.hash_at(first + above))
            .collect();
        let genesis = self.rules.genesis().hash();
        if locator.last() != Some(&genesis) {
            locator.push(genesis);
        }
        locator
    }

    /// Returns the height at which the branch of a known header leaves the active chain.
    pub(super) fn fork_height(&self, hash: &BlockHash) -> u32 {
        let mut hash = *hash;
        while let Some(side) = self.side_chains.get(&hash) {
            hash = side.header.previous;
        }
        self.active.height_of(&hash).unwrap_or(self.first_height())
    }

    /// Like [`fork_height`](Self::fork_height), but walks no header twice.
    fn known_fork_height(&self, hash: &BlockHash, known: &mut HashMap<BlockHash, u32>) -> u32 {
        let mut path = Vec::new();
        let mut at = *hash;
        let fork = loop {
            if let Some(fork) = known.get(&at) {
                break *fork;
            }
            let Some(side) = self.side_chains.get(&at) else {
                break self.active.height_of(&at).unwrap_or(self.first_height());
            };
            path.push(at);
            at = side.header.previous;
        };
        known.extend(path.into_iter().map(|hash| (hash, fork)));
        fork
    }

    /// Iterates over a known header and its ancestors, downward.
    pub(super) fn branch(
        &self,
        hash: &BlockHash,
    ) -> impl Iterator<Item = (u32, BlockHash, &BlockHeader)> {
        let start = self.locate(hash);
        std::iter::successors(start, |(height, _, header)| {
            match self.side_chains.get(&header.previous) {
                Some(side) => Some((side.height, side.hash, &side.header)),
                None => {
                    let below = height.checked_sub(1)?;
                    Some((below, header.previous, self.header_at(below)?))
                }
            }
        })
    }

    fn locate(&self, hash: &BlockHash) -> Option<(u32, BlockHash, &BlockHeader)> {
        if let Some(height) = self.active.height_of(hash) {
            return Some((height, *hash, self.header_at(height)?));
        }
        let side = self.side_chains.get(hash)?;
        Some((side.height, side.hash, &side.header))
    }

    /// Returns the ancestor at a height of a known header of any branch.
    pub(super) fn ancestor(&self, hash: &BlockHash, height: u32) -> Option<&BlockHeader> {
        let mut hash = *hash;
        while let Some(side) = self.side_chains.get(&hash) {
            if side.height == height {
                return Some(&side.header);
            }
            hash = side.header.previous;
        }
        self.header_at(height)
    }
}

/// An iterator over headers of the active chain of a [`HeaderChain`].
///
/// [`HeaderChain::headers`] and [`HeaderChain::iter`] create it.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::HeaderChain;
///
/// let chain = HeaderChain::new(Network::Regtest);
/// for header in &chain {
///     println!("{}", header.hash());
/// }
/// assert_eq!(chain.headers(0..=9).rev().next(), chain.iter().last());
/// ```
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy"]
pub struct HeaderIter<'a> {
    chain: &'a HeaderChain,
    /// Heights of the chain. They have 31 bits.
    heights: Range<usize>,
}

impl<'a> HeaderIter<'a> {
    fn header_at(&self, height: usize) -> &'a BlockHeader {
        let header = self.chain.header_at(height as u32);
        header.expect("a header at every height of the chain")
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = &'a BlockHeader;

    fn next(&mut self) -> Option<Self::Item> {
        self.heights.next().map(|height| self.header_at(height))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.heights.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.heights.nth(n).map(|height| self.header_at(height))
    }
}

impl DoubleEndedIterator for HeaderIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let height = self.heights.next_back()?;
        Some(self.header_at(height))
    }
}

impl ExactSizeIterator for HeaderIter<'_> {}

impl FusedIterator for HeaderIter<'_> {}

impl<'a> IntoIterator for &'a HeaderChain {
    type Item = &'a BlockHeader;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// The active chain as the ancestors of its next header.
struct ActiveView<'a>(&'a HeaderChain);

impl Ancestors for ActiveView<'_> {
    fn height(&self) -> u32 {
        self.0.tip().0
    }

    fn time(&self, height: u32) -> Option<u32> {
        self.0.header_at(height).map(|header| header.time)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        self.0.header_at(height).map(|header| header.bits)
    }

    fn work_between(&self, after: u32, up_to: u32) -> Option<Work> {
        let [after, up_to] = [after, up_to].map(|height| self.0.work_at(height));
        Some(up_to?.saturating_sub(after?))
    }
}
