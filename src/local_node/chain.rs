//! A tree of regtest blocks that knows its best branch.

use std::collections::HashMap;
use std::fmt;

use super::block_rules::{Refused, check_transactions};
use super::mining::BlockTemplate;
use crate::network::Network;
use crate::wire::{Block, BlockHash, BlockHeader, CompactTarget};

/// How many blocks a branch may disconnect at most. Real nodes keep so many blocks at least when they prune.
pub const MAX_FORK_DEPTH: u32 = 288;

/// How far ahead of the clock a block's time may be, in seconds (the node's `MAX_FUTURE_BLOCK_TIME`).
const MAX_FUTURE: u32 = 2 * 60 * 60;

/// Over how many blocks the median of the times is taken.
const MEDIAN_SPAN: usize = 11;

/// The target of every regtest block.
const BITS: CompactTarget = CompactTarget(Network::Regtest.proof_of_work_limit_bits());

/// What a block costs in memory beside its bytes, rounded up: its places in the table and in the lists.
const BLOCK_OVERHEAD: u64 = 1024;

/// A tree of regtest blocks above the genesis block.
///
/// The branch with the most work is the active chain. As all regtest blocks have the same work this is the
/// longest branch, and of two equally long ones that which was complete first. The other branches are kept:
/// one of them may grow and take over.
///
/// Checked are the header and what the header commits to (see [`accept`](Self::accept)), not what the
/// transactions do: scripts, spends, amounts and lock times are not verified, and neither are the minimum block versions
/// from height 1251 on.
///
/// # Memory
///
/// Mining costs nothing on regtest, so what a stranger may make us keep is bounded:
///
/// - All blocks together hold at most [`DEFAULT_MAX_BYTES`](Self::DEFAULT_MAX_BYTES) (or what
///   [`with_max_bytes`](Self::with_max_bytes) says). A block counts as its length and 1 KiB. When they are
///   full, every further block is refused.
/// - A branch that leaves the active chain more than [`MAX_FORK_DEPTH`] blocks behind the tip cannot grow
///   any more, and the next new tip makes the chain forget it.
/// - A block is copied when it is accepted, so that it never holds on to the larger payload it arrived in.
#[derive(Clone)]
pub struct Chain {
    blocks: HashMap<BlockHash, Entry>,
    /// The active chain by height; never empty.
    active: Vec<BlockHash>,
    bytes: u64,
    max_bytes: u64,
}

#[derive(Clone)]
struct Entry {
    block: Block,
    height: u32,
    children: Vec<BlockHash>,
}

/// What became of a block that [`Chain::accept`] did not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It was there already.
    Known,
    /// It is kept on a branch that is not the active chain.
    SideChain,
    /// It is the new tip.
    NewTip {
        /// The blocks that left the active chain, from the old tip downwards. Empty unless the chain was
        /// reorganised.
        disconnected: Vec<BlockHash>,
        /// The blocks that joined the active chain, upwards to the new tip.
        connected: Vec<BlockHash>,
    },
}

impl Chain {
    /// How many bytes the blocks of a chain may hold unless said otherwise: 1 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

    /// The genesis block alone.
    pub fn new() -> Self {
        Self::with_max_bytes(Self::DEFAULT_MAX_BYTES)
    }

    /// The genesis block alone, in a chain that holds at most `max_bytes`.
    pub fn with_max_bytes(max_bytes: u64) -> Self {
        let genesis = Block::genesis(Network::Regtest);
        let hash = genesis.hash();
        let bytes = cost(&genesis);
        let entry = Entry {
            block: genesis,
            height: 0,
            children: Vec::new(),
        };
        Self {
            blocks: HashMap::from([(hash, entry)]),
            active: vec![hash],
            bytes,
            max_bytes,
        }
    }

    /// Takes a block into the tree if it keeps the rules, at the time `now` (seconds since 1970).
    ///
    /// Checked are, in the node's order (Bitcoin SV node, `src/validation.cpp`, `AcceptBlock`): whether it is known,
    /// proof of work, parent, depth of the fork, bits, time, merkle root, coinbase; and whether there is room.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the chain is then as it was. A block whose parent came late may be offered again.
    pub fn accept(&mut self, block: &Block, now: u32) -> Result<Accepted, Refused> {
        let hash = block.hash();
        if self.contains(&hash) {
            return Ok(Accepted::Known);
        }
        let height = self.check_header(&block.header(), hash, now)?;
        let needed = cost(block);
        let left = self.max_bytes.saturating_sub(self.bytes);
        if needed > left {
            return Err(Refused::NoRoom { needed, left });
        }
        check_transactions(block)?;

        let parent = block.header().previous;
        if let Some(parent) = self.blocks.get_mut(&parent) {
            parent.children.push(hash);
        }
        let entry = Entry {
            block: block.detached(),
            height,
            children: Vec::new(),
        };
        self.blocks.insert(hash, entry);
        self.bytes += needed;

        if height > self.tip().0 {
            Ok(self.activate(hash))
        } else {
            Ok(Accepted::SideChain)
        }
    }

    /// The height and the hash of the last block of the active chain.
    pub fn tip(&self) -> (u32, BlockHash) {
        let height = self.active.len() - 1;
        (height as u32, self.active[height])
    }

    /// The height of a block, on the active chain or beside it.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.blocks.get(hash).map(|entry| entry.height)
    }

    /// The block of the active chain at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// A block, on the active chain or beside it. A clone of it shares its bytes.
    pub fn block(&self, hash: &BlockHash) -> Option<&Block> {
        self.blocks.get(hash).map(|entry| &entry.block)
    }

    /// Whether a block is there, on the active chain or beside it.
    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// Whether a block is on the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        let height = self.height_of(hash);
        height.is_some_and(|height| self.hash_at(height) == Some(*hash))
    }

    /// The median of the times of the last 11 blocks, in seconds since 1970: the next block's time must be later.
    pub fn median_time_past(&self) -> u32 {
        self.median_time_at(self.tip().1)
    }

    /// What to mine for the next block: nothing but a coinbase, at the time `now` or as soon after it as
    /// the rules allow. See [`BlockTemplate::extra_nonce`] for that number.
    pub fn template(&self, now: u32, extra_nonce: u64) -> BlockTemplate {
        let (height, tip) = self.tip();
        let time = now.max(self.median_time_past().saturating_add(1));
        BlockTemplate::new(tip, height + 1, time, extra_nonce)
    }

    /// Like [`template`](Self::template) for a block upon another one than the tip; `None` if that is unknown.
    pub fn template_on(
        &self,
        parent: &BlockHash,
        now: u32,
        extra_nonce: u64,
    ) -> Option<BlockTemplate> {
        let height = self.height_of(parent)?;
        let time = now.max(self.median_time_at(*parent).saturating_add(1));
        Some(BlockTemplate::new(*parent, height + 1, time, extra_nonce))
    }

    /// Checks what can be told from a header and returns its height.
    fn check_header(
        &self,
        header: &BlockHeader,
        hash: BlockHash,
        now: u32,
    ) -> Result<u32, Refused> {
        header.bits.check(hash, BITS)?;
        let parent = self
            .height_of(&header.previous)
            .ok_or(Refused::UnknownParent(header.previous))?;
        let depth = self.tip().0 - self.fork_height(header.previous);
        if depth > MAX_FORK_DEPTH {
            return Err(Refused::ForkTooDeep {
                depth,
                limit: MAX_FORK_DEPTH,
            });
        }
        if header.bits != BITS {
            return Err(Refused::WrongBits {
                expected: BITS,
                got: header.bits,
            });
        }
        let got = header.time;
        let median = self.median_time_at(header.previous);
        if got <= median {
            return Err(Refused::TimeTooOld { median, got });
        }
        let latest = now.saturating_add(MAX_FUTURE);
        if got > latest {
            return Err(Refused::TimeTooNew { latest, got });
        }
        Ok(parent + 1)
    }

    /// A block and those before it, down to genesis.
    fn ancestry(&self, from: BlockHash) -> impl Iterator<Item = (BlockHash, &Entry)> {
        let named = |hash| self.blocks.get(&hash).map(|entry| (hash, entry));
        std::iter::successors(named(from), move |(_, entry)| {
            named(entry.block.header().previous)
        })
    }

    /// The height at which the branch that ends with a block leaves the active chain.
    fn fork_height(&self, branch: BlockHash) -> u32 {
        self.ancestry(branch)
            .find(|(hash, _)| self.is_active(hash))
            .map_or(0, |(_, entry)| entry.height)
    }

    /// The median of the times of a block and the ten before it.
    fn median_time_at(&self, last: BlockHash) -> u32 {
        let mut times: Vec<u32> = self
            .ancestry(last)
            .take(MEDIAN_SPAN)
            .map(|(_, entry)| entry.block.header().time)
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// Makes the branch that ends with `tip` the active chain.
    fn activate(&mut self, tip: BlockHash) -> Accepted {
        self.forget_deep_forks();
        let mut connected: Vec<BlockHash> = self
            .ancestry(tip)
            .map(|(hash, _)| hash)
            .take_while(|hash| !self.is_active(hash))
            .collect();
        connected.reverse();
        let fork = self.fork_height(tip) as usize;
        let mut disconnected = self.active.split_off(fork + 1);
        disconnected.reverse();
        self.active.extend_from_slice(&connected);
        Accepted::NewTip {
            disconnected,
            connected,
        }
    }

    /// Forgets the branches that could not grow any more even before the new tip, so that what the new tip
    /// disconnects can still be read. A tip is one block above the one before: each height has its turn.
    fn forget_deep_forks(&mut self) {
        let Some(fork) = self.tip().0.checked_sub(MAX_FORK_DEPTH + 1) else {
            return;
        };
        let [at, next] = [fork, fork + 1].map(|height| self.active[height as usize]);
        let mut forgotten = match self.blocks.get_mut(&at) {
            Some(entry) => std::mem::replace(&mut entry.children, vec![next]),
            None => return,
        };
        forgotten.retain(|&child| child != next);
        while let Some(hash) = forgotten.pop() {
            if let Some(entry) = self.blocks.remove(&hash) {
                self.bytes -= cost(&entry.block);
                forgotten.extend(entry.children);
            }
        }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, tip) = self.tip();
        f.debug_struct("Chain")
            .field("height", &height)
            .field("tip", &tip)
            .field("blocks", &self.blocks.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

/// What a block counts as against the chain's limit.
fn cost(block: &Block) -> u64 {
    block.bytes().len() as u64 + BLOCK_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockError, ProofOfWorkError};

    const NOW: u32 = 1_700_000_000;

    /// Mines on a block and offers the result.
    fn grow(chain: &mut Chain, parent: BlockHash, extra_nonce: u64) -> (BlockHash, Accepted) {
        let block = chain.template_on(&parent, NOW, extra_nonce).unwrap().mine();
        let accepted = chain.accept(&block, NOW).unwrap();
        (block.hash(), accepted)
    }

    /// Mines this many blocks on a block and returns all of them.
    fn grow_by(
        chain: &mut Chain,
        parent: BlockHash,
        blocks: u32,
        extra_nonce: u64,
    ) -> Vec<BlockHash> {
        let mut last = parent;
        (0..blocks)
            .map(|_| {
                last = grow(chain, last, extra_nonce).0;
                last
            })
            .collect()
    }

    fn genesis() -> BlockHash {
        Block::genesis(Network::Regtest).hash()
    }

    /// A block upon genesis whose header was changed, with a nonce that makes it meet its own bits or not.
    fn changed(meets_bits: bool, change: impl FnOnce(&mut BlockHeader)) -> Block {
        let template = Chain::new().template(NOW, 0);
        let mut header = template.mine().header();
        change(&mut header);
        let limit = header.bits;
        while header.bits.check(header.hash(), limit).is_ok() != meets_bits {
            header.nonce += 1;
        }
        Block::new(&header, &[template.coinbase()])
    }

    fn refusal(block: &Block) -> Refused {
        let mut chain = Chain::new();
        let before = format!("{chain:?}");
        let refused = chain.accept(block, NOW).unwrap_err();
        assert_eq!(
            format!("{chain:?}"),
            before,
            "a refused block leaves no trace"
        );
        refused
    }

    #[test]
    fn a_chain_starts_with_the_genesis_block() {
        let chain = Chain::new();
        assert_eq!(chain.tip(), (0, genesis()));
        assert_eq!(chain.height_of(&genesis()), Some(0));
        assert_eq!(chain.hash_at(0), Some(genesis()));
        assert_eq!(chain.hash_at(1), None);
        assert_eq!(
            chain.block(&genesis()),
            Some(&Block::genesis(Network::Regtest))
        );
        assert_eq!(chain.median_time_past(), 1_296_688_602);
    }

    #[test]
    fn mined_blocks_extend_the_tip_one_by_one() {
        let mut chain = Chain::new();
        for height in 1..=20 {
            let block = chain.template(NOW, 0).mine();
            let accepted = chain.accept(&block, NOW).unwrap();
            assert_eq!(
                accepted,
                Accepted::NewTip {
                    disconnected: vec![],
                    connected: vec![block.hash()]
                }
            );
            assert_eq!(chain.tip(), (height, block.hash()));
            assert!(chain.is_active(&block.hash()));
        }
    }

    #[test]
    fn a_known_block_is_an_outcome_and_not_an_error() {
        let mut chain = Chain::new();
        let block = chain.template(NOW, 0).mine();
        chain.accept(&block, NOW).unwrap();
        assert_eq!(chain.accept(&block, NOW), Ok(Accepted::Known));
        assert_eq!(
            chain.accept(&Block::genesis(Network::Regtest), NOW),
            Ok(Accepted::Known)
        );
    }

    #[test]
    fn of_two_equal_branches_the_first_seen_stays() {
        let mut chain = Chain::new();
        let (first, _) = grow(&mut chain, genesis(), 1);
        let (second, accepted) = grow(&mut chain, genesis(), 2);
        assert_eq!(accepted, Accepted::SideChain);
        assert_eq!(chain.tip(), (1, first));
        assert_eq!(chain.height_of(&second), Some(1));
        assert!(chain.contains(&second) && !chain.is_active(&second));
    }

    #[test]
    fn a_longer_branch_takes_over_and_every_block_is_named_in_order() {
        let mut chain = Chain::new();
        let common = grow_by(&mut chain, genesis(), 3, 0)[2];
        let old = grow_by(&mut chain, common, 3, 1);
        let new = grow_by(&mut chain, common, 3, 2);
        assert_eq!(chain.tip(), (6, old[2]));

        let (tip, accepted) = grow(&mut chain, new[2], 2);
        assert_eq!(
            accepted,
            Accepted::NewTip {
                disconnected: vec![old[2], old[1], old[0]],
                connected: vec![new[0], new[1], new[2], tip],
            }
        );
        assert_eq!(chain.tip(), (7, tip));
        assert_eq!(chain.hash_at(3), Some(common));
        assert_eq!(chain.hash_at(4), Some(new[0]));
        assert!(chain.contains(&old[2]) && !chain.is_active(&old[2]));

        // And back: the old branch was kept and may grow again.
        let again = grow_by(&mut chain, old[2], 2, 1);
        assert_eq!(chain.tip(), (8, again[1]));
        assert!(chain.is_active(&old[0]) && !chain.is_active(&new[0]));
    }

    #[test]
    fn an_unknown_parent_is_named() {
        let parent = BlockHash([7; 32]);
        let block = changed(true, |header| header.previous = parent);
        assert_eq!(refusal(&block), Refused::UnknownParent(parent));
    }

    #[test]
    fn a_hash_above_the_target_is_refused() {
        let block = changed(false, |_| {});
        assert_eq!(
            refusal(&block),
            Refused::ProofOfWork(ProofOfWorkError::HashAboveTarget {
                hash: block.hash(),
                bits: BITS
            })
        );
    }

    #[test]
    fn a_target_that_is_easier_than_regtests_or_none_at_all_is_refused() {
        let easier = changed(true, |header| header.bits = CompactTarget(0x2100_8000));
        assert!(matches!(
            refusal(&easier),
            Refused::ProofOfWork(ProofOfWorkError::TargetTooEasy { .. })
        ));
        let none = changed(false, |header| header.bits = CompactTarget(0));
        assert!(matches!(
            refusal(&none),
            Refused::ProofOfWork(ProofOfWorkError::BadTarget(_))
        ));
    }

    #[test]
    fn a_harder_target_than_regtests_is_refused() {
        let bits = CompactTarget(0x2010_0000);
        let block = changed(true, |header| header.bits = bits);
        assert_eq!(
            refusal(&block),
            Refused::WrongBits {
                expected: BITS,
                got: bits
            }
        );
    }

    #[test]
    fn a_time_must_be_after_the_median_of_the_eleven_blocks_before() {
        let median = 1_296_688_602;
        let block = changed(true, |header| header.time = median);
        let got = median;
        assert_eq!(refusal(&block), Refused::TimeTooOld { median, got });

        let mut chain = Chain::new();
        for time in [10, 40, 20, 30, 50, 60, 70, 80, 90, 100, 110, 120] {
            let template = BlockTemplate {
                time: NOW - 1_000 + time,
                ..chain.template(NOW, 0)
            };
            chain.accept(&template.mine(), NOW).unwrap();
        }
        // Of the last eleven, 20 to 120, the sixth is 70.
        let median = NOW - 1_000 + 70;
        assert_eq!(chain.median_time_past(), median);
        let mut template = chain.template(0, 0);
        assert_eq!(template.time, median + 1, "a template is never too old");
        template.time = median;
        assert_eq!(
            chain.accept(&template.mine(), NOW),
            Err(Refused::TimeTooOld {
                median,
                got: median
            })
        );
        template.time = median + 1;
        assert!(chain.accept(&template.mine(), NOW).is_ok());
    }

    #[test]
    fn a_time_may_be_two_hours_ahead_and_no_more() {
        let mut chain = Chain::new();
        let latest = NOW + 7_200;
        let got = latest + 1;
        let template = chain.template(got, 0);
        assert_eq!(
            chain.accept(&template.mine(), NOW),
            Err(Refused::TimeTooNew { latest, got })
        );
        assert!(chain.accept(&chain.template(latest, 0).mine(), NOW).is_ok());
        assert!(
            chain
                .accept(&chain.template(u32::MAX, 0).mine(), u32::MAX)
                .is_ok()
        );
    }

    #[test]
    fn a_block_with_other_transactions_than_its_header_commits_to_is_refused() {
        let block = changed(true, |header| header.merkle_root.0[0] ^= 1);
        assert!(matches!(
            refusal(&block),
            Refused::Content(BlockError::MerkleRootMismatch { .. })
        ));
    }

    #[test]
    fn many_blocks_may_be_mined_within_one_second() {
        let mut chain = Chain::new();
        grow_by(&mut chain, genesis(), 200, 0);
        assert_eq!(chain.tip().0, 200);
    }

    #[test]
    fn a_fork_deeper_than_288_blocks_is_refused_and_its_branch_forgotten() {
        let mut chain = Chain::new();
        let branch = grow_by(&mut chain, genesis(), 2, 1);
        grow_by(&mut chain, genesis(), MAX_FORK_DEPTH, 2);
        assert!(!chain.is_active(&branch[0]));
        let late = chain.template_on(&branch[1], NOW, 3).unwrap();
        assert_eq!(
            chain.clone().accept(&late.mine(), NOW),
            Ok(Accepted::SideChain)
        );

        let tip = chain.tip().1;
        grow(&mut chain, tip, 2);
        assert_eq!(
            chain.accept(&late.mine(), NOW),
            Err(Refused::ForkTooDeep {
                depth: MAX_FORK_DEPTH + 1,
                limit: MAX_FORK_DEPTH
            })
        );
        assert!(chain.contains(&branch[1]), "kept until the next tip");

        let tip = chain.tip().1;
        grow(&mut chain, tip, 2);
        assert!(!chain.contains(&branch[0]) && !chain.contains(&branch[1]));
        assert_eq!(
            chain.accept(&late.mine(), NOW),
            Err(Refused::UnknownParent(branch[1]))
        );
        let total: u64 = chain.blocks.values().map(|entry| cost(&entry.block)).sum();
        assert_eq!(chain.bytes, total);
        assert_eq!(chain.blocks.len(), chain.active.len());
    }

    #[test]
    fn a_reorganisation_as_deep_as_allowed_keeps_the_blocks_that_it_disconnects() {
        let mut chain = Chain::new();
        let old = grow_by(&mut chain, genesis(), MAX_FORK_DEPTH, 1);
        let new = grow_by(&mut chain, genesis(), MAX_FORK_DEPTH + 1, 2);
        assert_eq!(chain.tip(), (MAX_FORK_DEPTH + 1, new[new.len() - 1]));
        assert!(old.iter().all(|hash| chain.block(hash).is_some()));
        grow(&mut chain, new[new.len() - 1], 2);
        assert!(!old.iter().any(|hash| chain.contains(hash)));
    }

    #[test]
    fn a_full_chain_refuses_blocks_and_says_how_much_room_is_missing() {
        let mut chain = Chain::with_max_bytes(3_000);
        grow(&mut chain, genesis(), 0);
        let block = chain.template(NOW, 0).mine();
        let needed = block.bytes().len() as u64 + 1_024;
        let left = 3_000 - chain.bytes;
        assert_eq!(
            chain.accept(&block, NOW),
            Err(Refused::NoRoom { needed, left })
        );
    }

    #[test]
    fn a_stored_block_does_not_hold_on_to_the_payload_it_arrived_in() {
        let mut chain = Chain::new();
        let block = chain.template(NOW, 0).mine();
        chain.accept(&block, NOW).unwrap();
        let stored = chain.block(&block.hash()).unwrap();
        assert_eq!(stored, &block);
        assert_ne!(stored.bytes().as_ptr(), block.bytes().as_ptr());
        assert_eq!(
            stored.clone().bytes().as_ptr(),
            stored.bytes().as_ptr(),
            "clones share"
        );
    }
}
