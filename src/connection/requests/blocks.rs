//! Questions for blocks.
//!
//! A node says nothing at all about a block that it does not have, but names every transaction that it does not have. So each
//! question ends with a transaction that nobody has: when that is named and the block has not come, there is none.
//!
//! With two streams the name may overtake the block. Then a ping goes behind it, a fence, whose pong comes over the stream of the blocks: see
//! [`AnswerEnd`].

use std::collections::BTreeSet;

use super::failure::Failure;
use super::order::{AnswerEnd, Streams};
use super::questions::{Questions, Waiter};
use crate::connection::block_reader::BlockReader;
use crate::session::DisconnectReason;
use crate::wire::{Block, BlockHash, StreamType};

/// How many questions that were given up are remembered.
pub(super) const MAX_LEFT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Questions<BlockQuestion, Block>,
    /// Blocks that are to be read while they arrive, of whatever size.
    readers: Questions<ReaderQuestion, BlockReader<'static>>,
    /// Questions that were given up, and whose answers may still come.
    left: BTreeSet<u64>,
    streams: Streams,
    /// Whether the end of a question may have been named since the last fence.
    may_want_fence: bool,
}

#[derive(Debug)]
struct BlockQuestion {
    hash: BlockHash,
    /// The block as it came for another question. A copy of its own is on the way, if the peer sends one.
    seen: Option<Block>,
    end: AnswerEnd,
}

#[derive(Debug)]
struct ReaderQuestion {
    hash: BlockHash,
    end: AnswerEnd,
}

impl BlockQuestion {
    /// The answer when no copy of its own comes.
    fn without_copy(self) -> Result<Block, Failure> {
        self.seen.ok_or(Failure::NotFound(self.hash))
    }
}

impl Blocks {
    /// So many streams are there from now on. Where it is one again, what it has named has not come.
    pub(super) fn set_streams(&mut self, streams: Streams) {
        self.streams = streams;
        if streams == Streams::One {
            self.end_all(|end| end.is_named());
        }
    }

    /// Whether a ping is to be sent behind what has come.
    pub(super) fn want_fence(&self) -> bool {
        let mut ends = self.ends();
        self.streams == Streams::Two && self.may_want_fence && ends.any(AnswerEnd::wants_fence)
    }

    /// A ping is sent for all questions that wait for one.
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

    /// How many blocks are to be read while they arrive and have not begun to.
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

    /// A block begins to arrive: who reads it meanwhile, if somebody does. The oldest question has it, of whichever kind.
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

    /// A block names itself: one that an earlier question brings is as good.
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

    /// The peer names the block itself: it says in so many words that it does not have it.
    pub(super) fn on_missing(&mut self, hash: BlockHash) -> bool {
        let whole = self.open.first(|question| question.hash == hash);
        let reader = self.readers.first(|wanted| wanted.hash == hash);
        let oldest = whole.into_iter().chain(reader).min();
        oldest.is_some_and(|id| self.end_without_copy(id))
    }

    /// A block was too long to be kept. One that does not say which it is belongs to the oldest question, as a node answers in the order in
    /// which it was asked: with two streams it does not say where.
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

    /// Ends those questions of which `is_over` says that no block will come.
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

    /// A question has its answer: what was asked before it and given up is answered too, or never will be.
    fn settle(&mut self, id: u64) {
        self.left = self.left.split_off(&id);
    }
}
