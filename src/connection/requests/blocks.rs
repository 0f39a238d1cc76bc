//! Questions for blocks.
//!
//! A node says nothing at all about a block that it does not have, but names every transaction that it does not have. So each
//! question ends with a transaction that nobody has: when that is named and the block has not come, there is none.

use std::collections::BTreeSet;

use super::failure::Failure;
use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::{Block, BlockHash, GetData, Inventory, Txid};

/// How many questions that were given up are remembered.
pub(super) const MAX_LEFT: usize = 64;

#[derive(Debug)]
pub(super) struct Blocks {
    open: Questions<BlockQuestion, Block>,
    /// Questions that were given up, and whose answers may still come.
    left: BTreeSet<u64>,
    /// What the transactions that nobody has begin with.
    seed: [u8; 16],
}

#[derive(Debug)]
struct BlockQuestion {
    hash: BlockHash,
    /// The block as it came for another question. A copy of its own is on the way, if the peer sends one.
    seen: Option<Block>,
}

impl BlockQuestion {
    /// The answer when no copy of its own comes.
    fn without_copy(self) -> Result<Block, Failure> {
        self.seen.ok_or(Failure::NotFound(self.hash))
    }
}

impl Blocks {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self {
            open: Questions::default(),
            left: BTreeSet::new(),
            seed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn ask(&mut self, id: u64, hash: BlockHash, waiter: Waiter<Block>) -> GetData {
        let seen = None;
        self.open.open(id, BlockQuestion { hash, seen }, waiter);
        GetData::from(vec![Inventory::Block(hash), Inventory::Tx(self.end_of(id))])
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

    /// The peer names a transaction: whether it is one that ends a question of ours, open or not.
    pub(super) fn on_end_named(&mut self, txid: Txid) -> bool {
        let Some(id) = self.question_of(txid) else {
            return false;
        };
        self.end_without_copy(id);
        self.left.remove(&id);
        true
    }

    /// The peer names the block itself.
    pub(super) fn on_missing(&mut self, hash: BlockHash) -> bool {
        let id = self.open.first(|question| question.hash == hash);
        id.is_some_and(|id| self.end_without_copy(id))
    }

    /// A node answers in the order in which it was asked: the block that was too long belongs to the oldest question.
    pub(super) fn on_passed_over(&mut self, len: u64) -> bool {
        let open = self.open.first(|_| true);
        let Some(id) = open.filter(|id| self.left.first().is_none_or(|left| id < left)) else {
            self.left.pop_first();
            return false;
        };
        self.open.end(id, Err(Failure::TooLarge(len)));
        true
    }

    pub(super) fn give_up(&mut self, id: u64) {
        let Some((question, waiter)) = self.open.take(id) else {
            return;
        };
        if self.left.len() == MAX_LEFT {
            self.left.pop_first();
        }
        self.left.insert(id);
        if let Some(block) = question.seen {
            waiter.answer(Ok(block));
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        self.open.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
    }

    fn end_without_copy(&mut self, id: u64) -> bool {
        let Some((question, waiter)) = self.open.take(id) else {
            return false;
        };
        waiter.answer(question.without_copy());
        self.settle(id);
        true
    }

    /// A question has its answer: what was asked before it and given up is answered too, or never will be.
    fn settle(&mut self, id: u64) {
        self.left = self.left.split_off(&id);
    }

    /// The transaction that a question ends with. Nobody has one by that name: it would have to be found by chance.
    fn end_of(&self, id: u64) -> Txid {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&self.seed);
        hash[16..24].copy_from_slice(&id.to_le_bytes());
        Txid(hash)
    }

    /// Whose end that is.
    fn question_of(&self, Txid(hash): Txid) -> Option<u64> {
        let id = u64::from_le_bytes(*hash[16..].first_chunk()?);
        (self.end_of(id).0 == hash).then_some(id)
    }
}
