//! Headers beside the active chain.

use std::collections::HashMap;

use crate::wire::{BlockHash, BlockHeader, Work};

/// The headers of all branches, by hash. Each follows another one, or a header of the active chain.
#[derive(Clone, Default)]
pub(super) struct Branches {
    headers: HashMap<BlockHash, SideHeader>,
}

/// A header beside the active chain.
#[derive(Clone, Copy)]
pub(super) struct SideHeader {
    pub(super) header: BlockHeader,
    pub(super) height: u32,
    /// The height at which its branch leaves the active chain.
    pub(super) fork: u32,
    /// The work up to this header and with it.
    pub(super) work: Work,
}

impl Branches {
    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<&SideHeader> {
        self.headers.get(hash)
    }

    pub(super) fn insert(&mut self, hash: BlockHash, header: SideHeader) {
        self.headers.insert(hash, header);
    }

    /// Takes out a header and those before it, down to the active chain: from the top downwards.
    pub(super) fn take(&mut self, tip: BlockHash) -> Vec<(BlockHash, SideHeader)> {
        let mut taken = Vec::new();
        let mut hash = tip;
        while let Some(side) = self.headers.remove(&hash) {
            taken.push((hash, side));
            hash = side.header.previous;
        }
        taken
    }

    /// Finds anew where each branch leaves the active chain, of which `height_of` knows the heights.
    pub(super) fn find_forks(&mut self, height_of: impl Fn(&BlockHash) -> Option<u32>) {
        let mut upwards: Vec<(u32, BlockHash)> = self
            .headers
            .iter()
            .map(|(hash, side)| (side.height, *hash))
            .collect();
        upwards.sort_unstable();
        for (_, hash) in upwards {
            let Some(previous) = self.headers.get(&hash).map(|side| side.header.previous) else {
                continue;
            };
            let below = || self.headers.get(&previous).map(|side| side.fork);
            let fork = height_of(&previous).or_else(below);
            if let (Some(side), Some(fork)) = (self.headers.get_mut(&hash), fork) {
                side.fork = fork;
            }
        }
    }

    /// Forgets the branches that leave the active chain below a height.
    pub(super) fn retain_forks_from(&mut self, lowest: u32) {
        if self.headers.is_empty() {
            return;
        }
        self.headers.retain(|_, side| side.fork >= lowest);
        if self.headers.is_empty() {
            // A table keeps the room that it once had.
            self.headers = HashMap::new();
        }
    }
}
