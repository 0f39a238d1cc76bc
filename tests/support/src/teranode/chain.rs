//! The chain of a scripted Teranode.

use std::collections::HashMap;

use bsv_p2p::Network;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{Block, BlockHash, BlockHeader, Tx};

use super::config::{HeaderOrder, TeranodeConfig};

/// Maximum number of headers in an answer.
pub(super) const MAX_HEADERS: usize = 2_000;

/// Maximum number of hashes in an answer to `getblocks`.
pub(super) const MAX_BLOCK_HASHES: usize = 500;

/// Time of the first mined block, in Unix seconds.
const FIRST_TIME: u32 = 1_700_000_000;

/// A chain from genesis. Blocks may be missing: such a block is served as a header only.
pub(super) struct ServedChain {
    headers: Vec<(BlockHash, BlockHeader)>,
    heights: HashMap<BlockHash, usize>,
    blocks: HashMap<BlockHash, Block>,
}

impl ServedChain {
    /// Creates the chain of a configuration.
    pub(super) fn new(config: &TeranodeConfig) -> Self {
        let mut chain = Self {
            headers: Vec::new(),
            heights: HashMap::new(),
            blocks: HashMap::new(),
        };
        if config.headers.is_empty() {
            chain.push(&Block::genesis(&Network::Regtest));
        }
        for header in &config.headers {
            chain.push_header(*header);
        }
        for _ in 0..config.blocks {
            chain.mine(&[]);
        }
        chain
    }

    pub(super) fn tip(&self) -> (usize, BlockHash) {
        let (hash, _) = self.headers.last().expect("a genesis block");
        (self.headers.len() - 1, *hash)
    }

    pub(super) fn hash_at(&self, height: usize) -> Option<BlockHash> {
        self.headers.get(height).map(|(hash, _)| *hash)
    }

    pub(super) fn header_at(&self, height: usize) -> Option<BlockHeader> {
        self.headers.get(height).map(|(_, header)| *header)
    }

    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.heights.contains_key(hash)
    }

    pub(super) fn block(&self, hash: &BlockHash) -> Option<&Block> {
        self.blocks.get(hash)
    }

    /// Removes the content of a block, so that only its header is served.
    pub(super) fn prune(&mut self, hash: &BlockHash) {
        self.blocks.remove(hash);
    }

    /// Mines a block above the tip.
    pub(super) fn mine(&mut self, transactions: &[Tx]) -> BlockHash {
        let (height, previous) = self.tip();
        let height = height as u32 + 1;
        let template = BlockTemplate::new(previous, height, FIRST_TIME + 600 * height, 7);
        let transactions = transactions.to_vec();
        let block = BlockTemplate {
            transactions,
            ..template
        };
        let block = block.mine();
        self.push(&block);
        block.hash()
    }

    /// Adds a block whose parent is the tip.
    pub(super) fn push(&mut self, block: &Block) {
        self.push_header(block.header());
        self.blocks.insert(block.hash(), block.to_owned_buffer());
    }

    fn push_header(&mut self, header: BlockHeader) {
        let hash = header.hash();
        self.heights.insert(hash, self.headers.len());
        self.headers.push((hash, header));
    }

    /// Returns the hashes of the last blocks, with growing steps, and genesis.
    pub(super) fn locator(&self) -> Vec<BlockHash> {
        let (mut height, mut step) = (self.tip().0, 1);
        let mut locator = Vec::new();
        while height > 0 {
            locator.push(self.headers[height].0);
            if locator.len() >= 10 {
                step *= 2;
            }
            height = height.saturating_sub(step);
        }
        locator.push(self.headers[0].0);
        locator
    }

    /// Returns the answer to `getheaders`, or `None` if there is none.
    pub(super) fn headers_for(
        &self,
        locator: &[BlockHash],
        order: HeaderOrder,
        serves_genesis: bool,
    ) -> Option<Vec<BlockHeader>> {
        // The highest one, whatever the order of the locator.
        let heights = locator.iter().filter_map(|hash| self.heights.get(hash));
        let ancestor = *heights.max()?;
        let end = self.headers.len().min(ancestor + MAX_HEADERS);
        let leaves_out_genesis = order == HeaderOrder::Descending || !serves_genesis;
        let first = match ancestor {
            0 if leaves_out_genesis => 1,
            _ => ancestor,
        };
        let headers = self.headers[first.min(end)..end].iter();
        let mut headers: Vec<_> = headers.map(|(_, header)| *header).collect();
        if order == HeaderOrder::Descending {
            headers.reverse();
        }
        (!headers.is_empty()).then_some(headers)
    }

    /// Returns the answer to `getblocks`: from the first hash of the locator backwards. Empty if
    /// that block is unknown.
    pub(super) fn hashes_for(&self, locator: &[BlockHash], stop: BlockHash) -> Vec<BlockHash> {
        let first = locator.first().and_then(|hash| self.heights.get(hash));
        let Some(first) = first else {
            return Vec::new();
        };
        let backwards = self.headers[..=*first].iter().rev();
        let hashes = backwards.map(|(hash, _)| *hash);
        let until_stop = hashes.take_while(|hash| *hash != stop);
        until_stop.take(MAX_BLOCK_HASHES).collect()
    }
}
