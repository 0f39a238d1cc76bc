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
mod tests;
