//! Requests for blocks.
//!
//! A node does not report a missing block, but it reports each missing transaction. Each request
//! therefore ends with an end marker, a transaction that no peer has. If the marker is reported and
//! no block has arrived, the peer does not have the block.
//!
//! With two streams, the marker may overtake the block. A ping, the fence, is then sent after it.
//! Its pong arrives on the stream of the blocks. See [`AnswerEnd`].

use std::collections::BTreeSet;

use super::failure::Failure;
use super::order::{AnswerEnd, Streams};
use super::questions::{Questions, Waiter};
use crate::connection::block_reader::BlockReader;
use crate::session::DisconnectReason;
use crate::wire::{Block, BlockHash, StreamType};

/// The maximum number of cancelled requests that are remembered.
pub(super) const MAX_LEFT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Questions<BlockQuestion, Block>,
    /// Requests for blocks of any size that are read while they arrive.
    readers: Questions<ReaderQuestion, BlockReader<'static>>,
    /// Cancelled requests whose answers may still arrive.
    left: BTreeSet<u64>,
    streams: Streams,
    /// Whether an end marker may have been reported since the last fence.
    may_want_fence: bool,
}

#[derive(Debug)]
struct BlockQuestion {
    hash: BlockHash,
    /// The block that answered another request. The peer may send a further copy for this one.
    seen: Option<Block>,
    end: AnswerEnd,
}

#[derive(Debug)]
struct ReaderQuestion {
    hash: BlockHash,
    end: AnswerEnd,
}

impl BlockQuestion {
    /// Returns the answer if no further copy arrives.
    fn without_copy(self) -> Result<Block, Failure> {
        self.seen.ok_or(Failure::NotFound(self.hash))
    }
}

impl Blocks {
    /// Sets the number of streams. With one stream, a request ends if its end marker was reported.
    pub(super) fn set_streams(&mut self, streams: Streams) {
        self.streams = streams;
        if streams == Streams::One {
            self.end_all(|end| end.is_named());
        }
    }

    /// Returns whether a ping must be sent after an end marker that has arrived.
    pub(super) fn want_fence(&self) -> bool {
        let mut ends = self.ends();
        self.streams == Streams::Two && self.may_want_fence && ends.any(AnswerEnd::wants_fence)
    }

    /// Records a ping that is sent for all requests that need one.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.may_want_fence = false;
        self.ends_mut().for_each(|(_, end)| end.on_fence(nonce));
    }

    pub(super) fn on_pong(&mut self, nonce: u64, from: StreamType) {
        self.end_all(|end| end.on_pong(nonce, from));
    }

    pub(super) fn len(&self) -> usize {
        self.open.len() + self.readers.len()
    }

    /// Returns the number of block reader requests whose block has not started to arrive.
    pub(super) fn readers(&self) -> usize {
        self.readers.len()
    }

    pub(super) fn ask_reader(
        &mut self,
        id: u64,
        hash: BlockHash,
        waiter: Waiter<BlockReader<'static>>,
    ) {
        let end = AnswerEnd::new(self.streams);
        self.readers.open(id, ReaderQuestion { hash, end }, waiter);
    }

    pub(super) fn ask(&mut self, id: u64, hash: BlockHash, waiter: Waiter<Block>) {
        let (seen, end) = (None, AnswerEnd::new(self.streams));
        self.open
            .open(id, BlockQuestion { hash, seen, end }, waiter);
    }

    /// Handles the start of a block. Returns the waiter of the block reader, if the oldest request
    /// for the block is for a reader.
    pub(super) fn claim(&mut self, hash: BlockHash) -> Option<Waiter<BlockReader<'static>>> {
        let reader = self.readers.first(|wanted| wanted.hash == hash)?;
        let whole = self.open.first(|question| question.hash == hash);
        if whole.is_some_and(|whole| whole < reader) {
            return None;
        }
        let (_, waiter) = self.readers.take(reader)?;
        self.settle(reader);
        Some(waiter)
    }

    /// Answers the oldest request for this block. Other requests for it keep a copy, since the peer
    /// may send the block only once.
    pub(super) fn on_block(&mut self, block: &Block) -> bool {
        if self.open.len() == 0 {
            return false;
        }
        let hash = block.hash();
        let Some(id) = self.open.first(|question| question.hash == hash) else {
            return false;
        };
        self.open.end(id, Ok(block.clone()));
        self.settle(id);
        for (_, other) in self.open.iter_mut() {
            if other.hash == hash {
                other.seen = Some(block.clone());
            }
        }
        true
    }

    /// Handles the end marker of a request.
    pub(super) fn on_end_marker(&mut self, id: u64, from: StreamType) {
        let open = self.open.get_mut(id).map(|question| &mut question.end);
        let reader = self.readers.get_mut(id).map(|question| &mut question.end);
        let end = open.or(reader);
        let is_over = end.is_none_or(|end| end.on_named(from, self.streams));
        if is_over {
            self.end_without_copy(id);
            self.left.remove(&id);
        } else {
            self.may_want_fence = true;
        }
    }

    /// Handles a `notfound` entry for the block itself. It ends the oldest request for the block.
    pub(super) fn on_missing(&mut self, hash: BlockHash) -> bool {
        let whole = self.open.first(|question| question.hash == hash);
        let reader = self.readers.first(|wanted| wanted.hash == hash);
        let oldest = whole.into_iter().chain(reader).min();
        oldest.is_some_and(|id| self.end_without_copy(id))
    }

    /// Assigns a discarded block to a request. Returns whether there is one.
    ///
    /// Without a hash, a block belongs to the oldest request, open or cancelled, because a node
    /// responds in order. With two streams it cannot be assigned.
    pub(super) fn on_passed_over(&mut self, failure: Failure, block: Option<BlockHash>) -> bool {
        if let Some(hash) = block {
            let asked = self.open.first(|question| question.hash == hash);
            if let Some(id) = asked {
                self.open.end(id, Err(failure));
            }
            return asked.is_some();
        }
        if self.streams != Streams::One {
            return false;
        }
        let open = self.open.first(|_| true);
        let Some(id) = open.filter(|id| self.left.first().is_none_or(|left| id < left)) else {
            self.left.pop_first();
            return false;
        };
        self.open.end(id, Err(failure));
        true
    }

    pub(super) fn give_up(&mut self, id: u64) {
        let open = self.open.take(id);
        if open.is_none() && self.readers.take(id).is_none() {
            return;
        }
        if self.left.len() == MAX_LEFT {
            self.left.pop_first();
        }
        self.left.insert(id);
        if let Some((BlockQuestion { seen, .. }, waiter)) = open
            && let Some(block) = seen
        {
            waiter.answer(Ok(block));
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        self.open.take(id);
        self.readers.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
        self.readers.close(reason);
    }

    fn end_without_copy(&mut self, id: u64) -> bool {
        if let Some((question, waiter)) = self.open.take(id) {
            waiter.answer(question.without_copy());
        } else if let Some((ReaderQuestion { hash, .. }, waiter)) = self.readers.take(id) {
            waiter.answer(Err(Failure::NotFound(hash)));
        } else {
            return false;
        }
        self.settle(id);
        true
    }

    /// Ends all requests for which `is_over` returns that no block will arrive.
    fn end_all(&mut self, mut is_over: impl FnMut(&mut AnswerEnd) -> bool) {
        let ends = self.ends_mut();
        let over = ends.filter_map(|(id, end)| is_over(end).then_some(id));
        let over: Vec<u64> = over.collect();
        for id in over {
            self.end_without_copy(id);
        }
    }

    fn ends(&self) -> impl Iterator<Item = &AnswerEnd> {
        let open = self.open.iter().map(|question| &question.end);
        open.chain(self.readers.iter().map(|question| &question.end))
    }

    fn ends_mut(&mut self) -> impl Iterator<Item = (u64, &mut AnswerEnd)> {
        let open = self.open.iter_mut();
        let open = open.map(|(id, question)| (id, &mut question.end));
        let readers = self.readers.iter_mut();
        open.chain(readers.map(|(id, question)| (id, &mut question.end)))
    }

    /// Handles the end of a request. Answers to earlier cancelled requests have arrived or never
    /// will.
    fn settle(&mut self, id: u64) {
        self.left = self.left.split_off(&id);
    }
}
