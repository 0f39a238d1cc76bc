//! A block out of its compact form and the transactions that are there already.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    Block, BlockError, BlockHash, BlockTransactions, CompactBlock, CompactBlockError, GetBlockTxn,
    TransactionView, Tx, Txid,
};

/// What came of a compact block and a pool of transactions.
#[derive(Clone, Debug)]
pub enum ReconstructOutcome {
    /// The whole block; its transactions are those which its header commits to.
    Complete(Block),
    /// Some transactions have to be asked for.
    Incomplete(Reconstruction),
}

/// A block of which some transactions are missing.
///
/// The header is not judged here: check that it belongs to a chain and has its proof of work
/// ([`HeaderChain`](super::HeaderChain)) before any work is done for what it commits to.
///
/// # Memory and work
///
/// Both are proportional to the compact block and to what matches of the pool, whatever the peer sends: 8 bytes for
/// each short id while the pool is looked through, 4 bytes for each missing transaction afterwards, and about 200
/// bytes for each that matches, whose bytes are shared with the pool. Short ids are sorted, not hashed, so no choice
/// of them makes looking up slow: where the node gives up on ids that crowd its table, nothing is amiss here.
///
/// ```
/// use bsv_p2p::wire::{Block, BlockTransactions, CompactBlock, ReconstructOutcome, Reconstruction, Tx};
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
///         let request = waiting.request(); // … send it; this is what the peer answers:
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
    /// What the pool had, by ascending index.
    found: Vec<(u32, Tx)>,
    /// The indexes of what is missing, ascending.
    missing: Vec<u32>,
}

/// Why a compact block does not become a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconstructionError {
    /// The compact block can be no block at all.
    #[error("the compact block is invalid: {0}")]
    Invalid(#[from] CompactBlockError),
    /// More transactions than a block of the greatest length can hold.
    #[error("the compact block has {got} transactions, a block can have {limit}")]
    TooManyTransactions {
        /// How many a block can have.
        limit: u64,
        /// How many the compact block has.
        got: u64,
    },
    /// Two transactions of the block have the same short id.
    #[error("two transactions of the block have the short id {0:012x}")]
    Collision(u64),
    /// The answer is for another block.
    #[error("transactions of block {got} came, expected those of {expected}")]
    OtherBlock {
        /// The block that is being reconstructed.
        expected: BlockHash,
        /// The block that the answer is for.
        got: BlockHash,
    },
    /// The answer has more or fewer transactions than were asked for.
    #[error("{got} transactions came, expected {expected}")]
    WrongCount {
        /// How many are missing.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// The transactions are not those which the header commits to. A transaction of the pool may have the short
    /// id of another one, so nobody need be at fault.
    #[error("the reconstructed block is another one: {0}")]
    Content(#[from] BlockError),
}

impl ReconstructionError {
    /// How much the node counts it against the peer (Bitcoin SV node, `src/net/net_processing.cpp`): 100, which is a
    /// ban, or 0.
    pub const fn score(&self) -> u32 {
        match self {
            ReconstructionError::Invalid(_)
            | ReconstructionError::TooManyTransactions { .. }
            | ReconstructionError::WrongCount { .. } => 100,
            ReconstructionError::Collision(_)
            | ReconstructionError::OtherBlock { .. }
            | ReconstructionError::Content(_) => 0,
        }
    }

    /// Whether the block has to be asked for as a whole, as the node does then.
    pub const fn needs_full_block(&self) -> bool {
        matches!(
            self,
            ReconstructionError::Collision(_) | ReconstructionError::Content(_)
        )
    }
}

/// What the pool has for a short id.
struct Candidate {
    txid: Txid,
    /// Not there if another transaction of the pool has the same short id: only the peer knows which one is meant.
    tx: Option<Tx>,
}

impl Reconstruction {
    /// Looks for the transactions of a compact block among `candidates`, a pool for instance, each with its
    /// txid. Those which are needed are cloned, which shares their bytes. Not all candidates are taken if fewer do.
    ///
    /// `max_block` is the length in bytes of the longest block that is acceptable.
    ///
    /// # Errors
    ///
    /// [`ReconstructionError`]: whether the peer is to blame, and what to do, say
    /// [`score`](ReconstructionError::score) and [`needs_full_block`](ReconstructionError::needs_full_block).
    pub fn start<T: Borrow<Tx>>(
        compact: CompactBlock,
        max_block: u64,
        candidates: impl IntoIterator<Item = (Txid, T)>,
    ) -> Result<ReconstructOutcome, ReconstructionError> {
        compact.check()?;
        // An index has 32 bits wherever it is sent.
        let limit = (max_block / Block::MIN_TRANSACTION as u64).min(u64::from(u32::MAX));
        let got = compact.transaction_count() as u64;
        if got > limit {
            return Err(ReconstructionError::TooManyTransactions { limit, got });
        }
        let candidates = find_candidates(&compact, candidates)?;
        let (found, missing) = place(&compact, candidates);
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

    /// The block's name.
    pub fn block(&self) -> BlockHash {
        self.hash
    }

    /// The indexes of the missing transactions, ascending.
    pub fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// What to send for the missing transactions.
    ///
    /// A node may answer with the whole `block` instead, or not at all: see [`GetBlockTxn`].
    pub fn request(&self) -> GetBlockTxn {
        GetBlockTxn::of_ascending(self.hash, &self.missing)
    }

    /// Puts the block together with what the peer has sent for the missing transactions.
    ///
    /// # Errors
    ///
    /// [`ReconstructionError::OtherBlock`], [`ReconstructionError::WrongCount`] and
    /// [`ReconstructionError::Content`].
    pub fn fill(&self, answer: &BlockTransactions) -> Result<Block, ReconstructionError> {
        let (expected, got) = (self.hash, answer.block());
        if got != expected {
            return Err(ReconstructionError::OtherBlock { expected, got });
        }
        let (expected, got) = (self.missing.len(), answer.transaction_count());
        if got != expected {
            return Err(ReconstructionError::WrongCount { expected, got });
        }
        let found: usize = self.found.iter().map(|(_, tx)| tx.bytes().len()).sum();
        // A few bytes too many: what stands between the transactions in both messages.
        let len = self.compact.bytes().len() + answer.bytes().len() + found;
        let count = self.compact.transaction_count();
        let block = Block::of_checked(&self.compact.header(), count, len, self.merged(answer));
        block.check_merkle_root()?;
        Ok(block)
    }

    /// All transactions in order, each from where it is.
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

/// The candidates that the short ids of a compact block name.
fn find_candidates<T: Borrow<Tx>>(
    compact: &CompactBlock,
    candidates: impl IntoIterator<Item = (Txid, T)>,
) -> Result<HashMap<u64, Candidate>, ReconstructionError> {
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
            Entry::Vacant(place) => {
                let tx = Some(tx.borrow().clone());
                place.insert(Candidate { txid, tx });
            }
            Entry::Occupied(mut other) if other.get().txid != txid => other.get_mut().tx = None,
            Entry::Occupied(_) => {}
        }
    }
    Ok(found)
}

/// Gives each candidate its index in the block, and tells which indexes are left.
fn place(
    compact: &CompactBlock,
    mut candidates: HashMap<u64, Candidate>,
) -> (Vec<(u32, Tx)>, Vec<u32>) {
    let matching = candidates
        .values()
        .filter(|candidate| candidate.tx.is_some());
    let matching = matching.count();
    let mut found = Vec::with_capacity(matching);
    let mut missing = Vec::with_capacity(compact.short_ids().len().saturating_sub(matching));
    let mut prefilled = compact.prefilled().map(|(index, _)| index).peekable();
    let mut ids = compact.short_ids();
    // The compact block has been checked: it has no more than 2^32 transactions, and a short id for each that is not
    // prefilled.
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
