//! Requests for blocks.
//!
//! A node does not report a missing block, but it reports each missing transaction. Each request
//! therefore ends with an end marker, a transaction that no peer has. If the marker is reported and
//! no block has arrived, the peer does not have the block: see
//! [`ReplyTracker`](super::reply_tracker::ReplyTracker).

use std::collections::HashMap;

use super::pending_queue::PendingQueue;
use super::ticket::{Failure, Responder};
use crate::connection::block_reader::BlockReader;
use crate::error::Error;
use crate::session::DisconnectReason;
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

#[derive(Debug, Default)]
pub(super) struct BlockRequests {
    open: PendingQueue<BlockHash, Block>,
    /// Requests for blocks of any size that are read while they arrive.
    readers: PendingQueue<BlockHash, BlockReader<'static>>,
    /// Blocks that answered a request while others for them remain open. The peer may send a copy
    /// for each request, or a single one.
    seen: HashMap<BlockHash, Block>,
}

impl BlockRequests {
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.readers.len()
    }

    /// Returns the number of block reader requests whose block has not started to arrive.
    pub(super) fn readers(&self) -> usize {
        self.readers.len()
    }

    pub(super) fn open_reader(
        &mut self,
        id: u64,
        hash: BlockHash,
        responder: Responder<BlockReader<'static>>,
    ) {
        self.readers.open(id, hash, responder);
    }

    pub(super) fn open(&mut self, id: u64, hash: BlockHash, responder: Responder<Block>) {
        self.open.open(id, hash, responder);
    }

    /// Handles the start of a block. Returns the request of a block reader and its responder, if
    /// the oldest request for the block is for a reader.
    pub(super) fn claim(
        &mut self,
        hash: BlockHash,
    ) -> Option<(u64, Responder<BlockReader<'static>>)> {
        let reader = self.readers.first(hash)?;
        if self.open.first(hash).is_some_and(|whole| whole < reader) {
            return None;
        }
        let (_, responder) = self.readers.take(reader)?;
        Some((reader, responder))
    }

    /// Answers the oldest request for this block and returns it.
    pub(super) fn on_block(&mut self, block: &Block) -> Option<u64> {
        if self.open.len() == 0 {
            return None;
        }
        let hash = block.hash();
        let id = self.open.first(hash)?;
        self.open.end(id, Ok(block.clone()));
        if self.open.first(hash).is_some() {
            self.seen.insert(hash, block.clone());
        } else {
            self.seen.remove(&hash);
        }
        Some(id)
    }

    /// Handles a `notfound` entry for the block itself. It ends the oldest request for the block,
    /// which is returned.
    pub(super) fn on_missing(&mut self, hash: BlockHash) -> Option<u64> {
        let oldest = [self.open.first(hash), self.readers.first(hash)];
        let id = oldest.into_iter().flatten().min()?;
        self.end_unanswered(id);
        Some(id)
    }

    /// Assigns a discarded block to the oldest request for it, which is returned.
    pub(super) fn on_discarded(&mut self, hash: BlockHash, failure: Failure) -> Option<u64> {
        let id = self.open.first(hash)?;
        self.open.end(id, Err(failure));
        self.forget(hash);
        Some(id)
    }

    /// Ends a request for which the peer sends no copy.
    pub(super) fn end_unanswered(&mut self, id: u64) {
        let seen = |hash| self.seen.get(&hash).cloned();
        if let Some((hash, responder)) = self.open.take(id) {
            responder.answer(seen(hash).ok_or(Failure::NotFound(hash)));
            self.forget(hash);
        } else if let Some((hash, responder)) = self.readers.take(id) {
            responder.answer(Err(Failure::NotFound(hash)));
        }
    }

    /// Cancels a request, with the copy of the block if there is one. Returns whether it was open.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let Some((hash, responder)) = self.open.take(id) else {
            return self.readers.take(id).is_some();
        };
        if let Some(block) = self.seen.get(&hash) {
            responder.answer(Ok(block.clone()));
        }
        self.forget(hash);
        true
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
        self.readers.close(reason);
        self.seen.clear();
    }

    /// Drops the copy of a block that no open request is for.
    fn forget(&mut self, hash: BlockHash) {
        if self.open.first(hash).is_none() {
            self.seen.remove(&hash);
        }
    }
}
