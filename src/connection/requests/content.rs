//! Content checks that the hash of an object does not cover.

use crate::error::Error;
use crate::wire::{Block, BlockHash};

/// Checks the transactions of a block against the merkle root of its header. It hashes all of them
/// and must not run on the thread that reads.
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
