//! Chains of headers that simulated sources serve.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::network::Network;
use crate::wire::{BlockHash, BlockHeader, CompactTarget, MerkleRoot};

/// Height of the longest chain.
pub(super) const MAX_HEIGHT: usize = 170;
/// Minimum height of the honest source's chain at the start of a run.
pub(super) const MIN_HEIGHT: usize = 60;
/// Heights at which the branches leave the longest chain.
const FORKS: [usize; 5] = [0, 0, 7, 30, 55];

/// Index of the longest chain among the branches.
pub(super) const LONGEST: usize = 0;

/// Chains that are valid by the rules of the regression test network. Mined once per process.
pub(super) struct Chains {
    /// The longest chain, then branches of it, each from genesis.
    branches: Vec<Vec<BlockHeader>>,
    hashes: Vec<Vec<BlockHash>>,
    /// The branch and the height of each header.
    places: HashMap<BlockHash, (usize, usize)>,
}

/// The lower part of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServedChain {
    pub(super) branch: usize,
    pub(super) tip: usize,
}

impl Chains {
    pub(super) fn get() -> &'static Self {
        static CHAINS: OnceLock<Chains> = OnceLock::new();
        CHAINS.get_or_init(Self::mine)
    }

    fn mine() -> Self {
        let genesis = BlockHeader::genesis(&Network::Regtest);
        let mut longest = vec![genesis];
        longest.extend(mine(&genesis, MAX_HEIGHT, 0));
        let branch = |(salt, &fork): (usize, &usize)| {
            let mut branch = longest[..=fork].to_vec();
            branch.extend(mine(&longest[fork], MAX_HEIGHT - fork, 1 + salt as u64));
            branch
        };
        let mut branches: Vec<_> = FORKS.iter().enumerate().map(branch).collect();
        branches.insert(LONGEST, longest);
        let hashes = |branch: &Vec<BlockHeader>| branch.iter().map(BlockHeader::hash).collect();
        let hashes: Vec<Vec<_>> = branches.iter().map(hashes).collect();
        let mut places = HashMap::new();
        for (number, branch) in hashes.iter().enumerate() {
            for (height, hash) in branch.iter().enumerate() {
                places.entry(*hash).or_insert((number, height));
            }
        }
        Self {
            branches,
            hashes,
            places,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.branches.len()
    }

    pub(super) fn honest(&self, height: usize) -> &BlockHeader {
        &self.branches[LONGEST][height]
    }

    pub(super) fn honest_hash(&self, height: usize) -> BlockHash {
        self.hashes[LONGEST][height]
    }

    /// Returns a header of any of the chains.
    pub(super) fn find(&self, hash: &BlockHash) -> Option<(usize, &BlockHeader)> {
        let (branch, height) = *self.places.get(hash)?;
        Some((height, &self.branches[branch][height]))
    }

    /// Returns the answer to a locator: at most `max` headers after the last common one.
    pub(super) fn answer(
        &self,
        chain: ServedChain,
        locator: &[BlockHash],
        max: usize,
    ) -> Vec<BlockHeader> {
        let served = &self.branches[chain.branch][..=chain.tip];
        let is_common = |hash: &BlockHash| {
            let (_, height) = *self.places.get(hash)?;
            let is_served = height <= chain.tip && self.hashes[chain.branch][height] == *hash;
            is_served.then_some(height)
        };
        let common = locator.iter().find_map(is_common).unwrap_or(0);
        served[common + 1..].iter().take(max).copied().collect()
    }
}

/// Mines headers after a parent. Each `salt` results in another branch.
pub(super) fn mine(parent: &BlockHeader, count: usize, salt: u64) -> Vec<BlockHeader> {
    let mut parent = *parent;
    let mine = |_| {
        parent = mine_one(&parent, salt, parent.bits, parent.time + 600);
        parent
    };
    (0..count).map(mine).collect()
}

/// Mines a header with these bits and this time.
pub(super) fn mine_one(
    parent: &BlockHeader,
    salt: u64,
    bits: CompactTarget,
    time: u32,
) -> BlockHeader {
    let mut root = [0; 32];
    root[..8].copy_from_slice(&salt.to_le_bytes());
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous: parent.hash(),
        merkle_root: MerkleRoot(root),
        time,
        bits,
        nonce: 0,
    };
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}
