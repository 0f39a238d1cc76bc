//! Headers of side chains, bounded in number and accounted per source.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::SourceId;
use crate::wire::{BlockHash, BlockHeader, Work};

/// A header on a side chain.
#[derive(Clone)]
pub(super) struct SideHeader {
    pub(super) hash: BlockHash,
    pub(super) header: BlockHeader,
    pub(super) height: u32,
    /// The chain work up to and including this header.
    pub(super) work: Work,
    pub(super) source: SourceId,
    /// The order of insertion.
    age: u64,
}

/// The side chains: a forest whose roots link to the active chain.
///
/// **Eviction.** If the capacity is exceeded, tips with the least work are evicted. The share of a
/// source is the capacity divided by the number of sources. Headers of sources above their share
/// are evicted first, so a source can always use its share.
#[derive(Clone)]
pub(super) struct SideChains {
    headers: BTreeMap<BlockHash, SideHeader>,
    /// The number of side headers that link to a header, by its hash: those of side headers and
    /// of headers of the active chain.
    children: BTreeMap<BlockHash, u32>,
    sources: HashMap<SourceId, Source>,
    /// The sources by the number of their headers.
    by_count: BTreeSet<(usize, SourceId)>,
    inserted: u64,
}

#[derive(Clone, Default)]
struct Source {
    count: usize,
    /// The tips of side chains that this source has sent.
    tips: BTreeSet<TipKey>,
}

/// Orders tips by work. Of tips with the same work the newest is evicted first.
type TipKey = (Work, std::cmp::Reverse<u64>, BlockHash);

impl SideHeader {
    fn key(&self) -> TipKey {
        (self.work, std::cmp::Reverse(self.age), self.hash)
    }
}

impl SideChains {
    pub(super) fn new() -> Self {
        Self {
            headers: BTreeMap::new(),
            children: BTreeMap::new(),
            sources: HashMap::new(),
            by_count: BTreeSet::new(),
            inserted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<&SideHeader> {
        self.headers.get(hash)
    }

    /// Returns the tips of all side chains.
    pub(super) fn tips(&self) -> impl Iterator<Item = &SideHeader> {
        let tips = self.sources.values().flat_map(|source| &source.tips);
        tips.filter_map(|(_, _, hash)| self.get(hash))
    }

    /// Inserts a header that links to the active chain or to a side header.
    pub(super) fn insert(
        &mut self,
        hash: BlockHash,
        header: BlockHeader,
        height: u32,
        work: Work,
        source: SourceId,
    ) {
        self.inserted += 1;
        let side = SideHeader {
            hash,
            header,
            height,
            work,
            source,
            age: self.inserted,
        };
        if self.children_of(&hash) == 0 {
            self.add_tip(source, side.key());
        }
        self.add_child(&header.previous);
        self.count(source, 1);
        self.headers.insert(hash, side);
    }

    /// Removes a header. Its descendants, if any, stay.
    pub(super) fn remove(&mut self, hash: &BlockHash) -> Option<SideHeader> {
        let side = self.headers.remove(hash)?;
        self.remove_tip(side.source, side.key());
        self.remove_child(&side.header.previous);
        self.count(side.source, -1);
        Some(side)
    }

    /// Makes space for `needed` headers of `source` that extend `parent` to a branch of `work`.
    ///
    /// Returns the number of headers that fit. It is below `needed` if all evictable branches have
    /// at least as much work as the new branch.
    pub(super) fn make_space(
        &mut self,
        needed: usize,
        source: SourceId,
        parent: &BlockHash,
        work: Work,
        capacity: usize,
    ) -> usize {
        // The branch that is extended must not be evicted: with a child its tip is no tip.
        self.add_child(parent);
        while self.len() + needed > capacity {
            let Some(victim) = self.victim(needed, source, work, capacity) else {
                break;
            };
            self.remove(&victim);
        }
        self.remove_child(parent);
        capacity.saturating_sub(self.len())
    }

    /// Evicts tips until at most `capacity` headers are left.
    pub(super) fn shrink_to(&mut self, capacity: usize) {
        while self.len() > capacity {
            let share = capacity / self.sources.len().max(1);
            let Some((_, _, hash)) = self.least_of_largest(share) else {
                return;
            };
            self.remove(&hash);
        }
    }

    /// Removes the side chains that leave the active chain below a height.
    pub(super) fn remove_forks_below(
        &mut self,
        height: u32,
        active_height: impl Fn(&BlockHash) -> Option<u32>,
    ) {
        let mut upward: Vec<_> = self
            .headers
            .values()
            .map(|one| (one.height, one.hash))
            .collect();
        upward.sort_unstable();
        // A header below goes, and with it everything that links to it.
        for (_, hash) in upward {
            let Some(previous) = self.get(&hash).map(|side| side.header.previous) else {
                continue;
            };
            let is_kept = match active_height(&previous) {
                Some(fork) => fork >= height,
                None => self.get(&previous).is_some(),
            };
            if !is_kept {
                self.remove(&hash);
            }
        }
    }

    /// Returns the tip to evict for `needed` more headers of `source`.
    fn victim(
        &self,
        needed: usize,
        source: SourceId,
        work: Work,
        capacity: usize,
    ) -> Option<BlockHash> {
        let held = self.sources.get(&source).map_or(0, |own| own.count);
        let is_new = usize::from(held == 0);
        let share = capacity / (self.sources.len() + is_new).max(1);
        if held + needed <= share {
            return self.least_of_largest(share).map(|(_, _, hash)| hash);
        }
        let own = (held <= share).then_some(source);
        let candidates = self.sources_above(share).chain(own);
        let (least, _, hash) = candidates.filter_map(|id| self.least_of(id)).min()?;
        (least < work).then_some(hash)
    }

    /// Returns the tip with the least work of the largest source, if that source is above its
    /// share. Otherwise, returns the tip with the least work of all sources.
    fn least_of_largest(&self, share: usize) -> Option<TipKey> {
        let mut above = self.sources_above(share);
        // The headers of a source may all be below tips of others.
        let least_of_all = || {
            self.sources
                .keys()
                .filter_map(|id| self.least_of(*id))
                .min()
        };
        above.find_map(|id| self.least_of(id)).or_else(least_of_all)
    }

    /// Returns the sources that hold more than a share, the largest first.
    fn sources_above(&self, share: usize) -> impl Iterator<Item = SourceId> {
        let largest = self.by_count.iter().rev();
        let above = largest.take_while(move |(count, _)| *count > share);
        above.map(|(_, id)| *id)
    }

    fn least_of(&self, id: SourceId) -> Option<TipKey> {
        self.sources.get(&id)?.tips.first().copied()
    }

    fn count(&mut self, id: SourceId, change: isize) {
        let source = self.sources.entry(id).or_default();
        self.by_count.remove(&(source.count, id));
        source.count = source.count.saturating_add_signed(change);
        if source.count == 0 {
            self.sources.remove(&id);
        } else {
            self.by_count.insert((source.count, id));
        }
    }

    fn add_tip(&mut self, source: SourceId, key: TipKey) {
        self.sources.entry(source).or_default().tips.insert(key);
    }

    fn remove_tip(&mut self, source: SourceId, key: TipKey) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.tips.remove(&key);
        }
    }

    /// Returns the source and the key of a side header as a tip.
    fn tip_key(&self, hash: &BlockHash) -> Option<(SourceId, TipKey)> {
        let side = self.headers.get(hash)?;
        Some((side.source, side.key()))
    }

    fn children_of(&self, hash: &BlockHash) -> u32 {
        self.children.get(hash).copied().unwrap_or(0)
    }

    fn add_child(&mut self, parent: &BlockHash) {
        let count = self.children.entry(*parent).or_default();
        *count += 1;
        if *count == 1
            && let Some((source, key)) = self.tip_key(parent)
        {
            self.remove_tip(source, key);
        }
    }

    fn remove_child(&mut self, parent: &BlockHash) {
        let count = self.children_of(parent);
        if count > 1 {
            self.children.insert(*parent, count - 1);
            return;
        }
        self.children.remove(parent);
        if let Some((source, key)) = self.tip_key(parent) {
            self.add_tip(source, key);
        }
    }
}
