//! Results of adding headers to a chain.

use crate::wire::{BlockHash, ChainRuleError, ProofOfWorkError, Work};

/// The maximum height: the node stores heights as signed numbers of 32 bits.
pub(super) const MAX_HEIGHT: u32 = i32::MAX as u32;

/// The effect of headers that [`HeaderChain::extend`](super::HeaderChain::extend) accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ExtendOutcome {
    /// All headers were known.
    Known,
    /// The new headers are on a side chain.
    SideChain {
        /// The number of new headers.
        headers: usize,
    },
    /// The last header is the new tip.
    NewTip {
        /// The blocks that left the active chain, from the old tip downward. Empty unless the
        /// chain was reorganized.
        disconnected: Vec<BlockHash>,
        /// The blocks that joined the active chain, upward to the new tip.
        connected: Vec<BlockHash>,
    },
}

/// The reason why headers were not added to a chain. None of them is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderChainError {
    /// The parent of the first header is unknown.
    #[error("header {header} has unknown parent {parent}")]
    UnknownParent {
        /// The first header.
        header: BlockHash,
        /// Its parent.
        parent: BlockHash,
    },
    /// The headers do not link to each other.
    #[error("header {position} of the list: expected parent {expected}, got {got}")]
    NotLinked {
        /// The position of the header in the list, from 0.
        position: usize,
        /// The hash of the header before it.
        expected: BlockHash,
        /// The hash that it links to.
        got: BlockHash,
    },
    /// The hash of a header is not a proof of work. The height is unknown.
    #[error("header {position} of the list: proof of work is invalid")]
    ProofOfWork {
        /// The position of the header in the list, from 0.
        position: usize,
        /// The violated condition.
        #[source]
        error: ProofOfWorkError,
    },
    /// A header violates a rule of the network.
    #[error("header {hash} is invalid")]
    InvalidHeader {
        /// The position of the header in the list, from 0. The headers before it are valid.
        position: usize,
        /// The hash of the header.
        hash: BlockHash,
        /// The violated rule.
        #[source]
        error: ChainRuleError,
    },
    /// The side chains are full, and everything in them has at least as much work.
    #[error("side chain limit reached: {needed} headers needed, {available} available")]
    SideChainLimit {
        /// The number of headers to store.
        needed: usize,
        /// The number of headers that there is space for.
        available: usize,
    },
    /// A height exceeds the maximum.
    #[error("expected a height of at most {MAX_HEIGHT}, got {0}")]
    InvalidHeight(u32),
    /// A chain cannot start with so few trusted headers, because later rules could not be checked.
    #[error("expected at least {needed} trusted headers, got {got}")]
    TooFewTrusted {
        /// The number of headers needed.
        needed: usize,
        /// The number of headers given.
        got: usize,
    },
    /// A chain that starts at height 0 must start with the genesis header of its network.
    #[error("expected genesis header {expected}, got {got}")]
    GenesisMismatch {
        /// The hash of the genesis header.
        expected: BlockHash,
        /// The hash of the first header.
        got: BlockHash,
    },
    /// The total work is less than that of the headers.
    #[error("expected a total work of at least {minimum}, got {got}")]
    InvalidTotalWork {
        /// The work of the headers.
        minimum: Work,
        /// The total work given.
        got: Work,
    },
    /// A chain cannot start at this height.
    #[error("expected a checkpoint height of {possible:?}, got {height}")]
    InvalidStartHeight {
        /// The height requested.
        height: u32,
        /// The heights of the checkpoints at which a chain can start.
        possible: Vec<u32>,
    },
}

impl HeaderChainError {
    /// Returns the misbehavior score that a node gives the sender.
    ///
    /// Returns 0 for an unknown parent. A node scores it only for 8 or more headers (score 10), or
    /// in every tenth message (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`).
    pub const fn score(&self) -> u32 {
        match self {
            HeaderChainError::InvalidHeader { error, .. } => error.score(),
            HeaderChainError::ProofOfWork { .. } => 50,
            HeaderChainError::NotLinked { .. } => 20,
            _ => 0,
        }
    }

    /// Returns the position of the invalid header in the list, from 0.
    ///
    /// Like a node, a caller may add the headers before it. `None` for errors that concern the
    /// whole list.
    pub const fn position(&self) -> Option<usize> {
        match self {
            HeaderChainError::InvalidHeader { position, .. }
            | HeaderChainError::ProofOfWork { position, .. } => Some(*position),
            _ => None,
        }
    }

    /// Returns the violated rule, if the error is one of [`ChainRuleError`].
    pub const fn rule(&self) -> Option<&ChainRuleError> {
        match self {
            HeaderChainError::InvalidHeader { error, .. } => Some(error),
            _ => None,
        }
    }
}
