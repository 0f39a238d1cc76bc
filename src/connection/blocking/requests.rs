//! Blocking requests.

use std::time::{Duration, Instant};

use super::Connection;
use crate::connection::block_reader::BlockReader;
use crate::connection::random::unix_time;
use crate::connection::requests::{Opened, RequestError, Requests, check_block, check_supported};
use crate::deadline::deadline_after;
use crate::error::{Error, Timeout};
use crate::session::{PeerRequest, Session};
use crate::wire::{Block, BlockHash, BlockHeader, Message, Ping, TimestampedAddress, Tx, Txid};

/// Requests.
///
/// Each request blocks for at most its `timeout` and the time that sending takes. Other messages
/// that arrive are queued for [`Connection::receive`]. A response that arrives after its request
/// has timed out is queued as well. It counts as unrequested: a block or transaction above
/// [`limits.unrequested`](crate::wire::PayloadLimits::unrequested) is discarded.
impl Connection {
    /// Sends a ping and returns the round-trip time.
    ///
    /// Blocks for at most `timeout` and the time that sending takes. Other messages that arrive are
    /// queued for [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// - [`Error::Timeout`] if no pong arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        let ping = self.new_ping();
        self.request(timeout, |requests| requests.open_ping(ping))
    }

    /// Requests the headers that follow `locator` on the peer's chain, up to `stop` or, if that is
    /// zero, the peer's tip.
    ///
    /// A peer sends at most 2,000 headers. Fewer do not mean that its chain ends there. With an
    /// empty locator, the request is for the one header whose hash is `stop`. Blocks for at most
    /// `timeout` and the time that sending takes. Other messages that arrive are queued for
    /// [`Connection::receive`].
    ///
    /// Peers differ in where they start. An SV Node starts with the child of the common ancestor,
    /// and with the child of genesis if it knows no block of the locator. A Teranode starts with
    /// the common ancestor, and Teranodes of 2025 send the last header first. The result is in
    /// ascending order and has only headers after the locator: leading headers that are blocks of
    /// the locator, or genesis, are removed.
    ///
    /// The result is empty if the peer sends no headers. It then has none after the locator, does
    /// not know the locator, or is in its initial block download. An empty result does not mean
    /// that the peer's chain ends there. A peer may send no message at all in these cases. The
    /// request therefore ends with a `getdata` for a transaction that does not exist. When the peer
    /// reports that one as missing and has sent no headers, the result is empty. If a peer ignores
    /// the `getdata` as well, the request times out.
    ///
    /// A `headers` message does not identify the request that it answers. The response is the first
    /// one that is empty or starts near the locator. It may start with a block of the locator or
    /// genesis, or with a child of these. After a request has timed out, the next one sends a ping
    /// first, so that a late response is recognized. Empty responses are then ignored until the
    /// peer has reported a missing transaction.
    ///
    /// # Errors
    ///
    /// - [`Error::NotSupportedByPeer`] if the locator is empty and the peer is a Teranode.
    /// - [`Error::Send`] if the peer does not accept the request: the locator is too long.
    /// - [`Error::PayloadTooLarge`] if the response is above `limits.buffered`.
    /// - [`Error::Timeout`] if no response arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn headers(
        &mut self,
        locator: &[BlockHash],
        stop: BlockHash,
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        if locator.is_empty() {
            check_supported(&self.session, PeerRequest::HeaderByHash, || {
                self.name.clone()
            })?;
        }
        let needs_fence = self.requests.headers_need_fence();
        let fence = needs_fence.then(|| self.new_ping());
        self.request(timeout, |requests| {
            requests.open_headers(locator.to_vec(), stop, fence)
        })
    }

    /// Requests a block and checks its transactions against the merkle root of its header.
    ///
    /// A node does not respond to a request for a block that it does not have, but reports missing
    /// transactions. The request therefore ends with a transaction that does not exist. If the peer
    /// reports that one as missing before it sends the block, the result is [`Error::NotFound`]. A
    /// ping after the request would not be enough, because some nodes answer pings ahead of blocks.
    ///
    /// Blocks for at most `timeout` and the time that sending takes. Other messages that arrive are
    /// queued for [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if the peer does not have the block.
    /// - [`Error::PayloadTooLarge`] if the peer sent the block and it is above `limits.buffered` or
    ///   `limits.block`.
    /// - [`Error::InvalidBlock`] if the transactions do not match the header.
    /// - [`Error::Send`] if the peer does not accept the request.
    /// - [`Error::Timeout`] if no response arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        let block = self.request(timeout, |requests| requests.open_block(hash))?;
        check_block(block, hash, || self.name.clone())
    }

    /// Requests a block of any size and returns a reader once its header has arrived.
    ///
    /// The reader borrows the connection and receives the rest of the block on the caller's thread.
    /// [`BlockReader`] documents the effects on the connection. The time between two reads does not
    /// count towards the timeouts of this side. [`Connection::block`] documents how a missing block
    /// is detected.
    ///
    /// Blocks for at most `timeout` and the time that sending takes. Other messages that arrive are
    /// queued for [`Connection::receive`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use bsv_p2p::local_node::LocalNode;
    /// use bsv_p2p::{Connection, ConnectionConfig, Network};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = LocalNode::start()?;
    /// let hash = node.mine(1)?[0];
    /// let mut peer = Connection::connect(node.address(), &ConnectionConfig::new(Network::Regtest))?;
    /// let mut block = peer.block_reader(hash, Duration::from_secs(10))?;
    /// let mut file = std::io::sink(); // for example a `std::fs::File`
    /// std::io::copy(&mut block, &mut file)?; // fails if the block is invalid
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if the peer does not have the block.
    /// - [`Error::PayloadTooLarge`] if the block is above `limits.block`.
    /// - [`Error::Send`] if the peer does not accept the request.
    /// - [`Error::Timeout`] if the block does not start to arrive in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn block_reader(
        &mut self,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader<'_>, Error> {
        let reader = self.request(timeout, |requests| requests.open_block_reader(hash))?;
        Ok(reader.with_source(self))
    }

    /// Requests transactions. Returns them in the order of `txids`, with `None` for each that the
    /// peer does not have.
    ///
    /// A node serves the transactions that it announced in the last 15 minutes, and few others.
    /// Each txid is requested once, even if it is repeated. A list above
    /// [`max_inventory`](Self::max_inventory) is split into several messages. With an empty list
    /// nothing is sent.
    ///
    /// Blocks for at most `timeout` and the time that sending takes. Other messages that arrive are
    /// queued for [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// Transactions that were received before an error are lost.
    ///
    /// - [`Error::PayloadTooLarge`] if a transaction is above `limits.buffered` or
    ///   `limits.transaction`, or the list of missing ones is above `limits.general`.
    /// - [`Error::Send`] if the peer does not accept the request.
    /// - [`Error::Timeout`] if the response is incomplete when the time is over.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn transactions(
        &mut self,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        if txids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.max_inventory();
        self.request(timeout, |requests| requests.open_transactions(txids, limit))
    }

    /// Requests addresses of other nodes. Returns at most 1,000, each with the time at which it was
    /// last seen.
    ///
    /// A node answers once per connection, and only on connections that it accepted. It may take a
    /// while: [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) is
    /// usually sufficient. A node that knows no addresses does not respond.
    ///
    /// A node may also send addresses that were not requested: its own one, or recent ones that it
    /// relays. Lists that may have been relayed, with a single entry or with recent entries only,
    /// are queued like other messages. In a small network the response may look the same. The
    /// longest of these lists is therefore the result if no other list arrives in time. Blocks for
    /// at most `timeout` and the time that sending takes. Other messages that arrive are queued for
    /// [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// - [`Error::NotSupportedByPeer`] if the connection is inbound and this kind of node answers
    ///   only on connections that it accepted.
    /// - [`Error::AlreadyRequested`] if addresses were already requested on this connection, by
    ///   this method or by sending a `getaddr`.
    /// - [`Error::Send`] if the peer does not accept the request.
    /// - [`Error::Timeout`] if no `addr` arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn addresses(&mut self, timeout: Duration) -> Result<Vec<TimestampedAddress>, Error> {
        check_supported(&self.session, PeerRequest::Addresses, || self.name.clone())?;
        let relays = self.session.relays_addresses();
        self.request(timeout, |requests| {
            requests.open_addresses(relays, unix_time())
        })
    }

    /// Opens a request and sends its messages, then reads and writes until the response arrives.
    fn request<T>(
        &mut self,
        timeout: Duration,
        open: impl FnOnce(&mut Requests) -> Result<Opened<T>, RequestError>,
    ) -> Result<T, Error> {
        let deadline = deadline_after(timeout);
        let opened = open(&mut self.requests);
        let (ticket, messages) = opened.map_err(|error| error.into_error(self.name.clone()))?;
        // The peer may respond before all messages are sent.
        self.update_expected();
        if let Err(error) = self.send_request(&messages) {
            self.requests.abort(ticket.id);
            self.update_expected();
            return Err(error);
        }
        let waited = self.call(|connection| {
            while ticket.answer.is_empty() && Instant::now() < deadline {
                connection.poll_io(Some(deadline))?;
            }
            Ok(())
        });
        self.requests.cancel(ticket.id);
        self.update_expected();
        // The response may have arrived just before the deadline or the close.
        if let Ok(answer) = ticket.answer.try_recv() {
            return answer.map_err(|failure| failure.into_error(self.name.clone()));
        }
        waited?;
        Err(Error::Timeout {
            peer: self.name.clone(),
            which: Timeout::Response,
            after: timeout,
        })
    }

    /// Sends the messages of a request, either all or none unless the connection ends.
    fn send_request(&mut self, messages: &[Message]) -> Result<(), Error> {
        for message in messages {
            self.check(message, Session::check_outgoing)?;
        }
        for message in messages {
            self.session.on_request_sent(message);
            self.call(|connection| connection.write_out(message))?;
        }
        Ok(())
    }

    /// Creates a ping to send immediately. The time since the last call does not affect its
    /// timeout.
    fn new_ping(&mut self) -> Ping {
        self.exclude_idle_time();
        self.session.ping(Instant::now())
    }
}
