//! Detects branches that compete with the active chain.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use crate::wire::{BlockHash, HeaderChain};

/// Number of fork points remembered as reported.
const MAX_REPORTED: usize = 64;
/// Minimum length of both branches above the fork.
const MIN_BRANCH: u32 = 2;
/// Maximum number of blocks by whose work the side chain may be behind the active chain.
const MAX_BEHIND: u32 = 6;

/// The last header that each source sent, and the forks that were reported.
#[derive(Debug, Default)]
pub(super) struct SplitDetector {
    heads: HashMap<Uuid, BlockHash>,
    reported: VecDeque<BlockHash>,
}

/// A fork with the peers on the branch that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChainSplit {
    pub(super) fork_height: u32,
    pub(super) peer_ids: Vec<Uuid>,
}

impl SplitDetector {
    /// Records the last header that a source sent.
    pub(super) fn record_head(&mut self, peer_id: Uuid, hash: BlockHash) {
        self.heads.insert(peer_id, hash);
    }

    pub(super) fn remove(&mut self, peer_id: Uuid) {
        self.heads.remove(&peer_id);
    }

    /// Forgets everything, because the chain was replaced.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Checks whether the branch that ends with `side` competes with the active chain. Returns
    /// each fork once.
    pub(super) fn check(&mut self, chain: &HeaderChain, side: &BlockHash) -> Option<ChainSplit> {
        let (height, tip) = chain.tip();
        let block_work = chain.header(&tip)?.bits.work();
        let mut work = chain.work_of(side)?;
        for _ in 0..MAX_BEHIND {
            work = work.saturating_add(block_work);
        }
        // Excludes long branches before they are walked.
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
        // A reorganization that all peers followed is no split.
        if peer_ids.is_empty() {
            return None;
        }
        self.report(fork_height, fork, peer_ids)
    }

    /// Records that a checkpoint refuses the branch of a peer, whose last valid header is `parent`.
    pub(super) fn on_refused(
        &mut self,
        chain: &HeaderChain,
        parent: &BlockHash,
        peer_id: Uuid,
    ) -> Option<ChainSplit> {
        let (fork_height, fork) = chain.fork_point(parent, &chain.tip().1)?;
        self.report(fork_height, fork, vec![peer_id])
    }

    fn report(
        &mut self,
        fork_height: u32,
        fork: BlockHash,
        mut peer_ids: Vec<Uuid>,
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
