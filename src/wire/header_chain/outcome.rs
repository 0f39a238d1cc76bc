//! What becomes of headers that are given to a chain.

use crate::wire::{BlockHash, ProofOfWorkError};

/// Heights are signed numbers of 32 bits in the node.
pub(super) const MAX_HEIGHT: u32 = i32::MAX as u32;

/// What became of headers that [`HeaderChain::extend`](super::HeaderChain::extend) did not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Extended {
    /// All were there already.
    Known,
    /// The new ones are kept on a branch that is not the active chain.
    SideChain {
        /// How many were new.
        headers: usize,
    },
    /// The last one is the new tip.
    NewTip {
        /// The blocks that left the active chain, from the old tip downwards. Empty unless the chain was
        /// reorganised.
        disconnected: Vec<BlockHash>,
        /// The blocks that joined the active chain, upwards to the new tip.
        connected: Vec<BlockHash>,
    },
}

/// Why headers are not kept. The chain is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderChainError {
    /// The header before the first one is not there.
    #[error("header {header} follows {parent}, which is unknown")]
    UnknownParent {
        /// The first header.
        header: BlockHash,
        /// What it says it follows.
        parent: BlockHash,
    },
    /// The headers are not a chain.
    #[error("header {position} of the list follows {got}, expected {expected}")]
    NotLinked {
        /// The header's place in the list, from 0.
        position: usize,
        /// The hash of the header before it.
        expected: BlockHash,
        /// What it says it follows.
        got: BlockHash,
    },
    /// A header has no proof of work.
    #[error("header {position} of the list: {error}")]
    ProofOfWork {
        /// The header's place in the list, from 0.
        position: usize,
        /// What is wrong with it.
        error: ProofOfWorkError,
    },
    /// The branch leaves the active chain too far below the tip.
    #[error(
        "the branch leaves the chain {depth} blocks below the tip, at most {limit} are allowed"
    )]
    ForkTooDeep {
        /// How far below.
        depth: u32,
        /// How far it may be.
        limit: u32,
    },
    /// There are too many headers beside the active chain.
    #[error("the branch needs room for {needed} headers beside the chain, {left} are left")]
    NoRoom {
        /// How many more would have to be kept.
        needed: usize,
        /// For how many there is room.
        left: usize,
    },
    /// A checkpoint's height that no block can have.
    #[error("height {0} is above {MAX_HEIGHT}, the highest there is")]
    BadHeight(u32),
}
