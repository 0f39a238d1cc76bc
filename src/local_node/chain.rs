//! A tree of blocks with its best branch.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::OnceLock;

use super::block_rules::{BlockRejectReason, check_transactions};
use super::mining::BlockTemplate;
use crate::network::Network;
use crate::session::ConfigError;
use crate::wire::{
    Ancestors, Block, BlockHash, BlockHeader, ChainRules, CompactTarget, DatarefTx, MerkleProof,
    Tx, Txid, compact_size_len,
};

/// The memory of a block in addition to its bytes, rounded up: its entries in the tables.
const BLOCK_OVERHEAD: u64 = 1024;

/// A tree of blocks above the genesis block of regtest, or of a private network.
///
/// The branch with the most work is the active chain, at any depth below the old tip. As all
/// blocks have the same work, this is the longest branch. Of two branches of equal length,
/// the one that was complete first is active. The other branches are kept, because they may grow.
///
/// A block is verified as far as its header commits to it; see [`accept`](Self::accept). Scripts,
/// spends, amounts and lock times are not verified.
///
/// # Memory
///
/// Mining is free, so the memory that remote peers can fill is bounded:
///
/// - All blocks together hold at most [`DEFAULT_MAX_BYTES`](Self::DEFAULT_MAX_BYTES), or the limit
///   of [`with_max_bytes`](Self::with_max_bytes). A block counts as its length and 1 KiB.
/// - At the limit, a new block evicts the last blocks of side branches with less work than its own,
///   least work first. Blocks of the active chain are never evicted. If this does not make enough
///   space, the new block is rejected. A branch can thus replace the active chain only while both
///   fit.
/// - A block is copied when it is accepted, so that it does not keep the larger payload it arrived
///   in.
#[derive(Clone)]
pub struct Chain {
    rules: ChainRules,
    blocks: HashMap<BlockHash, ChainEntry>,
    /// The active chain by height; never empty.
    active: Vec<BlockHash>,
    /// The headers of the active chain: peers that synchronize request all of them.
    headers: Vec<BlockHeader>,
    /// Heights and hashes of the blocks without children that are not active.
    side_tips: BTreeSet<(u32, BlockHash)>,
    bytes: u64,
    max_bytes: u64,
}

#[derive(Clone)]
struct ChainEntry {
    block: Block,
    height: u32,
    children: usize,
    /// The coinbase and its merkle proof, from the first use on. The transaction shares the bytes
    /// of the block.
    coinbase: OnceLock<Option<Box<DatarefTx>>>,
}

impl ChainEntry {
    fn new(block: Block, height: u32) -> Self {
        Self {
            block,
            height,
            children: 0,
            coinbase: OnceLock::new(),
        }
    }
}

/// The result of adding a valid block with [`Chain::accept`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// The block was already in the tree.
    Known,
    /// The block was added to a side branch.
    SideChain,
    /// The block is the new tip of the active chain.
    NewTip {
        /// The blocks that left the active chain, from the old tip downwards. Empty unless the
        /// chain was reorganized.
        disconnected: Vec<BlockHash>,
        /// The blocks that joined the active chain, upwards to the new tip.
        connected: Vec<BlockHash>,
    },
}

impl Chain {
    /// The default limit of the memory of all blocks, in bytes: 1 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

    /// Creates a chain with the genesis block of regtest alone.
    pub fn new() -> Self {
        Self::with_max_bytes(Self::DEFAULT_MAX_BYTES)
    }

    /// Creates a chain with the genesis block of regtest alone that holds at most `max_bytes`.
    pub fn with_max_bytes(max_bytes: u64) -> Self {
        Self::with_genesis(Network::Regtest, max_bytes)
    }

    /// Creates a chain with the genesis block of a network alone that holds at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the network has another difficulty than regtest: its blocks cannot be
    /// mined here. [`NetworkParams::retargeting`](crate::NetworkParams::retargeting) must be false,
    /// and the genesis block must have the easiest target of regtest.
    pub fn for_network(network: Network, max_bytes: u64) -> Result<Self, ConfigError> {
        let params = network.params();
        let is_easy = params.genesis_header.bits == Network::Regtest.proof_of_work_limit();
        ConfigError::unless(
            is_easy && !params.retargeting,
            "network",
            &network,
            "a network with the constant difficulty of regtest",
        )?;
        Ok(Self::with_genesis(network, max_bytes))
    }

    fn with_genesis(network: Network, max_bytes: u64) -> Self {
        let genesis = Block::genesis(&network);
        let hash = genesis.hash();
        let bytes = cost(&genesis);
        let headers = vec![genesis.header()];
        let entry = ChainEntry::new(genesis, 0);
        Self {
            rules: ChainRules::new(network),
            blocks: HashMap::from([(hash, entry)]),
            active: vec![hash],
            headers,
            side_tips: BTreeSet::new(),
            bytes,
            max_bytes,
        }
    }

    /// Adds a block to the tree if it satisfies the rules. `now` is the time in Unix seconds.
    ///
    /// Checks, in this order: whether the block is known, its parent, the [`ChainRules`] of the
    /// network, the available memory, the merkle root and the coinbase. Side branches with less
    /// work may be evicted to make space for the block.
    ///
    /// # Errors
    ///
    /// [`BlockRejectReason`] describes the first violated rule; the chain is then unchanged. A block with an
    /// unknown parent may be accepted after its parent.
    pub fn accept(&mut self, block: &Block, now: u32) -> Result<AcceptOutcome, BlockRejectReason> {
        let hash = block.hash();
        if self.contains(&hash) {
            return Ok(AcceptOutcome::Known);
        }
        let header = block.header();
        let height = self.check_header(&header, hash, now)?;
        let needed = cost(block);
        let evicted = self.find_evictable(needed, height, header.previous)?;
        check_transactions(block)?;

        evicted.iter().for_each(|hash| self.evict(hash));
        let parent = height - 1;
        if let Some(entry) = self.blocks.get_mut(&header.previous) {
            entry.children += 1;
            self.side_tips.remove(&(parent, header.previous));
        }
        self.blocks
            .insert(hash, ChainEntry::new(block.to_owned_buffer(), height));
        self.bytes += needed;

        if height > self.tip().0 {
            Ok(self.activate(hash))
        } else {
            self.side_tips.insert((height, hash));
            Ok(AcceptOutcome::SideChain)
        }
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        self.rules.network()
    }

    /// Returns the height and the hash of the last block of the active chain.
    pub fn tip(&self) -> (u32, BlockHash) {
        let height = self.active.len() - 1;
        (height as u32, self.active[height])
    }

    /// Returns the height of a block of any branch, if it is in the tree.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.blocks.get(hash).map(|entry| entry.height)
    }

    /// Returns the hash of the active chain's block at a height, if there is one.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// Returns a block of any branch, if it is in the tree. A clone of it shares its bytes.
    pub fn block(&self, hash: &BlockHash) -> Option<&Block> {
        self.blocks.get(hash).map(|entry| &entry.block)
    }

    /// Returns whether a block is in the tree, on any branch.
    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// Returns whether a block is on the active chain.
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        let height = self.height_of(hash);
        height.is_some_and(|height| self.hash_at(height) == Some(*hash))
    }

    /// Returns whether a block is `of` or an ancestor of `of`. Takes time in proportion to the depth
    /// of `of` on a side branch.
    pub(super) fn is_ancestor(&self, hash: &BlockHash, of: &BlockHash) -> bool {
        let ancestor = self.height_of(hash).and_then(|height| {
            let branch = self.branch(*of)?;
            branch.hash(height)
        });
        ancestor == Some(*hash)
    }

    /// Returns the header at a height of the branch that ends with `tip`.
    pub(super) fn header_on_branch(&self, tip: BlockHash, height: u32) -> Option<BlockHeader> {
        self.branch(tip)?.header(height)
    }

    /// Returns the rules that headers must satisfy.
    pub(super) fn rules(&self) -> &ChainRules {
        &self.rules
    }

    /// Returns the coinbase of a block and its merkle proof. The first call for a block hashes all
    /// its transactions.
    pub(super) fn coinbase(&self, hash: &BlockHash) -> Option<&DatarefTx> {
        let entry = self.blocks.get(hash)?;
        let coinbase = entry.coinbase.get_or_init(|| {
            let coinbase = coinbase_of(&entry.block, *hash)?;
            Some(Box::new(coinbase))
        });
        coinbase.as_deref()
    }

    /// Returns the headers of the active chain from a height on.
    pub(super) fn headers_from(&self, height: u32) -> &[BlockHeader] {
        self.headers.get(height as usize..).unwrap_or_default()
    }

    /// Returns the blocks of the active chain, from genesis to the tip.
    pub(super) fn active_blocks(&self) -> impl Iterator<Item = &Block> {
        self.active.iter().filter_map(|hash| self.block(hash))
    }

    /// Returns the median of the times of the last 11 blocks, in seconds since 1970. The time of
    /// the next block must be later.
    pub fn median_time_past(&self) -> u32 {
        // The tip and its ancestors are always in the tree.
        self.median_time_at(self.tip().1).unwrap_or_default()
    }

    /// Returns a template of the next block, with a coinbase alone.
    ///
    /// Its time is `now`, or the earliest time that the rules allow if `now` is too early. See
    /// [`BlockTemplate::extra_nonce`].
    pub fn template(&self, now: u32, extra_nonce: u64) -> BlockTemplate {
        let (height, tip) = self.tip();
        let time = now.max(self.median_time_past().saturating_add(1));
        BlockTemplate::new(tip, height + 1, time, extra_nonce)
    }

    /// Like [`template`](Self::template), but for the child of `parent`. Returns `None` if it is
    /// unknown.
    pub fn template_on(
        &self,
        parent: &BlockHash,
        now: u32,
        extra_nonce: u64,
    ) -> Option<BlockTemplate> {
        let height = self.height_of(parent)?;
        let time = now.max(self.median_time_at(*parent)?.saturating_add(1));
        Some(BlockTemplate::new(*parent, height + 1, time, extra_nonce))
    }

    /// Checks all rules of a header and returns its height.
    fn check_header(
        &self,
        header: &BlockHeader,
        hash: BlockHash,
        now: u32,
    ) -> Result<u32, BlockRejectReason> {
        let branch = self
            .branch(header.previous)
            .ok_or(BlockRejectReason::UnknownParent(header.previous))?;
        let height = branch.height + 1;
        self.rules.check_proof_of_work(height, header, hash)?;
        self.rules.check_header(&branch, header, hash, now)?;
        Ok(height)
    }

    /// Returns the branch that ends with a block of the tree.
    fn branch(&self, tip: BlockHash) -> Option<Branch<'_>> {
        let height = self.height_of(&tip)?;
        Some(Branch {
            chain: self,
            tip,
            height,
        })
    }

    /// Returns the median time of the last 11 headers that end with a block of the tree.
    fn median_time_at(&self, last: BlockHash) -> Option<u32> {
        let branch = self.branch(last)?;
        branch.median_time(branch.height)
    }

    /// Makes the branch that ends with `tip` the active chain.
    fn activate(&mut self, tip: BlockHash) -> AcceptOutcome {
        let (mut connected, mut headers) = (Vec::new(), Vec::new());
        let mut at = tip;
        while let Some(entry) = self.blocks.get(&at).filter(|_| !self.is_active(&at)) {
            let header = entry.block.header();
            connected.push(at);
            headers.push(header);
            at = header.previous;
        }
        connected.reverse();
        let old_tip = self.tip();
        // Every branch meets the active chain at the genesis block at the latest.
        let fork = self.height_of(&at).unwrap_or_default() as usize;
        let mut disconnected = self.active.split_off(fork + 1);
        if !disconnected.is_empty() {
            self.side_tips.insert(old_tip);
        }
        disconnected.reverse();
        self.active.extend_from_slice(&connected);
        self.headers.truncate(fork + 1);
        self.headers.extend(headers.into_iter().rev());
        AcceptOutcome::NewTip {
            disconnected,
            connected,
        }
    }

    /// Returns the blocks to evict, in this order, so that a block at `height` after `parent` fits.
    ///
    /// The blocks are the last ones of side branches lower than `height`, least work first. The
    /// time taken is proportional to `needed`.
    fn find_evictable(
        &self,
        needed: u64,
        height: u32,
        parent: BlockHash,
    ) -> Result<Vec<BlockHash>, BlockRejectReason> {
        let mut left = self.max_bytes.saturating_sub(self.bytes);
        let mut evicted = Vec::new();
        // The number of evicted children of blocks that have more of them.
        let mut orphaned: HashMap<BlockHash, usize> = HashMap::new();
        for &(_, tip) in self.side_tips.range(..(height, BlockHash::ZERO)) {
            let mut at = tip;
            while let Some(entry) = self.blocks.get(&at) {
                if needed <= left {
                    return Ok(evicted);
                }
                let gone = orphaned.get(&at).copied().unwrap_or_default();
                if at == parent || gone < entry.children {
                    break;
                }
                left += cost(&entry.block);
                evicted.push(at);
                at = entry.block.header().previous;
                *orphaned.entry(at).or_default() += 1;
            }
        }
        if needed <= left {
            return Ok(evicted);
        }
        let left = self.max_bytes.saturating_sub(self.bytes);
        Err(BlockRejectReason::ChainFull {
            needed,
            available: left,
        })
    }

    /// Removes a block of a side branch that has no children.
    fn evict(&mut self, hash: &BlockHash) {
        let Some(entry) = self.blocks.remove(hash) else {
            return;
        };
        self.side_tips.remove(&(entry.height, *hash));
        self.bytes -= cost(&entry.block);
        let parent = entry.block.header().previous;
        // An active block with side branches has an active child as well, so it is never childless.
        if let Some(entry) = self.blocks.get_mut(&parent) {
            entry.children -= 1;
            if entry.children == 0 {
                self.side_tips.insert((entry.height, parent));
            }
        }
    }
}

/// The branch of a chain that ends with `tip`.
struct Branch<'a> {
    chain: &'a Chain,
    tip: BlockHash,
    height: u32,
}

impl Branch<'_> {
    fn header(&self, height: u32) -> Option<BlockHeader> {
        let hash = self.hash(height)?;
        Some(self.chain.block(&hash)?.header())
    }

    /// Returns the hash of a block of the branch. Takes time in proportion to its depth on a side
    /// branch.
    fn hash(&self, height: u32) -> Option<BlockHash> {
        let chain = self.chain;
        let mut hash = self.tip;
        let mut entry = chain.blocks.get(&hash)?;
        while entry.height > height {
            hash = if chain.hash_at(entry.height) == Some(hash) {
                chain.hash_at(height)?
            } else {
                entry.block.header().previous
            };
            entry = chain.blocks.get(&hash)?;
        }
        (entry.height == height).then_some(hash)
    }
}

impl Ancestors for Branch<'_> {
    fn height(&self) -> u32 {
        self.height
    }

    fn time(&self, height: u32) -> Option<u32> {
        self.header(height).map(|header| header.time)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        self.header(height).map(|header| header.bits)
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

fn coinbase_of(block: &Block, hash: BlockHash) -> Option<DatarefTx> {
    let txids: Vec<Txid> = block.transactions().map(|tx| tx.txid()).collect();
    let first = BlockHeader::LEN + compact_size_len(txids.len() as u64) as usize;
    Some(DatarefTx {
        tx: Tx::from_payload(block.bytes().slice(first..)).ok()?,
        proof: MerkleProof::for_block(&txids, 0, hash)?,
    })
}

/// Returns the memory of a block that counts towards the limit of a chain.
fn cost(block: &Block) -> u64 {
    block.bytes().len() as u64 + BLOCK_OVERHEAD
}

#[cfg(test)]
mod tests;
