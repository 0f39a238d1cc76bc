//! Whether what came is what was asked for, as far as its name does not say so.

use crate::error::Error;
use crate::wire::{Block, BlockHash};

/// Checks that a block's transactions are those which its header commits to. Hashes them all: whoever has asked does it, not who
/// reads.
pub(in crate::connection) fn check_block(
    block: Block,
    hash: BlockHash,
    peer: impl FnOnce() -> String,
) -> Result<Block, Error> {
    match block.check_merkle_root() {
        Ok(()) => Ok(block),
        Err(error) => Err(Error::InvalidBlock {
            peer: peer(),
            hash,
            error: Box::new(error.into()),
        }),
    }
}
