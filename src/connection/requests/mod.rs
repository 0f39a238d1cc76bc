//! The open requests of a connection and the rules that match messages to them.
//!
//! The table has no sockets and no clocks. Its driver reports requests, received messages and
//! cancellations, and the table delivers the responses. A [`Connection`](super::Connection) and an
//! actor use the same table.
//!
//! A message answers at most one request: the oldest that it matches. Several callers may request
//! the same object, and the peer sends a copy for each. **A message that answers no open request is
//! an ordinary message.**

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
use self::transactions::{FoundTransactions, TransactionRequests};
use super::block_reader::BlockReader;
use super::message_reader::Received;
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

/// The maximum number of open requests of a connection.
const MAX_OPEN: usize = 1024;

/// The open requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    last_id: u64,
    markers: MarkerIds,
    /// The nonces of open pings.
    pings: Questions<u64, Duration>,
    headers: HeaderQuestions,
    blocks: Blocks,
    transactions: TransactionRequests,
    addresses: Addresses,
    /// The reason of the close, if the connection is closed.
    end: Option<DisconnectReason>,
}

impl Requests {
    /// Creates an empty table.
    ///
    /// `genesis` is the first block of the network. `seed` must be random, because the end markers
    /// of requests are derived from it.
    pub(super) fn new(genesis: BlockHash, seed: [u8; 16]) -> Self {
        Self {
            last_id: 0,
            markers: MarkerIds::new(seed),
            pings: Questions::default(),
            headers: HeaderQuestions::new(genesis),
            blocks: Blocks::default(),
            transactions: TransactionRequests::default(),
            addresses: Addresses::default(),
            end: None,
        }
    }

    /// Returns the number of open requests.
    pub(super) fn open(&self) -> usize {
        self.pings.len()
            + self.headers.len()
            + self.blocks.len()
            + self.transactions.len()
            + self.addresses.len()
    }

    /// Opens a request for the pong to a ping with `nonce`.
    pub(super) fn ask_ping(&mut self, nonce: u64) -> Result<Asked<Duration>, NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.pings.open(asked.id, nonce, waiter);
        Ok(asked)
    }

    /// Returns whether a ping must precede the next header request. See [`Requests::ask_headers`].
    pub(super) fn headers_need_fence(&self) -> bool {
        self.headers.need_fence()
    }

    /// Opens a request for headers. Returns the request for its end marker, which must be sent
    /// after `question` over the same stream.
    ///
    /// With a `fence`, a ping with that nonce must be sent before `question`. Headers that arrive
    /// before its pong do not answer the request.
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

    /// Opens a request for a block. Returns its `getdata`. Requests must be sent in the order of
    /// these calls.
    pub(super) fn ask_block(
        &mut self,
        hash: BlockHash,
    ) -> Result<(Asked<Block>, GetData), NotAsked> {
        let (asked, waiter) = self.admit()?;
        self.blocks.ask(asked.id, hash, waiter);
        let question = self.block_question(asked.id, hash);
        Ok((asked, question))
    }

    /// Opens a request for a block that is read while it arrives. See [`Requests::ask_block`] for
    /// the returned `getdata`.
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

    /// Returns the number of block reader requests whose block has not started to arrive.
    pub(super) fn block_readers(&self) -> usize {
        self.blocks.readers()
    }

    /// Handles the start of a block. Returns the waiter of the block reader, if one receives the
    /// block.
    pub(super) fn claim_block(&mut self, hash: BlockHash) -> Option<Waiter<BlockReader<'static>>> {
        self.blocks.claim(hash)
    }

    /// Opens a request for transactions. Returns the entries for its `getdata` messages.
    pub(super) fn ask_transactions(
        &mut self,
        txids: &[Txid],
    ) -> Result<(Asked<FoundTransactions>, Vec<Inventory>), NotAsked> {
        let (asked, waiter) = self.admit()?;
        let entries = self.transactions.ask(asked.id, txids, waiter);
        Ok((asked, entries))
    }

    /// Opens the request for addresses. Fails if addresses were already requested.
    pub(super) fn ask_addresses(&mut self) -> Result<Asked<Vec<TimestampedAddress>>, NotAsked> {
        let (asked, waiter) = self.admit()?;
        if self.addresses.are_asked() {
            return Err(NotAsked::Already);
        }
        self.addresses.ask(asked.id, waiter);
        Ok(asked)
    }

    /// Records that a `getaddr` was sent, by a request or as a message of the caller.
    pub(super) fn on_getaddr_sent(&mut self) {
        self.addresses.on_sent();
    }

    /// Records that a second stream is being opened, over which the peer may send from now on.
    ///
    /// Must be called before the `createstrm` or `streamack` is sent.
    /// [`Requests::on_second_stream`] or [`Requests::on_no_second_stream`] must follow.
    pub(super) fn on_opening_stream(&mut self) {
        self.set_streams(Streams::Opening);
    }

    /// Records that a second stream is open. The policy selects the stream of each new request.
    pub(super) fn on_second_stream(&mut self) {
        self.set_streams(Streams::Two);
    }

    /// Records that there is no second stream and that the peer sent nothing over it.
    pub(super) fn on_no_second_stream(&mut self) {
        self.set_streams(Streams::One);
    }

    fn set_streams(&mut self, streams: Streams) {
        self.headers.set_streams(streams);
        self.blocks.set_streams(streams);
    }

    /// Returns whether a request needs a ping after its end marker. See [`Requests::on_fence`].
    /// Always `false` with one stream.
    pub(super) fn want_fence(&self) -> bool {
        self.blocks.want_fence() || self.headers.want_fence()
    }

    /// Records the nonce of a ping that will be sent for all requests that need one. The policy
    /// selects its stream.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.blocks.on_fence(nonce);
        self.headers.on_fence(nonce);
    }

    /// Handles a pong. Earlier messages of the same stream must have been handled before.
    pub(super) fn on_pong(&mut self, nonce: u64, round_trip: Duration, from: StreamType) {
        self.headers.on_pong(nonce, from);
        self.blocks.on_pong(nonce, from);
        if let Some(id) = self.pings.first(|asked| *asked == nonce) {
            self.pings.end(id, Ok(round_trip));
        }
    }

    /// Handles a message or a discarded payload. Returns the part that answers no request, if any.
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

    /// Cancels a request that was sent. The caller should then check [`Asked::answer`] once more,
    /// because a response may have been stored there.
    pub(super) fn give_up(&mut self, id: u64) {
        self.headers.give_up(id);
        self.blocks.give_up(id);
        self.transactions.give_up(id);
        self.addresses.give_up(id);
        self.pings.take(id);
    }

    /// Removes a request that could not be sent.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.headers.withdraw(id);
        self.blocks.withdraw(id);
        // Some of its `getdata` messages may have been sent.
        self.transactions.give_up(id);
        self.addresses.withdraw(id);
        self.pings.take(id);
    }

    /// Closes the table. Open requests fail and new ones are rejected, both with the first reason.
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

    /// Removes the entries of a `notfound` that answer requests. Returns the rest, if any.
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

    /// Assigns a discarded payload to a request. Returns whether there is one.
    ///
    /// A transaction cannot be identified, but a node responds in order. A discarded `notfound` is
    /// assigned to a request for transactions, since the end marker of other requests has a single
    /// entry.
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
