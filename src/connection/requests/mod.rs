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
pub(super) use self::ticket::{Failure, Opened, RequestError, Responder, Ticket};

use std::time::Duration;

use self::addresses::AddressRequest;
use self::blocks::BlockRequests;
use self::headers::HeaderRequests;
use self::pending_queue::PendingQueue;
use self::reply_tracker::{MarkerIds, ReplyTracker, StreamCount};
use self::transactions::{FoundTransactions, TransactionRequests};
use super::block_reader::BlockReader;
use super::message_reader::Received;
use crate::error::Error;
use crate::event::SharedMessage;
use crate::session::{DisconnectReason, ObjectCount, PROTOCOL_VERSION, PeerRequest, Session};
use crate::wire::{
    Block, BlockHash, BlockHeader, Command, GetData, GetHeaders, Inventory, Message, Ping,
    StreamType, TimestampedAddress, Txid,
};

/// A timeout that is usually sufficient for a request for addresses: 120 s.
///
/// A node answers a `getaddr` after 30 s on average, and within 120 s in 98% of the cases.
pub const DEFAULT_ADDRESSES_TIMEOUT: Duration = Duration::from_secs(120);

/// The maximum number of open requests of a connection.
const MAX_OPEN: usize = 1024;

/// Returns an error if a peer of this kind does not answer the request.
pub(super) fn check_supported(
    session: &Session,
    request: PeerRequest,
    peer: impl FnOnce() -> String,
) -> Result<(), Error> {
    match session.unsupported(request) {
        None => Ok(()),
        Some(profile) => Err(Error::NotSupportedByPeer {
            peer: peer(),
            request: request.name(),
            profile,
        }),
    }
}

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
    /// See [`Requests::take_late_objects`].
    late: ObjectCount,
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
            late: ObjectCount::default(),
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

    /// Returns the objects that open requests wait for.
    pub(super) fn open_objects(&self) -> ObjectCount {
        ObjectCount {
            blocks: self.blocks.len() as u64,
            transactions: self.transactions.undecided(),
        }
    }

    /// Returns the objects that requests waited for when they ended, since the last call. They may
    /// still arrive.
    pub(super) fn take_late_objects(&mut self) -> ObjectCount {
        std::mem::take(&mut self.late)
    }

    /// Opens a request for the pong to a ping.
    pub(super) fn open_ping(&mut self, ping: Ping) -> Result<Opened<Duration>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        let nonce = ping.nonce.unwrap_or_default();
        self.pings.open(ticket.id, nonce, responder);
        Ok((ticket, vec![ping.into()]))
    }

    /// Returns whether a ping must precede the next header request. See [`Requests::open_headers`].
    pub(super) fn headers_need_fence(&self) -> bool {
        self.headers.needs_fence()
    }

    /// Opens a request for the headers after `locator`, up to `stop`. With a `fence`, this ping is
    /// sent first, and headers that arrive before its pong do not answer the request.
    pub(super) fn open_headers(
        &mut self,
        locator: Vec<BlockHash>,
        stop: BlockHash,
        fence: Option<Ping>,
    ) -> Result<Opened<Vec<BlockHeader>>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        let getheaders = GetHeaders {
            version: PROTOCOL_VERSION,
            locator,
            stop,
        };
        let nonce = fence.and_then(|ping| ping.nonce);
        self.headers.open(ticket.id, &getheaders, nonce, responder);
        self.replies.open(ticket.id);
        let marker = GetData::from(vec![self.markers.marker(ticket.id)]);
        let mut messages = Vec::from_iter(fence.map(Message::from));
        messages.extend([getheaders.into(), marker.into()]);
        Ok((ticket, messages))
    }

    /// Opens a request for a block. Requests for blocks and transactions must be sent in the order
    /// in which they were opened.
    pub(super) fn open_block(&mut self, hash: BlockHash) -> Result<Opened<Block>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        self.blocks.open(ticket.id, hash, responder);
        let getdata = self.getdata_of_block(ticket.id, hash);
        Ok((ticket, getdata))
    }

    /// Opens a request for a block that is read while it arrives. See [`Requests::open_block`].
    pub(super) fn open_block_reader(
        &mut self,
        hash: BlockHash,
    ) -> Result<Opened<BlockReader<'static>>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        self.blocks.open_reader(ticket.id, hash, responder);
        let getdata = self.getdata_of_block(ticket.id, hash);
        Ok((ticket, getdata))
    }

    fn getdata_of_block(&mut self, id: u64, hash: BlockHash) -> Vec<Message> {
        self.replies.open(id);
        let entries = vec![Inventory::Block(hash), self.markers.marker(id)];
        vec![GetData::from(entries).into()]
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

    /// Opens a request for transactions, in messages of at most `max_inventory` entries. See
    /// [`Requests::open_block`].
    pub(super) fn open_transactions(
        &mut self,
        txids: &[Txid],
        max_inventory: usize,
    ) -> Result<Opened<FoundTransactions>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        let entries = self.transactions.open(ticket.id, txids, responder);
        let getdata = GetData::split(&entries, max_inventory);
        Ok((ticket, getdata.map(Message::from).collect()))
    }

    /// Opens the request for addresses. Fails if addresses were already requested.
    ///
    /// `relays` is whether the peer also sends unrequested addresses. `now` is the Unix time in
    /// seconds.
    pub(super) fn open_addresses(
        &mut self,
        relays: bool,
        now: i64,
    ) -> Result<Opened<Vec<TimestampedAddress>>, RequestError> {
        let (ticket, responder) = self.open_request()?;
        if self.addresses.is_requested() {
            return Err(RequestError::Already);
        }
        self.addresses.open(ticket.id, relays, now, responder);
        Ok((ticket, vec![Message::GetAddr]))
    }

    /// Records that the caller sent a `getaddr` as a message.
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
                return (!is_answer).then_some(received);
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
        if self.blocks.cancel(id) {
            self.replies.close(id);
            self.late.blocks += 1;
        }
        self.late.transactions += self.transactions.cancel(id);
        self.addresses.cancel(id);
        self.pings.take(id);
    }

    /// Removes a request that was not sent.
    pub(super) fn abort(&mut self, id: u64) {
        self.headers.abort(id);
        self.blocks.cancel(id);
        self.replies.close(id);
        self.transactions.abort(id);
        self.addresses.abort(id);
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
            ("tx" | "notfound", _) => {
                let ended = self.transactions.on_discarded(failure);
                self.late.transactions += ended.unwrap_or_default();
                ended.is_some()
            }
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
