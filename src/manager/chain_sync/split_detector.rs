//! Detects branches that compete with the active chain.

use std::collections::{HashMap, VecDeque};

use crate::peers::PeerId;
use crate::wire::{BlockHash, HeaderChain};

/// Number of fork points remembered as reported.
const MAX_REPORTED: usize = 64;
/// Minimum length of both branches above the fork.
const MIN_BRANCH: u32 = 2;
/// Maximum lag of a side chain in work, as a number of blocks of the current difficulty.
const MAX_BEHIND: u32 = 6;

/// The last header that each source sent, and the forks that were reported.
#[derive(Debug, Default)]
pub(super) struct SplitDetector {
    heads: HashMap<PeerId, BlockHash>,
    reported: VecDeque<BlockHash>,
}

/// A fork, and the peers on the side branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainSplit {
    pub(super) fork_height: u32,
    pub(super) peer_ids: Vec<PeerId>,
}

impl SplitDetector {
    /// Records the last header that a source sent.
    pub(super) fn record_head(&mut self, peer_id: PeerId, hash: BlockHash) {
        self.heads.insert(peer_id, hash);
    }

    pub(super) fn remove(&mut self, peer_id: PeerId) {
        self.heads.remove(&peer_id);
    }

    /// Discards everything, because the chain was replaced.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Checks whether the branch that ends with `side` competes with the active chain.
    ///
    /// Returns each fork once.
    pub(super) fn check(&mut self, chain: &HeaderChain, side: &BlockHash) -> Option<ChainSplit> {
        let (height, tip) = chain.tip();
        let block_work = chain.header(&tip)?.bits.work();
        let mut work = chain.work_of(side)?;
        for _ in 0..MAX_BEHIND {
            work = work.saturating_add(block_work);
        }
        // Excludes long branches before their headers are visited.
        if work < chain.total_work() || chain.is_active(side) {
            return None;
        }
        let (fork_height, fork) = chain.fork_point(side, &tip)?;
        let side_len = chain.height_of(side)? - fork_height;
        if side_len < MIN_BRANCH || height - fork_height < MIN_BRANCH {
            return None;
        }
        let is_on_side = |head: &BlockHash| {
            !chain.is_active(head) && chain.fork_point(head, &tip) == Some((fork_height, fork))
        };
        let heads = self.heads.iter().filter(|(_, head)| is_on_side(head));
        let peer_ids: Vec<_> = heads.map(|(peer_id, _)| *peer_id).collect();
        // A reorganization that all peers followed is not a split.
        if peer_ids.is_empty() {
            return None;
        }
        self.report(fork_height, fork, peer_ids)
    }

    /// Records that a checkpoint rejects the branch of a peer. `parent` is its last valid header.
    pub(super) fn on_refused(
        &mut self,
        chain: &HeaderChain,
        parent: &BlockHash,
        peer_id: PeerId,
    ) -> Option<ChainSplit> {
        let (fork_height, fork) = chain.fork_point(parent, &chain.tip().1)?;
        self.report(fork_height, fork, vec![peer_id])
    }

    fn report(
        &mut self,
        fork_height: u32,
        fork: BlockHash,
        mut peer_ids: Vec<PeerId>,
    ) -> Option<ChainSplit> {
        if self.reported.contains(&fork) {
            return None;
        }
        if self.reported.len() == MAX_REPORTED {
            self.reported.pop_front();
        }
        self.reported.push_back(fork);
        peer_ids.sort_unstable();
        Some(ChainSplit {
            fork_height,
            peer_ids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_headers::{chain_of, mined, mined_after};
    use super::*;
    use crate::wire::BlockHeader;

    const PEER: PeerId = PeerId::from_u128(1);

    /// Returns a chain with a side chain that starts at height 11, and the last hash of the side
    /// chain.
    fn forked(active: usize, side: usize) -> (HeaderChain, BlockHash) {
        let common = mined(10, 1);
        let mut chain = chain_of(&mined_after(&common, active, 2));
        let side = mined_after(&common, side, 3);
        chain.extend(&side[11..], u32::MAX).unwrap();
        (chain, side[side.len() - 1].hash())
    }

    fn check(active: usize, side: usize) -> Option<ChainSplit> {
        let (chain, side) = forked(active, side);
        let mut splits = SplitDetector::default();
        splits.record_head(PEER, side);
        splits.check(&chain, &side)
    }

    #[test]
    fn competing_branches_are_a_split() {
        let split = ChainSplit {
            fork_height: 10,
            peer_ids: vec![PEER],
        };
        for (active, side) in [(2, 2), (3, 2), (8, 2), (50, 44)] {
            assert_eq!(
                check(active, side).as_ref(),
                Some(&split),
                "{active}, {side}"
            );
        }
        for (active, side) in [(1, 1), (2, 1), (9, 2), (50, 43)] {
            assert_eq!(check(active, side), None, "{active}, {side}");
        }
    }

    #[test]
    fn split_needs_connected_peer_on_side() {
        let (chain, side) = forked(3, 3);
        let mut splits = SplitDetector::default();
        splits.record_head(PEER, chain.tip().1);
        assert_eq!(splits.check(&chain, &side), None);
        splits.record_head(PEER, side);
        splits.remove(PEER);
        assert_eq!(splits.check(&chain, &side), None);
        let peers = [3, 2].map(PeerId::from_u128);
        for peer in peers {
            splits.record_head(peer, side);
        }
        let split = splits.check(&chain, &side).unwrap();
        assert_eq!(split.peer_ids, [peers[1], peers[0]]);
    }

    #[test]
    fn fork_is_reported_once_until_cleared() {
        let (chain, side) = forked(3, 3);
        let mut splits = SplitDetector::default();
        splits.record_head(PEER, side);
        assert!(splits.check(&chain, &side).is_some());
        assert_eq!(splits.check(&chain, &side), None);
        assert_eq!(splits.on_refused(&chain, &side, PEER), None);
        splits.clear();
        assert!(splits.on_refused(&chain, &side, PEER).is_some());
        assert_eq!(splits.on_refused(&chain, &side, PEER), None);
    }

    #[test]
    fn oldest_reported_fork_is_forgotten() {
        let headers = mined(MAX_REPORTED + 1, 1);
        let chain = chain_of(&headers);
        let mut splits = SplitDetector::default();
        let mut report = |header: &BlockHeader| splits.on_refused(&chain, &header.hash(), PEER);
        for header in &headers[..=MAX_REPORTED] {
            assert!(report(header).is_some());
        }
        assert_eq!(report(&headers[1]), None);
        assert!(report(&headers[0]).is_some());
        let unknown = report(&mined(2, 2)[2]);
        assert_eq!(unknown, None);
    }
}
