//! What is told of a chain that is followed.

use std::fmt;

use uuid::Uuid;

use crate::wire::{BlockHash, BlockHeader};

/// The chain that a manager follows has another last block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NewTip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its header.
    pub header: BlockHeader,
    /// The peer from whom it was first heard of, as far as that is known.
    pub announced_by: Option<Uuid>,
    /// The blocks that have become part of the chain with it, upwards: itself alone most often, up to 2,000 while catching up.
    pub connected: Vec<BlockHash>,
    /// The blocks that are part of the chain no more, from the old tip downwards: not empty if the chain was reorganised.
    pub disconnected: Vec<BlockHash>,
    /// How many tips this receiver has missed before this one, because its queue was full.
    pub missed: u64,
}

impl fmt::Display for NewTip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} at height {}", self.hash, self.height)?;
        if self.connected.len() > 1 {
            write!(f, ", with {} before it", self.connected.len() - 1)?;
        }
        if !self.disconnected.is_empty() {
            write!(f, ", in place of {} blocks", self.disconnected.len())?;
        }
        if let Some(peer_id) = self.announced_by {
            write!(f, ", announced by {peer_id}")?;
        }
        if self.missed > 0 {
            write!(f, ", after {} that were missed", self.missed)?;
        }
        Ok(())
    }
}
