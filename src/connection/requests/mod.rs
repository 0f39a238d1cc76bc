//! What has been asked of a peer and is not answered yet.
//!
//! No sockets, no clocks: the table is told what is asked, what comes and what is given up, and answers those who wait. A
//! [`Connection`](super::Connection) and an actor drive the same table.
//!
//! What comes answers at most one question, the oldest that it fits; several callers may ask for the same, and each has a
//! copy of its own on the way. **What nobody waits for, or nobody waits for any more, is an ordinary message.**

mod addresses;
mod blocks;
mod content;
mod failure;
mod headers;
mod order;
mod questions;
mod transactions;

#[cfg(test)]
mod tests;

pub(super) use self::content::check_block;
pub(super) use self::failure::{Failure, NotAsked};
pub(super) use self::questions::{Asked, Waiter};

use std::time::Duration;

use self::addresses::Addresses;
use self::blocks::Blocks;
use self::headers::HeaderQuestions;
use self::order::{MarkerIds, Streams};
use self::questions::Questions;
use self::transactions::{FoundTransactions, Transactions};
use super::block_reader::BlockReader;
use super::inlet::Received;
use crate::event::SharedMessage;
use crate::session::DisconnectReason;
use crate::wire::{
    Block, BlockHash, BlockHeader, Command, GetData, GetHeaders, Inventory, Message, StreamType,
    TimestampedAddress, Txid,
};

/// A timeout that is usually sufficient for a request for addresses: 120 s.
///
/// A node answers a `getaddr` after 30 s on average, and within 120 s in 98% of the cases.
pub const DEFAULT_ADDRESSES_TIMEOUT: Duration = Duration::from_secs(120);

/// How many requests may be open at one peer.
const MAX_OPEN: usize = 1024;

/// The open requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    last_id: u64,
    markers: MarkerIds,
    /// By the nonce.
    pings: Questions<u64, Duration>,
    headers: HeaderQuestions,
    blocks: Blocks,
    transactions: Transactions,
    addresses: Addresses,
    /// Why the connection has ended, if it has.
    end: Option<DisconnectReason>,
}

impl Requests {
    /// `genesis` is the first block of the network. `seed` is random: the end markers of requests
    /// are derived from it.
    pub(super) fn new(genesis: BlockHash, seed: [u8; 16]) -> Self {
        Self {
            last_id: 0,
            markers: MarkerIds::new(seed),
            pings: Questions::default(),
            headers: HeaderQuestions::new(genesis),
            blocks: Blocks::default(),
            transactions: Transactions::default(),
            addresses: Addresses::default(),
            end: None,
        }
    }

    /// Prepares the table for the next connection to the same peer.
    ///
    /// Ids continue: a caller that cancels a request of the previous connection late must not
    /// cancel one of the next.
    pub(super) fn reset(&mut self, genesis: BlockHash, seed: [u8; 16]) {
        *self = Self {
            last_id: self.last_id,
            ..Self::new(genesis, seed)
        };
    }

    /// How many requests wait for their answers.
    pub(super) fn open(&self) -> usize {
        self.pings.len()
            + self.headers.len()
            + self.blocks.len()
            + self.transactions.len()
            + self.addresses.len()
    }

    /// A ping with that nonce will be sent.
    pub(super) fn ask_ping(&mut self, nonce: u64) -> Result<Asked<Duration>, NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.pings.open(asked.id, nonce, waiter);
        Ok(asked)
    }

    /// Whether a ping has to go before the next question for headers, see [`Requests::ask_headers`].
    pub(super) fn headers_need_fence(&self) -> bool {
        self.headers.need_fence()
    }

    /// Opens a request for headers. Returns the request for its end marker, which must be sent
    /// after `question` over the same stream.
    ///
    /// With a `fence`, a ping with that nonce must be sent before `question`: headers before its
    /// pong are no answer.
    pub(super) fn ask_headers(
        &mut self,
        question: &GetHeaders,
        fence: Option<u64>,
    ) -> Result<(Asked<Vec<BlockHeader>>, GetData), NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.headers.ask(asked.id, question, fence, waiter);
        let marker = GetData::from(vec![self.markers.marker(asked.id)]);
        Ok((asked, marker))
    }

    /// A block is asked for: the question that will be sent, in the order of these calls.
    pub(super) fn ask_block(
        &mut self,
        hash: BlockHash,
    ) -> Result<(Asked<Block>, GetData), NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.blocks.ask(asked.id, hash, waiter);
        let question = self.block_question(asked.id, hash);
        Ok((asked, question))
    }

    /// A block is asked for that is to be read while it arrives: as [`Requests::ask_block`].
    pub(super) fn ask_block_reader(
        &mut self,
        hash: BlockHash,
    ) -> Result<(Asked<BlockReader<'static>>, GetData), NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.blocks.ask_reader(asked.id, hash, waiter);
        let question = self.block_question(asked.id, hash);
        Ok((asked, question))
    }

    fn block_question(&self, id: u64, hash: BlockHash) -> GetData {
        GetData::from(vec![Inventory::Block(hash), self.markers.marker(id)])
    }

    /// How many blocks are to be read while they arrive and have not begun to.
    pub(super) fn block_readers(&self) -> usize {
        self.blocks.readers()
    }

    /// A block begins to arrive: who reads it meanwhile, if somebody does.
    pub(super) fn claim_block(&mut self, hash: BlockHash) -> Option<Waiter<BlockReader<'static>>> {
        self.blocks.claim(hash)
    }

    /// Transactions are asked for: what the questions that will be sent have to list.
    pub(super) fn ask_transactions(
        &mut self,
        txids: &[Txid],
    ) -> Result<(Asked<FoundTransactions>, Vec<Inventory>), NotAsked> {
        let (asked, waiter) = self.admit()?;
        let entries = self.transactions.ask(asked.id, txids, waiter);
        Ok((asked, entries))
    }

    /// A `getaddr` will be sent; there is one in the life of a connection.
    pub(super) fn ask_addresses(&mut self) -> Result<Asked<Vec<TimestampedAddress>>, NotAsked> {
        let (asked, waiter) = self.admit()?;
        if self.addresses.are_asked() {
            return Err(NotAsked::Already);
        }
        self.addresses.ask(asked.id, waiter);
        Ok(asked)
    }

    /// A `getaddr` has been sent, by whomever.
    pub(super) fn on_getaddr_sent(&mut self) {
        self.addresses.on_sent();
    }

    /// A second stream is about to be agreed on: the peer may send over it from now on. To be called before the `createstrm` or the `streamack` is sent
    /// that lets it; [`Requests::on_second_stream`] or [`Requests::on_no_second_stream`] is to follow.
    pub(super) fn on_opening_stream(&mut self) {
        self.set_streams(Streams::Opening);
    }

    /// A second stream stands: what is asked from now on goes over the stream that is meant for it.
    pub(super) fn on_second_stream(&mut self) {
        self.set_streams(Streams::Two);
    }

    /// There will be no second stream, and the peer has sent nothing over it.
    pub(super) fn on_no_second_stream(&mut self) {
        self.set_streams(Streams::One);
    }

    fn set_streams(&mut self, streams: Streams) {
        self.headers.set_streams(streams);
        self.blocks.set_streams(streams);
    }

    /// Whether a question waits for a ping behind what has come: [`Requests::on_fence`]. Never with one stream.
    pub(super) fn want_fence(&self) -> bool {
        self.blocks.want_fence() || self.headers.want_fence()
    }

    /// A ping with that nonce will be sent, as the policy has it, for all questions that wait for one.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.blocks.on_fence(nonce);
        self.headers.on_fence(nonce);
    }

    /// A ping has been answered over that stream. What has come over the same one before has been seen.
    pub(super) fn on_pong(&mut self, nonce: u64, round_trip: Duration, from: StreamType) {
        self.headers.on_pong(nonce, from);
        self.blocks.on_pong(nonce, from);
        if let Some(id) = self.pings.first(|asked| *asked == nonce) {
            self.pings.end(id, Ok(round_trip));
        }
    }

    /// Something has come over that stream. What answers no question is given back.
    pub(super) fn on_received(&mut self, received: Received, from: StreamType) -> Option<Received> {
        let message = match received {
            Received::Message(message) => message,
            Received::Discarded {
                command,
                len,
                limit,
                block,
            } => {
                let failure = Failure::TooLarge { bytes: len, limit };
                let is_answer = self.on_passed_over(command, failure, block, from);
                return (!is_answer).then_some(Received::Discarded {
                    command,
                    len,
                    limit,
                    block,
                });
            }
        };
        let is_answer = match &*message {
            Message::Headers(headers) => self.headers.on_headers(&headers.headers, from),
            Message::Block(block) => self.blocks.on_block(block),
            Message::Tx(tx) => self.transactions.on_tx(tx),
            Message::Addr(addr) => self.addresses.on_addr(&addr.addresses),
            Message::NotFound(missing) if !missing.inventory.is_empty() => {
                return self.on_not_found(message, from);
            }
            _ => false,
        };
        (!is_answer).then_some(Received::Message(message))
    }

    /// Nobody waits for the answer to a question that has been sent. A last look at [`Asked::answer`] is due: what was
    /// to be had has been put there.
    pub(super) fn give_up(&mut self, id: u64) {
        self.headers.give_up(id);
        self.blocks.give_up(id);
        self.transactions.give_up(id);
        self.addresses.give_up(id);
        self.pings.take(id);
    }

    /// A question could not be sent.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.headers.withdraw(id);
        self.blocks.withdraw(id);
        // Of several questions some may have been sent.
        self.transactions.give_up(id);
        self.addresses.withdraw(id);
        self.pings.take(id);
    }

    /// The connection has ended: so do all requests, and nothing is asked any more. The first reason counts.
    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        let reason = self.end.get_or_insert_with(|| reason.clone());
        self.pings.close(reason);
        self.headers.close(reason);
        self.blocks.close(reason);
        self.transactions.close(reason);
        self.addresses.close(reason);
    }

    fn admit<T>(&mut self) -> Result<(Asked<T>, Waiter<T>), NotAsked> {
        if let Some(reason) = &self.end {
            return Err(NotAsked::Ended(reason.clone()));
        }
        if self.open() >= MAX_OPEN {
            return Err(NotAsked::TooMany { limit: MAX_OPEN });
        }
        self.last_id += 1;
        Ok(questions::pair(self.last_id))
    }

    /// Takes out of a `notfound` what answers questions; the rest is not for us.
    fn on_not_found(&mut self, message: SharedMessage, from: StreamType) -> Option<Received> {
        let (message, len, memory) = message.into_parts();
        let mut missing = match message {
            Message::NotFound(missing) => missing,
            other => {
                return Some(Received::Message(SharedMessage::with_memory(
                    other, len, memory,
                )));
            }
        };
        missing.inventory.retain(|entry| {
            let is_answer = match entry {
                Inventory::Tx(txid) => match self.markers.request(*txid) {
                    Some(id) => {
                        self.headers.on_end_marker(id, from);
                        self.blocks.on_end_marker(id, from);
                        true
                    }
                    None => self.transactions.on_missing(*txid),
                },
                Inventory::Block(hash) => self.blocks.on_missing(*hash),
                _ => false,
            };
            !is_answer
        });
        let left = !missing.inventory.is_empty();
        left.then(|| Received::Message(SharedMessage::with_memory(missing.into(), len, memory)))
    }

    /// A payload does not say what it would have been: a node answers in the order in which it was asked.
    ///
    /// A `notfound` that is too long names transactions: the requests for headers and blocks have an end marker of one entry.
    fn on_passed_over(
        &mut self,
        command: Command,
        failure: Failure,
        block: Option<BlockHash>,
        from: StreamType,
    ) -> bool {
        match command.name() {
            "block" => self.blocks.on_passed_over(failure, block),
            "tx" | "notfound" => self.transactions.on_passed_over(failure),
            "headers" => self.headers.on_passed_over(failure, from),
            _ => false,
        }
    }
}
