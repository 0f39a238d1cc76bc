//! Creates header chains.

use super::active_chain::ActiveChain;
use super::error::MAX_HEIGHT;
use super::side_chains::SideChains;
use super::window::{BranchView, Window};
use super::{HeaderBatch, HeaderChain, HeaderChainError};
use crate::wire::chain_rules::MIN_TRUSTED_HEADERS;
use crate::wire::{BlockHash, BlockHeader, ChainRuleError, ChainRules, Work};

impl HeaderChain {
    /// The minimum capacity for side headers, unless [`HeaderChain::with_side_capacity`] sets
    /// another one.
    pub const MIN_SIDE_CAPACITY: usize = 100_000;

    /// Creates a chain of the genesis header alone.
    pub fn new(rules: impl Into<ChainRules>) -> Self {
        let rules = rules.into();
        let genesis = rules.genesis();
        Self::starting_with(rules, genesis, 0, genesis.bits.work(), true)
    }

    /// Creates a chain from headers that the caller trusts.
    ///
    /// The first header has the height `first_height`. `total_work` is the work of the whole chain
    /// up to the last header, like the `chainwork` of a node. If it is `None`, the work is unknown:
    /// [`HeaderChain::total_work`] counts from the first header, and
    /// [`HeaderChain::has_minimum_work`] requires the last checkpoint.
    ///
    /// Linkage, proof of work and checkpoints of the headers are verified. The other rules are
    /// verified from the 148th header on, whose ancestors are known.
    ///
    /// # Errors
    ///
    /// - [`HeaderChainError::TooFewTrusted`] if the rules could not verify the next headers: 147
    ///   headers are needed, and before the 144-block rule those since the last retarget. A chain
    ///   that starts at height 0 needs one header.
    /// - [`HeaderChainError::NotLinked`], [`HeaderChainError::ProofOfWork`] or
    ///   [`HeaderChainError::InvalidHeader`] if a header violates a rule.
    /// - [`HeaderChainError::GenesisMismatch`] if the header at height 0 is not the genesis header.
    /// - [`HeaderChainError::InvalidTotalWork`] if `total_work` is below the work of the headers.
    /// - [`HeaderChainError::InvalidHeight`] if a height exceeds 2^31 - 1.
    pub fn from_trusted(
        rules: impl Into<ChainRules>,
        headers: &[BlockHeader],
        first_height: u32,
        total_work: impl Into<Option<Work>>,
    ) -> Result<Self, HeaderChainError> {
        let (rules, total_work) = (rules.into(), total_work.into());
        let got = headers.len();
        let above = u32::try_from(got.saturating_sub(1)).unwrap_or(u32::MAX);
        let last_height = first_height.saturating_add(above);
        if last_height > MAX_HEIGHT {
            return Err(HeaderChainError::InvalidHeight(last_height));
        }
        let needed = if first_height == 0 {
            1
        } else {
            let by_rules = last_height.saturating_sub(rules.first_needed_ancestor(last_height));
            (by_rules + 1).max(MIN_TRUSTED_HEADERS) as usize
        };
        let Some(first) = headers.first().filter(|_| got >= needed) else {
            return Err(HeaderChainError::TooFewTrusted { needed, got });
        };
        let batch = HeaderBatch::verify(&rules, headers)?;
        check_start(&rules, &batch, first_height)?;
        let works = headers.iter().map(|header| header.bits.work());
        let minimum: Work = works.sum();
        let total = total_work.unwrap_or(minimum);
        if total < minimum {
            return Err(HeaderChainError::InvalidTotalWork {
                minimum,
                got: total,
            });
        }
        let below = total.saturating_sub(minimum);
        let mut work = below.saturating_add(first.bits.work());
        let is_work_known = total_work.is_some() || first_height == 0;
        let mut chain = Self::starting_with(rules, *first, first_height, work, is_work_known);
        // With this many headers the rules have all ancestors but those of a 2,016-block retarget.
        let unchecked = if first_height == 0 {
            1
        } else {
            MIN_TRUSTED_HEADERS as usize
        };
        for (position, (header, hash)) in headers.iter().zip(batch.hashes()).enumerate().skip(1) {
            if position >= unchecked {
                chain.check_trusted(position, header, *hash)?;
            }
            work = work.saturating_add(header.bits.work());
            chain.active.extend(&[*header], &[*hash], &[work]);
            if let Some(window) = &mut chain.window {
                window.push(header.time, header.bits);
            }
        }
        Ok(chain)
    }

    /// Verifies the next trusted header, except for rules whose ancestors are unknown.
    fn check_trusted(
        &self,
        position: usize,
        header: &BlockHeader,
        hash: BlockHash,
    ) -> Result<(), HeaderChainError> {
        let Some(window) = &self.window else {
            return Ok(());
        };
        let branch = BranchView::new(self, self.tip(), &[], window);
        match self.rules.check_header(&branch, header, hash, u32::MAX) {
            Ok(()) | Err(ChainRuleError::MissingAncestor { .. }) => Ok(()),
            Err(error) => Err(HeaderChainError::InvalidHeader {
                position,
                hash,
                error,
            }),
        }
    }

    fn starting_with(
        rules: ChainRules,
        header: BlockHeader,
        height: u32,
        work: Work,
        is_work_known: bool,
    ) -> Self {
        Self {
            rules,
            active: ActiveChain::new(header, height, work),
            is_work_known,
            side_chains: SideChains::new(),
            side_capacity: None,
            window: Some(Window::new(height, &header, work)),
        }
    }

    /// Sets the maximum number of side headers.
    ///
    /// Defaults to the length of the active chain above its last checkpoint, and at least to
    /// [`HeaderChain::MIN_SIDE_CAPACITY`]. The maximum depth of a reorganization is the capacity,
    /// divided by the number of sources that compete for it.
    pub fn with_side_capacity(mut self, headers: usize) -> Self {
        self.side_capacity = Some(headers);
        self.side_chains.shrink_to(headers);
        self
    }
}

/// Checks that trusted headers start with the genesis header and contain the checkpoints.
fn check_start(
    rules: &ChainRules,
    batch: &HeaderBatch<'_>,
    first_height: u32,
) -> Result<(), HeaderChainError> {
    if let Some(&got) = batch.hashes().first().filter(|_| first_height == 0) {
        let expected = rules.genesis().hash();
        if got != expected {
            return Err(HeaderChainError::GenesisMismatch { expected, got });
        }
    }
    for (height, expected) in rules.checkpoints() {
        let position = height.checked_sub(first_height).map(|at| at as usize);
        let got = position.and_then(|at| batch.hashes().get(at).copied());
        if let (Some(position), Some(got)) = (position, got)
            && got != *expected
        {
            let (height, expected) = (*height, *expected);
            let error = ChainRuleError::CheckpointMismatch {
                height,
                expected,
                got,
            };
            return Err(HeaderChainError::InvalidHeader {
                position,
                hash: got,
                error,
            });
        }
    }
    Ok(())
}
