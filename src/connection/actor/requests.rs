//! Blocking requests to the peer, from any thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::active_connection::ActiveConnection;
use super::handle::PeerConnectionHandle;
use super::pending_request::RequestTimeout;
use crate::connection::block_reader::BlockReader;
use crate::connection::random::unix_time;
use crate::connection::requests::{Opened, RequestError, Requests, check_block, check_supported};
use crate::error::{Error, Timeout};
use crate::session::PeerRequest;
use crate::wire::{Block, BlockHash, TimestampedAddress, Tx, Txid};

/// Requests.
///
/// Any number of threads may send requests. At most 1,024 can be open on one connection. Each
/// request blocks for at most its `timeout`. The time includes waiting for space in the send queue,
/// for other requests that must be sent first, and for the response.
///
/// Responses are routed to the requesting caller and are not sent to subscribers. Each of several
/// callers that request the same object gets a response. If the connection closes, all open
/// requests fail with the reason of its event. A response that arrives after its request has timed
/// out is sent to subscribers. It counts as unrequested: a block or transaction above
/// [`limits.unrequested`](crate::wire::PayloadLimits::unrequested) is discarded.
///
/// Payloads above `limits.buffered` are discarded. A discarded block is identified by its header,
/// but a discarded transaction cannot be identified. Nodes respond in order, so a discarded
/// transaction is assigned to the oldest open transaction request. A caller that also sends its own
/// `getdata` for such a transaction can make another request fail.
impl PeerConnectionHandle {
    /// Sends a ping and returns the round-trip time. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] if the handshake is not complete.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if no pong arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        let connection = self.peer.current();
        let ping = connection.session().ping(Instant::now());
        let timeout = RequestTimeout::new(timeout);
        self.request(connection, timeout, |table| table.open_ping(ping))
    }

    /// Requests a block and checks its transactions against the merkle root of its header.
    ///
    /// [`Connection::block`](crate::Connection::block) documents how a missing block is detected.
    /// Blocks for at most `timeout` and the time to hash the transactions, which happens on the
    /// thread of the caller.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if the peer does not have the block.
    /// - [`Error::PayloadTooLarge`] if the peer sent the block and it is above `limits.buffered` or
    ///   `limits.block`.
    /// - [`Error::InvalidBlock`] if the transactions do not match the header.
    /// - [`Error::Send`] if the handshake is not complete, or the peer does not accept the
    ///   request.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if no response arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn block(&self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        self.checked_block(hash, RequestTimeout::new(timeout))
    }

    /// Like [`block`](Self::block), but also fails with [`Timeout::Stall`] if the peer makes no
    /// progress for `stall`.
    pub(crate) fn block_with_stall_timeout(
        &self,
        hash: BlockHash,
        timeout: Duration,
        stall: Duration,
    ) -> Result<Block, Error> {
        self.checked_block(hash, RequestTimeout::new(timeout).with_stall_timeout(stall))
    }

    fn checked_block(&self, hash: BlockHash, timeout: RequestTimeout) -> Result<Block, Error> {
        let block = self.request_in_order(timeout, |table| table.open_block(hash))?;
        check_block(block, hash, || self.name())
    }

    /// Requests a block of any size and returns a reader once its header has arrived.
    ///
    /// The rest of the block is read while it arrives. [`BlockReader`] documents the effects on the
    /// connection. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if the peer does not have the block.
    /// - [`Error::PayloadTooLarge`] if the block is above `limits.block`.
    /// - [`Error::Send`] if the handshake is not complete, or the peer does not accept the
    ///   request.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if the block does not start to arrive in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn block_reader(
        &self,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader<'static>, Error> {
        self.open_block_reader(hash, RequestTimeout::new(timeout))
    }

    /// Like [`block_reader`](Self::block_reader), but also fails with [`Timeout::Stall`] if the
    /// peer makes no progress for `stall`.
    pub(crate) fn block_reader_with_stall_timeout(
        &self,
        hash: BlockHash,
        timeout: Duration,
        stall: Duration,
    ) -> Result<BlockReader<'static>, Error> {
        self.open_block_reader(hash, RequestTimeout::new(timeout).with_stall_timeout(stall))
    }

    fn open_block_reader(
        &self,
        hash: BlockHash,
        timeout: RequestTimeout,
    ) -> Result<BlockReader<'static>, Error> {
        self.request_in_order(timeout, |table| table.open_block_reader(hash))
    }

    /// Requests transactions. Returns them in the order of `txids`, with `None` for each that the
    /// peer does not have.
    ///
    /// A node serves the transactions that it announced in the last 15 minutes, and few others.
    /// Each txid is requested once, even if it is repeated. A list above
    /// [`max_inventory`](Self::max_inventory) is split into several messages. With an empty list
    /// nothing is sent. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Transactions that were received before an error are lost.
    ///
    /// - [`Error::PayloadTooLarge`] if a transaction is above `limits.buffered` or
    ///   `limits.transaction`, or the list of missing ones is above `limits.general`.
    /// - [`Error::Send`] if the handshake is not complete, or the peer does not accept the
    ///   request.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if the response is incomplete when the time is over.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn transactions(
        &self,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        if txids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.max_inventory();
        self.request_in_order(RequestTimeout::new(timeout), |table| {
            table.open_transactions(txids, limit)
        })
    }

    /// Requests addresses of other nodes. Returns at most 1,000, each with the time at which it was
    /// last seen.
    ///
    /// A node answers once per connection, and only on connections that it accepted. The response
    /// may take a while:
    /// [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) is usually
    /// sufficient. A node that knows no addresses does not respond.
    ///
    /// A node may also send addresses that were not requested: its own one, or recent ones that it
    /// relays. Lists that may have been relayed, with a single entry or with recent entries only,
    /// are sent to subscribers. In a small network the response may look the same. The longest of
    /// these lists is therefore the result if no other list arrives in time. Blocks for at most
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::NotSupportedByPeer`] if the connection is inbound and this kind of node answers
    ///   only on connections that it accepted.
    /// - [`Error::AlreadyRequested`] if addresses were already requested on this connection, by
    ///   this method or by sending a `getaddr`.
    /// - [`Error::Send`] if the handshake is not complete, or the peer does not accept the
    ///   request.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if no `addr` arrives in time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn addresses(&self, timeout: Duration) -> Result<Vec<TimestampedAddress>, Error> {
        let connection = self.peer.current();
        let relays = {
            let session = connection.session();
            check_supported(&session, PeerRequest::Addresses, || self.name())?;
            session.relays_addresses()
        };
        let timeout = RequestTimeout::new(timeout);
        self.request(connection, timeout, |table| {
            table.open_addresses(relays, unix_time())
        })
    }

    /// Sends a request whose response is matched by the order of requests, and waits for the
    /// response.
    fn request_in_order<T>(
        &self,
        timeout: RequestTimeout,
        open: impl FnOnce(&mut Requests) -> Result<Opened<T>, RequestError>,
    ) -> Result<T, Error> {
        let connection = self.peer.current();
        let pending = {
            let lock = connection.requests.send_lock(timeout.deadline);
            let _lock = lock.ok_or_else(|| self.timed_out(Timeout::Send, timeout))?;
            self.open_request(connection.clone(), timeout, open)?
        };
        pending.wait(timeout)
    }

    /// Sends a request and waits for the response.
    fn request<T>(
        &self,
        connection: Arc<ActiveConnection>,
        timeout: RequestTimeout,
        open: impl FnOnce(&mut Requests) -> Result<Opened<T>, RequestError>,
    ) -> Result<T, Error> {
        self.open_request(connection, timeout, open)?.wait(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pair::{LIMIT, Pair};
    use super::*;
    use crate::connection::{Connection, ConnectionConfig};
    use crate::deadline::deadline_after;
    use crate::network::Network;
    use crate::wire::{Command, Inventory, Message, NotFound};

    const SHORT: Duration = Duration::from_millis(50);

    /// Sends the block and reports the end marker for the next request of the other side. Returns
    /// the end marker.
    fn serve(peer: &mut Connection, block: &Block) -> Inventory {
        loop {
            let message = peer.receive_timeout(LIMIT).unwrap();
            if let Message::GetData(getdata) = message.expect("a getdata") {
                let marker = getdata.inventory[1];
                peer.send_unchecked(block.clone()).unwrap();
                peer.send_unchecked(NotFound::from(vec![marker])).unwrap();
                return marker;
            }
        }
    }

    /// A request is in the table and not yet sent while another thread requests the same block.
    #[test]
    fn requests_of_two_threads_keep_their_order() {
        let Pair {
            handle,
            mut peer,
            messages,
        } = Pair::new(ConnectionConfig::new(Network::Regtest));
        let block = Block::genesis(&Network::Regtest);
        let hash = block.hash();
        let connection = handle.peer.current();
        let lock = connection.requests.send_lock(deadline_after(LIMIT));
        let opened = connection.requests.with(|table| table.open_block(hash));
        let (first, getdata) = opened.unwrap();
        let blocked = Error::Timeout {
            peer: handle.peer_addr().to_string(),
            which: Timeout::Send,
            after: SHORT,
        };
        assert_eq!(handle.block(hash, SHORT), Err(blocked));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| handle.block(hash, LIMIT));
            let timeout = RequestTimeout::new(LIMIT);
            handle.send_request(&connection, &getdata, timeout).unwrap();
            drop(lock);
            let [Message::GetData(getdata)] = &getdata[..] else {
                panic!("{getdata:?}");
            };
            assert_eq!(serve(&mut peer, &block), getdata.inventory[1]);
            assert_ne!(serve(&mut peer, &block), getdata.inventory[1]);
            assert_eq!(first.answer.recv_timeout(LIMIT), Ok(Ok(block.clone())));
            assert_eq!(second.join().unwrap(), Ok(block));
        });
        // Subscribers receive neither a copy nor an end marker.
        let last = Message::Unknown {
            command: const { Command::new("test") },
            payload: Vec::new().into(),
        };
        peer.send_unchecked(last.clone()).unwrap();
        let received = std::iter::repeat_with(|| messages.recv_timeout(LIMIT).unwrap().message);
        for message in received.take_while(|message| **message != last) {
            let is_response = matches!(&*message, Message::Block(_) | Message::NotFound(_));
            assert!(!is_response, "{message:?}");
        }
    }
}
