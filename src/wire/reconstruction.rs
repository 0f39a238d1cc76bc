//! Reconstruction of a block from its compact form and known transactions.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    Block, BlockError, BlockHash, BlockTransactions, CompactBlock, CompactBlockError, GetBlockTxn,
    TransactionView, Tx, Txid,
};

/// The result of matching a compact block with a pool of transactions.
#[derive(Clone, Debug)]
pub enum ReconstructOutcome {
    /// The complete block. Its transactions match the merkle root of the header.
    Complete(Block),
    /// Some transactions must be requested.
    Incomplete(Reconstruction),
}

/// A block of which some transactions are missing.
///
/// The header is not checked. The caller should check its proof of work and that it belongs to a
/// chain ([`HeaderChain`](super::HeaderChain)) before reconstruction.
///
/// # Memory and work
///
/// Both are proportional to the size of the compact block and to the number of matching pool
/// transactions, for any content that the peer sends:
///
/// - 8 bytes for each short ID during the search of the pool;
/// - 4 bytes for each missing transaction afterwards;
/// - about 200 bytes for each matching transaction, whose bytes are shared with the pool.
///
/// Short IDs are sorted, not hashed, so no choice of IDs makes the search slow. A node aborts if
/// too many IDs share a slot of its hash table. This library has no such limit.
///
/// ```
/// use bsv_p2p::wire::{Block, BlockTransactions, CompactBlock};
/// use bsv_p2p::wire::{ReconstructOutcome, Reconstruction, Tx};
/// # use bsv_p2p::Network;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let block = Block::genesis(&Network::Regtest);
/// # let pool: Vec<Tx> = Vec::new();
/// # let max_block = 4_000_000_000;
/// let compact = CompactBlock::new(&block, 7); // what a peer sends
/// let candidates = pool.iter().map(|tx| (tx.txid(), tx));
/// let rebuilt = match Reconstruction::start(compact, max_block, candidates)? {
///     ReconstructOutcome::Complete(block) => block,
///     ReconstructOutcome::Incomplete(waiting) => {
///         let request = waiting.request();
///         // Send the request. The peer responds with these transactions.
///         waiting.fill(&BlockTransactions::for_request(&block, &request)?)?
///     }
/// };
/// assert_eq!(rebuilt, block);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Reconstruction {
    compact: CompactBlock,
    hash: BlockHash,
    /// The transactions found in the pool, by ascending index.
    found: Vec<(u32, Tx)>,
    /// The indexes of the missing transactions, ascending.
    missing: Vec<u32>,
}

/// The reason why a compact block could not be reconstructed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconstructionError {
    /// The compact block is invalid.
    #[error("compact block is invalid")]
    Invalid(#[from] CompactBlockError),
    /// The compact block has more transactions than a block of the maximum length can hold.
    #[error("expected at most {limit} transactions, got {got}")]
    TooManyTransactions {
        /// The maximum number of transactions in a block.
        limit: u64,
        /// The number of transactions in the compact block.
        got: u64,
    },
    /// Two transactions of the block have the same short ID.
    #[error("short ID {0:012x} is not unique in the block")]
    Collision(u64),
    /// The answer belongs to another block.
    #[error("expected transactions of block {expected}, got transactions of {got}")]
    BlockMismatch {
        /// The block that is being reconstructed.
        expected: BlockHash,
        /// The block of the answer.
        got: BlockHash,
    },
    /// The number of transactions in the answer differs from the number requested.
    #[error("expected {expected} transactions, got {got}")]
    CountMismatch {
        /// The number of missing transactions.
        expected: usize,
        /// The number of transactions in the answer.
        got: usize,
    },
    /// The transactions do not match the header. The peer need not be at fault, because a pool
    /// transaction may have the short ID of another transaction.
    #[error("reconstructed block is invalid")]
    InvalidBlock(#[from] BlockError),
}

impl ReconstructionError {
    /// Returns the score that the node adds to the peer: 100, which is a ban, or 0.
    ///
    /// Source: Bitcoin SV node, `src/net/net_processing.cpp`.
    pub const fn score(&self) -> u32 {
        match self {
            ReconstructionError::Invalid(_)
            | ReconstructionError::TooManyTransactions { .. }
            | ReconstructionError::CountMismatch { .. } => 100,
            ReconstructionError::Collision(_)
            | ReconstructionError::BlockMismatch { .. }
            | ReconstructionError::InvalidBlock(_) => 0,
        }
    }

    /// Returns whether the full block must be requested, as the node does.
    pub const fn needs_full_block(&self) -> bool {
        matches!(
            self,
            ReconstructionError::Collision(_) | ReconstructionError::InvalidBlock(_)
        )
    }
}

/// A transaction of the pool that has a short ID of the compact block.
struct PoolCandidate {
    txid: Txid,
    /// `None` if another transaction of the pool has the same short ID. Only the peer knows which
    /// of them is in the block.
    tx: Option<Tx>,
}

impl Reconstruction {
    /// Searches `candidates`, for example a pool, for the transactions of a compact block.
    ///
    /// Each candidate comes with its txid. Matching transactions are cloned, which shares their
    /// bytes. The iteration stops when all short IDs are found. `max_block` is the maximum length
    /// of an acceptable block, in bytes.
    ///
    /// # Errors
    ///
    /// - [`ReconstructionError::Invalid`] if the compact block is invalid.
    /// - [`ReconstructionError::TooManyTransactions`] if a block of `max_block` bytes cannot hold
    ///   the transactions.
    /// - [`ReconstructionError::Collision`] if two transactions of the block have the same short
    ///   ID.
    /// - [`ReconstructionError::InvalidBlock`] if no transaction is missing, but the block does not
    ///   match its header.
    ///
    /// [`score`](ReconstructionError::score) returns the penalty for the peer, and
    /// [`needs_full_block`](ReconstructionError::needs_full_block) whether to request the full
    /// block.
    pub fn start<T: Borrow<Tx>>(
        compact: CompactBlock,
        max_block: u64,
        candidates: impl IntoIterator<Item = (Txid, T)>,
    ) -> Result<ReconstructOutcome, ReconstructionError> {
        compact.check()?;
        // Indexes of transactions have 32 bits in all messages.
        let limit = (max_block / Block::MIN_TRANSACTION as u64).min(u64::from(u32::MAX));
        let got = compact.transaction_count() as u64;
        if got > limit {
            return Err(ReconstructionError::TooManyTransactions { limit, got });
        }
        let candidates = find_candidates(&compact, candidates)?;
        let (found, missing) = match_candidates(&compact, candidates);
        let this = Self {
            hash: compact.hash(),
            compact,
            found,
            missing,
        };
        if this.missing.is_empty() {
            let nothing = BlockTransactions::new(this.hash, &[]);
            this.fill(&nothing).map(ReconstructOutcome::Complete)
        } else {
            Ok(ReconstructOutcome::Incomplete(this))
        }
    }

    /// Returns the hash of the block.
    pub fn block(&self) -> BlockHash {
        self.hash
    }

    /// Returns the indexes of the missing transactions, ascending.
    pub fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// Returns the request for the missing transactions.
    ///
    /// A node may answer with the whole `block` instead, or not at all, as [`GetBlockTxn`]
    /// documents.
    pub fn request(&self) -> GetBlockTxn {
        GetBlockTxn::from_ascending(self.hash, &self.missing)
    }

    /// Builds the block from the transactions that the peer sent.
    ///
    /// # Errors
    ///
    /// - [`ReconstructionError::BlockMismatch`] if the answer belongs to another block.
    /// - [`ReconstructionError::CountMismatch`] if it has more or fewer transactions than requested.
    /// - [`ReconstructionError::InvalidBlock`] if the block does not match its header.
    pub fn fill(&self, answer: &BlockTransactions) -> Result<Block, ReconstructionError> {
        let (expected, got) = (self.hash, answer.block());
        if got != expected {
            return Err(ReconstructionError::BlockMismatch { expected, got });
        }
        let (expected, got) = (self.missing.len(), answer.transaction_count());
        if got != expected {
            return Err(ReconstructionError::CountMismatch { expected, got });
        }
        let found: usize = self.found.iter().map(|(_, tx)| tx.bytes().len()).sum();
        // An upper bound: both messages also have a few bytes between the transactions.
        let len = self.compact.bytes().len() + answer.bytes().len() + found;
        let count = self.compact.transaction_count();
        let block = Block::from_checked(&self.compact.header(), count, len, self.merged(answer));
        block.check_merkle_root()?;
        Ok(block)
    }

    /// Returns all transactions of the block in order, from the three sources.
    fn merged<'a>(
        &'a self,
        answer: &'a BlockTransactions,
    ) -> impl Iterator<Item = TransactionView<'a>> {
        let mut prefilled = self.compact.prefilled().peekable();
        let mut found = self.found.iter().peekable();
        let mut filled = answer.transactions();
        (0..self.compact.transaction_count() as u32).filter_map(move |index| {
            if let Some((_, tx)) = prefilled.next_if(|(at, _)| *at == u64::from(index)) {
                Some(tx)
            } else if let Some((_, tx)) = found.next_if(|(at, _)| *at == index) {
                Some(tx.view())
            } else {
                filled.next()
            }
        })
    }
}

/// Returns the candidates that match a short ID of the compact block.
fn find_candidates<T: Borrow<Tx>>(
    compact: &CompactBlock,
    candidates: impl IntoIterator<Item = (Txid, T)>,
) -> Result<HashMap<u64, PoolCandidate>, ReconstructionError> {
    let mut ids: Vec<u64> = compact.short_ids().collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ReconstructionError::Collision(twice[0]));
    }
    let key = compact.short_id_key();
    let mut found = HashMap::new();
    let mut candidates = candidates.into_iter();
    while found.len() < ids.len()
        && let Some((txid, tx)) = candidates.next()
    {
        let id = key.short_id(&txid);
        if ids.binary_search(&id).is_err() {
            continue;
        }
        match found.entry(id) {
            Entry::Vacant(entry) => {
                let tx = Some(tx.borrow().clone());
                entry.insert(PoolCandidate { txid, tx });
            }
            Entry::Occupied(mut other) if other.get().txid != txid => other.get_mut().tx = None,
            Entry::Occupied(_) => {}
        }
    }
    Ok(found)
}

/// Assigns each candidate its index in the block, and returns the indexes that remain.
fn match_candidates(
    compact: &CompactBlock,
    mut candidates: HashMap<u64, PoolCandidate>,
) -> (Vec<(u32, Tx)>, Vec<u32>) {
    let matching = candidates
        .values()
        .filter(|candidate| candidate.tx.is_some());
    let matching = matching.count();
    let mut found = Vec::with_capacity(matching);
    let mut missing = Vec::with_capacity(compact.short_ids().len().saturating_sub(matching));
    let mut prefilled = compact.prefilled().map(|(index, _)| index).peekable();
    let mut ids = compact.short_ids();
    // The compact block was checked: it has at most 2^32 transactions, and one short ID for each
    // that is not prefilled.
    for index in 0..compact.transaction_count() as u32 {
        if prefilled.next_if_eq(&u64::from(index)).is_some() {
            continue;
        }
        let candidate = ids.next().and_then(|id| candidates.remove(&id));
        match candidate.and_then(|candidate| candidate.tx) {
            Some(tx) => found.push((index, tx)),
            None => missing.push(index),
        }
    }
    (found, missing)
}

#[cfg(test)]
mod tests;
