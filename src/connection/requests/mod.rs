//! The open requests of a connection and the rules that match messages to them.
//!
//! The table has no sockets and no clocks. Its driver reports requests, received messages and
//! cancellations, and the table delivers the responses. A [`Connection`](super::Connection) and an
//! actor use the same table.
//!
//! A message answers at most one request: the oldest that it matches. Several callers may request
//! the same object, and the peer sends a copy for each. **A message that answers no open request is
//! an ordinary message.**

//!
//! The cost of matching does not grow with the number of open requests beyond O(log n) for each
//! object in a message.

mod addresses;
mod blocks;
mod headers;
mod pending_queue;
mod reply_tracker;
mod ticket;
mod transactions;

#[cfg(test)]
mod tests;

pub(super) use self::blocks::check_block;
pub(super) use self::ticket::{Failure, RequestError, Responder, Ticket};

use std::time::Duration;

use self::addresses::AddressRequest;
use self::blocks::BlockRequests;
use self::headers::HeaderRequests;
use self::pending_queue::PendingQueue;
use self::reply_tracker::{MarkerIds, ReplyTracker, StreamCount};
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
    /// The open pings, by nonce.
    pings: PendingQueue<u64, Duration>,
    headers: HeaderRequests,
    blocks: BlockRequests,
    /// Whether the answers to requests for headers and blocks can still arrive.
    replies: ReplyTracker,
    transactions: TransactionRequests,
    addresses: AddressRequest,
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
            pings: PendingQueue::default(),
            headers: HeaderRequests::new(genesis),
            blocks: BlockRequests::default(),
            replies: ReplyTracker::default(),
            transactions: TransactionRequests::default(),
            addresses: AddressRequest::default(),
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
    pub(super) fn open_ping(&mut self, nonce: u64) -> Result<Ticket<Duration>, RequestError> {
        let (asked, responder) = self.open_request()?;
        self.pings.open(asked.id, nonce, responder);
        Ok(asked)
    }

    /// Returns whether a ping must precede the next header request. See [`Requests::open_headers`].
    pub(super) fn headers_need_fence(&self) -> bool {
        self.headers.needs_fence()
    }

    /// Opens a request for headers. Returns the request for its end marker, which must be sent
    /// after `question` over the same stream.
    ///
    /// With a `fence`, a ping with that nonce must be sent before `question`. Headers that arrive
    /// before its pong do not answer the request.
    pub(super) fn open_headers(
        &mut self,
        question: &GetHeaders,
        fence: Option<u64>,
    ) -> Result<(Ticket<Vec<BlockHeader>>, GetData), RequestError> {
        let (asked, responder) = self.open_request()?;
        self.headers.ask(asked.id, question, fence, responder);
        self.replies.open(asked.id);
        let marker = GetData::from(vec![self.markers.marker(asked.id)]);
        Ok((asked, marker))
    }

    /// Opens a request for a block. Returns its `getdata`. Requests must be sent in the order of
    /// these calls.
    pub(super) fn open_block(
        &mut self,
        hash: BlockHash,
    ) -> Result<(Ticket<Block>, GetData), RequestError> {
        let (asked, responder) = self.open_request()?;
        self.blocks.ask(asked.id, hash, responder);
        self.replies.open(asked.id);
        let question = self.block_question(asked.id, hash);
        Ok((asked, question))
    }

    /// Opens a request for a block that is read while it arrives. See [`Requests::open_block`] for
    /// the returned `getdata`.
    pub(super) fn open_block_reader(
        &mut self,
        hash: BlockHash,
    ) -> Result<(Ticket<BlockReader<'static>>, GetData), RequestError> {
        let (asked, responder) = self.open_request()?;
        self.blocks.ask_reader(asked.id, hash, responder);
        self.replies.open(asked.id);
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

    /// Handles the start of a block. Returns the responder of the block reader, if one receives
    /// the block.
    pub(super) fn claim_block(
        &mut self,
        hash: BlockHash,
    ) -> Option<Responder<BlockReader<'static>>> {
        let (id, responder) = self.blocks.claim(hash)?;
        self.replies.close(id);
        Some(responder)
    }

    /// Opens a request for transactions. Returns the entries for its `getdata` messages.
    pub(super) fn open_transactions(
        &mut self,
        txids: &[Txid],
    ) -> Result<(Ticket<FoundTransactions>, Vec<Inventory>), RequestError> {
        let (asked, responder) = self.open_request()?;
        let entries = self.transactions.ask(asked.id, txids, responder);
        Ok((asked, entries))
    }

    /// Opens the request for addresses. Fails if addresses were already requested.
    ///
    /// `relays` is whether the peer also sends unrequested addresses. `now` is the Unix
    /// time in seconds.
    pub(super) fn open_addresses(
        &mut self,
        relays: bool,
        now: i64,
    ) -> Result<Ticket<Vec<TimestampedAddress>>, RequestError> {
        let (asked, responder) = self.open_request()?;
        if self.addresses.is_requested() {
            return Err(RequestError::Already);
        }
        self.addresses.ask(asked.id, (relays, now), responder);
        Ok(asked)
    }

    /// Records that a `getaddr` was sent, by a request or as a message of the caller.
    pub(super) fn on_getaddr_sent(&mut self) {
        self.addresses.on_sent();
    }

    /// Records that a second stream is being opened, over which the peer may send from now on.
    ///
    /// Must be called before the `createstrm` or `streamack` is sent.
    /// [`Requests::on_stream_open`] or [`Requests::on_stream_failed`] must follow.
    pub(super) fn on_stream_opening(&mut self) {
        self.set_streams(StreamCount::Opening);
    }

    /// Records that a second stream is open. The policy selects the stream of each new request.
    pub(super) fn on_stream_open(&mut self) {
        self.set_streams(StreamCount::Two);
    }

    /// Records that there is no second stream and that the peer sent nothing over it.
    pub(super) fn on_stream_failed(&mut self) {
        self.set_streams(StreamCount::One);
    }

    fn set_streams(&mut self, streams: StreamCount) {
        let over = self.replies.set_streams(streams);
        self.end_unanswered(&over);
    }

    /// Returns whether a request needs a ping after its end marker. See [`Requests::on_fence`].
    /// Always `false` with one stream.
    pub(super) fn wants_fence(&self) -> bool {
        self.replies.wants_fence()
    }

    /// Records the nonce of a ping that will be sent for all requests that need one. The policy
    /// selects its stream.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.replies.on_fence(nonce);
    }

    /// Handles a pong. Earlier messages of the same stream must have been handled before.
    pub(super) fn on_pong(&mut self, nonce: u64, round_trip: Duration, from: StreamType) {
        self.headers.on_pong(nonce);
        let over = self.replies.on_pong(nonce, from);
        self.end_unanswered(&over);
        if let Some(id) = self.pings.first(nonce) {
            self.pings.end(id, Ok(round_trip));
        }
    }

    /// Ends requests whose answer can no longer arrive.
    fn end_unanswered(&mut self, over: &[u64]) {
        for id in over {
            self.headers.on_no_answer(*id, &mut self.replies);
            self.blocks.end_unanswered(*id);
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
                let is_answer = self.on_discarded(command, failure, block);
                return (!is_answer).then_some(Received::Discarded {
                    command,
                    len,
                    limit,
                    block,
                });
            }
        };
        let is_answer = match &*message {
            Message::Headers(headers) => {
                self.headers.on_headers(&headers.headers, &mut self.replies)
            }
            Message::Block(block) => {
                let answered = self.blocks.on_block(block);
                self.on_answered(answered)
            }
            Message::Tx(tx) => self.transactions.on_tx(tx),
            Message::Addr(addr) => self.addresses.on_addr(&addr.addresses),
            Message::NotFound(missing) if !missing.inventory.is_empty() => {
                return self.on_not_found(message, from);
            }
            _ => false,
        };
        (!is_answer).then_some(Received::Message(message))
    }

    /// Cancels a request that was sent. The caller should then check [`Ticket::answer`] once more,
    /// because a response may have been stored there.
    pub(super) fn cancel(&mut self, id: u64) {
        self.headers.cancel(id, &mut self.replies);
        self.addresses.cancel(id);
        self.cancel_others(id);
    }

    /// Removes a request that could not be sent.
    pub(super) fn abort(&mut self, id: u64) {
        self.headers.abort(id, &mut self.replies);
        self.addresses.abort(id);
        // Some of the `getdata` messages for transactions may have been sent.
        self.cancel_others(id);
    }

    fn cancel_others(&mut self, id: u64) {
        if self.blocks.cancel(id) {
            self.replies.close(id);
        }
        self.transactions.cancel(id);
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
        self.replies.close_all();
    }

    fn open_request<T>(&mut self) -> Result<(Ticket<T>, Responder<T>), RequestError> {
        if let Some(reason) = &self.end {
            return Err(RequestError::Ended(reason.clone()));
        }
        if self.open() >= MAX_OPEN {
            return Err(RequestError::TooMany { limit: MAX_OPEN });
        }
        self.last_id += 1;
        Ok(ticket::pair(self.last_id))
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
                        if self.replies.on_end_marker(id, from) {
                            self.end_unanswered(&[id]);
                        }
                        true
                    }
                    None => self.transactions.on_missing(*txid),
                },
                Inventory::Block(hash) => {
                    let ended = self.blocks.on_missing(*hash);
                    self.on_answered(ended)
                }
                _ => false,
            };
            !is_answer
        });
        let left = !missing.inventory.is_empty();
        left.then(|| Received::Message(SharedMessage::with_memory(missing.into(), len, memory)))
    }

    /// Assigns a discarded payload to a request. Returns whether there is one.
    ///
    /// A block is identified by its header. A transaction cannot be identified, but a node responds
    /// in order. A discarded `notfound` is assigned to a request for transactions, since the end
    /// marker of other requests has a single entry.
    fn on_discarded(
        &mut self,
        command: Command,
        failure: Failure,
        block: Option<BlockHash>,
    ) -> bool {
        match (command.name(), block) {
            ("block", Some(hash)) => {
                let ended = self.blocks.on_discarded(hash, failure);
                self.on_answered(ended)
            }
            ("tx" | "notfound", _) => self.transactions.on_discarded(failure),
            ("headers", _) => self.headers.on_discarded(failure, &mut self.replies),
            _ => false,
        }
    }

    /// Ends the tracking of a block request that was answered. Returns whether there was one.
    fn on_answered(&mut self, request: Option<u64>) -> bool {
        if let Some(id) = request {
            self.replies.close(id);
        }
        request.is_some()
    }
}
