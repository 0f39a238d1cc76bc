//! The download of the trusted headers before a checkpoint.

use super::{HeaderBatch, HeaderChain, HeaderChainError};
use crate::wire::chain_rules::MIN_TRUSTED_HEADERS;
use crate::wire::{BlockHash, BlockHeader, ChainRuleError, ChainRules};

/// Starts a [`HeaderChain`] at a built-in checkpoint instead of the genesis block.
///
/// Collects the headers from the previous checkpoint to the selected one, which the rules require
/// as ancestors. If the last header is the checkpoint, all of them are trusted, because each header
/// commits to the previous one. Headers that do not link to the checkpoint are never added to the
/// chain.
///
/// The chain work below the first header is unknown, so [`HeaderChain::total_work`] counts from
/// there.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::wire::CheckpointStart;
///
/// let start = CheckpointStart::new(Network::Mainnet, 945_000)?;
/// assert_eq!(start.first_height(), 938_001);
/// // Send `getheaders` with `start.locator()`, pass the answer to `start.add`, and repeat until
/// // it returns the chain.
/// # Ok::<(), bsv_p2p::wire::HeaderChainError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointStart {
    rules: ChainRules,
    before: (u32, BlockHash),
    checkpoint: (u32, BlockHash),
    headers: Vec<BlockHeader>,
}

impl CheckpointStart {
    /// Prepares a start at the checkpoint of this height.
    ///
    /// # Errors
    ///
    /// [`HeaderChainError::InvalidStartHeight`] if there is no such checkpoint, or none at least 147
    /// blocks before it. On a chain whose difficulty is not yet set by the 144-block rule, the
    /// headers since the last retarget are needed as well.
    pub fn new(rules: impl Into<ChainRules>, height: u32) -> Result<Self, HeaderChainError> {
        let rules = rules.into();
        let start = possible_starts(&rules).find(|(_, checkpoint)| checkpoint.0 == height);
        let Some((before, checkpoint)) = start else {
            let possible = possible_starts(&rules).map(|(_, checkpoint)| checkpoint.0);
            let possible = possible.collect();
            return Err(HeaderChainError::InvalidStartHeight { height, possible });
        };
        Ok(Self {
            rules,
            before,
            checkpoint,
            headers: Vec::new(),
        })
    }

    /// Returns the height of the first header that is collected.
    pub fn first_height(&self) -> u32 {
        self.before.0 + 1
    }

    /// Returns the rules of the chain.
    pub fn rules(&self) -> &ChainRules {
        &self.rules
    }

    /// Returns the locator of the next request: one hash, after which the missing headers follow.
    pub fn locator(&self) -> Vec<BlockHash> {
        vec![self.last_hash()]
    }

    /// Adds the next headers. Returns the chain when they reach the checkpoint.
    ///
    /// Linkage and proof of work are verified at once, the checkpoint when it is reached. Headers
    /// after the checkpoint are added to the chain if they are valid at the time `now` (Unix
    /// seconds), and skipped otherwise. An empty list changes nothing.
    ///
    /// # Errors
    ///
    /// - [`HeaderChainError::UnknownParent`] if the first header does not link to the last one
    ///   collected.
    /// - [`HeaderChainError::NotLinked`] or [`HeaderChainError::ProofOfWork`] from the verification
    ///   of the list.
    /// - [`HeaderChainError::InvalidHeader`] if the checkpoint is another header. All collected
    ///   headers are dropped.
    pub fn add(
        &mut self,
        headers: &[BlockHeader],
        now: u32,
    ) -> Result<Option<HeaderChain>, HeaderChainError> {
        let batch = HeaderBatch::verify(&self.rules, headers)?;
        let (Some(first), Some(&hash)) = (headers.first(), batch.hashes().first()) else {
            return Ok(None);
        };
        if first.previous != self.last_hash() {
            return Err(HeaderChainError::UnknownParent {
                header: hash,
                parent: first.previous,
            });
        }
        let (height, expected) = self.checkpoint;
        let missing = (height - self.before.0) as usize - self.headers.len();
        if headers.len() < missing {
            self.headers.extend_from_slice(headers);
            return Ok(None);
        }
        let got = batch.hashes()[missing - 1];
        if got != expected {
            self.headers.clear();
            return Err(HeaderChainError::InvalidHeader {
                position: missing - 1,
                hash: got,
                error: ChainRuleError::CheckpointMismatch {
                    height,
                    expected,
                    got,
                },
            });
        }
        let (trusted, others) = headers.split_at(missing);
        let mut all = std::mem::take(&mut self.headers);
        all.extend_from_slice(trusted);
        let mut chain =
            HeaderChain::from_trusted(self.rules.clone(), &all, self.first_height(), None)?;
        // Invalid headers after the checkpoint are found again when they are requested again.
        let _ = chain.extend(others, now);
        Ok(Some(chain))
    }

    fn last_hash(&self) -> BlockHash {
        self.headers.last().map_or(self.before.1, BlockHeader::hash)
    }
}

type Checkpoint = (u32, BlockHash);

/// Returns the checkpoints at which a chain can start, each with the one before it.
fn possible_starts(rules: &ChainRules) -> impl Iterator<Item = (Checkpoint, Checkpoint)> + '_ {
    let checkpoints = rules.checkpoints();
    checkpoints.iter().filter_map(move |checkpoint| {
        let first = rules.first_needed_ancestor(checkpoint.0);
        let enough = |before: &&Checkpoint| {
            before.0 < first && checkpoint.0 - before.0 >= MIN_TRUSTED_HEADERS
        };
        let before = checkpoints.iter().rev().find(enough)?;
        Some((*before, *checkpoint))
    })
}
