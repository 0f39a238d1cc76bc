//! The start of a chain to follow.

use crate::wire::{ChainRules, CheckpointStart, HeaderChain};

/// The start of a chain to follow; see [`Manager::follow_chain`](crate::Manager::follow_chain).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChainStart {
    /// The tip of a chain.
    Chain(Box<HeaderChain>),
    /// A checkpoint. The headers before it are downloaded first.
    Checkpoint(Box<CheckpointStart>),
}

impl ChainStart {
    /// Returns the rules of the chain.
    pub fn rules(&self) -> &ChainRules {
        match self {
            ChainStart::Chain(chain) => chain.rules(),
            ChainStart::Checkpoint(start) => start.rules(),
        }
    }
}

impl From<HeaderChain> for ChainStart {
    fn from(chain: HeaderChain) -> Self {
        ChainStart::Chain(Box::new(chain))
    }
}

impl From<CheckpointStart> for ChainStart {
    fn from(start: CheckpointStart) -> Self {
        ChainStart::Checkpoint(Box::new(start))
    }
}
