//! The update that subscribers of the followed chain receive.

use std::fmt;

use crate::peers::PeerRef;
use crate::wire::{BlockHash, BlockHeader};

/// A change of the last block of the chain that a manager follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TipUpdate {
    /// The hash of the new tip.
    pub hash: BlockHash,
    /// The height of the new tip.
    pub height: u32,
    /// The header of the new tip.
    pub header: BlockHeader,
    /// The connected peer that announced the block first. `None` if no peer announced it.
    pub announced_by: Option<PeerRef>,
    /// The blocks that joined the active chain, in ascending order. The last one is the tip.
    ///
    /// Contains one hash in normal operation, and up to 2,000 during the initial download. Contains
    /// all collected blocks when a start at a checkpoint is complete.
    pub connected: Vec<BlockHash>,
    /// The blocks that left the active chain, from the old tip downwards. Empty unless the chain
    /// was reorganized.
    pub disconnected: Vec<BlockHash>,
    /// The number of updates that were discarded before this one because the receiver was full.
    pub skipped: u64,
}

impl fmt::Display for TipUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} at height {}", self.hash, self.height)?;
        if self.connected.len() > 1 {
            write!(f, ", {} blocks connected", self.connected.len())?;
        }
        match self.disconnected.len() {
            0 => {}
            1 => f.write_str(", 1 block disconnected")?,
            more => write!(f, ", {more} blocks disconnected")?,
        }
        if let Some(peer) = self.announced_by {
            write!(f, ", announced by {peer}")?;
        }
        match self.skipped {
            0 => Ok(()),
            1 => f.write_str(", 1 update skipped"),
            more => write!(f, ", {more} updates skipped"),
        }
    }
}
