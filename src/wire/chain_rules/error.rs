//! The error of a header that violates a chain rule.

use crate::wire::{BlockHash, CompactTarget, ProofOfWorkError};

/// The chain rule that a header violates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainRuleError {
    /// The hash is not a proof of work for the target in `bits`, or the target is invalid.
    #[error("height {height}: proof of work is invalid")]
    ProofOfWork {
        /// The height of the header.
        height: u32,
        /// The violated condition.
        #[source]
        error: ProofOfWorkError,
    },
    /// The header has another difficulty than the chain requires at this height.
    #[error("height {height}: expected bits {expected}, got {got}")]
    BitsMismatch {
        /// The height of the header.
        height: u32,
        /// The required compact target.
        expected: CompactTarget,
        /// The compact target in the header.
        got: CompactTarget,
    },
    /// The time is not later than the median time of the last 11 headers.
    #[error("height {height}: expected a time after {median}, got {got}")]
    TimeTooOld {
        /// The height of the header.
        height: u32,
        /// The median time of the up to 11 headers before it, in Unix seconds.
        median: u32,
        /// The time in the header, in Unix seconds.
        got: u32,
    },
    /// The time is more than two hours ahead of the clock. The header may be accepted later.
    #[error("height {height}: expected a time of at most {latest}, got {got}")]
    TimeTooNew {
        /// The height of the header.
        height: u32,
        /// The latest accepted time, in Unix seconds.
        latest: u32,
        /// The time in the header, in Unix seconds.
        got: u32,
    },
    /// The block version is outdated at this height.
    #[error("height {height}: expected version {minimum} or higher, got {got}")]
    VersionTooLow {
        /// The height of the header.
        height: u32,
        /// The minimum version.
        minimum: i32,
        /// The version in the header.
        got: i32,
    },
    /// The header is not the checkpoint of its height.
    #[error("height {height}: expected checkpoint {expected}, got {got}")]
    CheckpointMismatch {
        /// The height of the checkpoint.
        height: u32,
        /// The hash of the checkpoint.
        expected: BlockHash,
        /// The hash of the header.
        got: BlockHash,
    },
    /// The branch leaves the active chain below its last checkpoint.
    #[error("height {height}: branch forks below the checkpoint at height {checkpoint}")]
    ForkBelowCheckpoint {
        /// The height of the header.
        height: u32,
        /// The height of the last checkpoint that the active chain contains.
        checkpoint: u32,
    },
    /// The chain starts above an ancestor whose fields a rule needs.
    #[error("height {height}: ancestor at height {needed} not found")]
    MissingAncestor {
        /// The height of the header.
        height: u32,
        /// The height of the missing ancestor.
        needed: u32,
    },
}

impl ChainRuleError {
    /// Returns the misbehavior score that a node gives the sender of such a header.
    ///
    /// Source: Bitcoin SV node 1.2.2, `src/validation.cpp` (`AcceptBlockHeader`,
    /// `ContextualCheckBlockHeader`).
    pub const fn score(&self) -> u32 {
        match self {
            ChainRuleError::BitsMismatch { .. }
            | ChainRuleError::CheckpointMismatch { .. }
            | ChainRuleError::ForkBelowCheckpoint { .. } => 100,
            ChainRuleError::ProofOfWork { .. } => 50,
            ChainRuleError::TimeTooOld { .. }
            | ChainRuleError::TimeTooNew { .. }
            | ChainRuleError::VersionTooLow { .. }
            | ChainRuleError::MissingAncestor { .. } => 0,
        }
    }

    /// Returns the height of the header.
    pub const fn height(&self) -> u32 {
        match self {
            ChainRuleError::ProofOfWork { height, .. }
            | ChainRuleError::BitsMismatch { height, .. }
            | ChainRuleError::TimeTooOld { height, .. }
            | ChainRuleError::TimeTooNew { height, .. }
            | ChainRuleError::VersionTooLow { height, .. }
            | ChainRuleError::CheckpointMismatch { height, .. }
            | ChainRuleError::ForkBelowCheckpoint { height, .. }
            | ChainRuleError::MissingAncestor { height, .. } => *height,
        }
    }

    /// Returns whether the header belongs to a chain that a checkpoint excludes.
    pub const fn is_other_chain(&self) -> bool {
        matches!(
            self,
            ChainRuleError::CheckpointMismatch { .. } | ChainRuleError::ForkBelowCheckpoint { .. }
        )
    }
}
