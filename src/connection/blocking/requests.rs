//! Questions to a peer, each with its answer.

use std::time::{Duration, Instant};

use super::Connection;
use crate::connection::requests::{Asked, NotAsked, Requests, check_block};
use crate::deadline::deadline_after;
use crate::error::{Error, Timeout};
use crate::session::{PROTOCOL_VERSION, PeerRequest};
use crate::wire::{
    Block, BlockHash, BlockHeader, GetData, GetHeaders, Message, Ping, TimestampedAddress, Tx, Txid,
};

/// Each blocks at most for its `timeout`, and what sending takes. Other messages that come are kept for
/// [`Connection::receive`], and so is an answer that comes after its request has timed out.
impl Connection {
    /// Asks whether the peer is there; returns how long the answer took.
    ///
    /// Blocks at most for `timeout`, and what sending takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], [`Error::Disconnected`].
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        let ping = self.new_ping();
        let asked = self.ask(|requests| requests.ask_ping(ping.nonce.unwrap_or_default()))?;
        self.exchange([ping.into()], &asked, timeout)
    }

    /// Requests the headers that follow `locator` on the peer's chain, up to `stop` or, if that is
    /// zero, the peer's tip.
    ///
    /// A peer sends at most 2,000 headers. Fewer do not mean that its chain ends there. With an
    /// empty locator, the request is for the one header whose hash is `stop`. Blocks for at most
    /// `timeout` and the time that sending takes. Other messages that arrive are kept for
    /// [`Connection::receive`].
    ///
    /// Peers differ in where they start. An SV Node starts with the child of the common ancestor,
    /// and with the child of genesis if it knows no block of the locator. A Teranode starts with
    /// the common ancestor, and Teranodes of 2025 send the last header first. The result is in
    /// ascending order and has only headers after the locator: leading headers that are blocks of
    /// the locator, or genesis, are removed.
    ///
    /// The result is empty if the peer sends no headers: it has none after the locator, does not
    /// know the locator, or is in its initial block download. An empty result does not mean that
    /// the peer's chain ends there. A peer may send no message at all in these cases. The request
    /// therefore ends with a `getdata` for a transaction that no peer has. When the peer reports
    /// that one as missing and has sent no headers, the result is empty. A peer that ignores the
    /// `getdata` as well makes the request time out.
    ///
    /// A `headers` message does not name the request that it answers. The first one is used that is
    /// empty or starts with a block of the locator, the child of one, genesis, or the child of
    /// genesis. After a request has timed out, the next one sends a ping first, so that a late
    /// answer is recognized.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupportedByPeer`] for an empty locator if the peer is a Teranode; [`Error::Send`],
    /// [`Error::Timeout`], [`Error::Disconnected`]; [`Error::PayloadTooLarge`] if the answer is above `limits.buffered`.
    pub fn headers(
        &mut self,
        locator: &[BlockHash],
        stop: BlockHash,
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        let question = GetHeaders {
            version: PROTOCOL_VERSION,
            locator: locator.to_vec(),
            stop,
        };
        if locator.is_empty() {
            self.check_supported(PeerRequest::HeaderByHash)?;
        }
        let needed = self.requests.headers_need_fence();
        let fence = needed.then(|| self.new_ping());
        let nonce = fence.and_then(|ping| ping.nonce);
        let (asked, marker) = self.ask(|requests| requests.ask_headers(&question, nonce))?;
        let mut messages = Vec::from_iter(fence.map(Message::from));
        messages.extend([question.into(), marker.into()]);
        self.exchange(messages, &asked, timeout)
    }

    /// Asks for a block, and checks that its transactions are those which its header commits to.
    ///
    /// A node says nothing at all about a block that it does not have, but names every transaction that it does not have.
    /// So the question ends with a transaction that nobody has: when that is named and the block has not come, the answer is
    /// [`Error::NotFound`]. (A ping behind the question would do for the reference node, which does one thing after the
    /// other; others answer pings ahead of blocks, this library among them.) Blocks at most for `timeout`, and what sending
    /// takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block came and is above `limits.buffered` or
    /// `limits.block`;
    /// [`Error::InvalidBlock`]; [`Error::Send`], [`Error::Timeout`], [`Error::Disconnected`].
    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        let (asked, question) = self.ask(|requests| requests.ask_block(hash))?;
        let block = self.exchange([question.into()], &asked, timeout)?;
        check_block(block, hash, || self.name.clone())
    }

    /// Asks for transactions; returns them in the order of `txids`, with `None` for what the peer does not have.
    ///
    /// A node gives what it has announced in the last quarter of an hour, and little else. A repeated txid is asked for once, and
    /// what the peer does not take in one message is split. Without txids nothing is asked. Blocks at most for `timeout`, and
    /// what sending takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`] if one came and is above `limits.buffered` or `limits.transaction`, or if the list of missing
    /// ones is above `limits.general`; [`Error::Send`], [`Error::Timeout`],
    /// [`Error::Disconnected`]. What has come by then is lost.
    pub fn transactions(
        &mut self,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        if txids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.max_inventory();
        let (asked, entries) = self.ask(|requests| requests.ask_transactions(txids))?;
        let questions = GetData::split(&entries, limit).map(Message::from);
        self.exchange(questions, &asked, timeout)
    }

    /// Asks for addresses of other nodes, at most 1,000, each with the time at which it was last heard of.
    ///
    /// A node answers once in the life of a connection, only if we have dialled it, and takes its time:
    /// [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) is enough as a rule. One that knows nobody says nothing.
    /// An `addr` of one entry may come before, by which a node tells of itself or passes something on: it is kept as other messages
    /// are, and is the answer only if nothing longer comes until the time is over. Blocks at most for `timeout`, and what
    /// sending takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupportedByPeer`] if a node of the peer's kind answers only connections that we have opened, and the peer has
    /// opened this one; [`Error::AlreadyRequested`] if that has been asked before, also by a `getaddr` of the program; [`Error::Send`],
    /// [`Error::Timeout`], [`Error::Disconnected`].
    pub fn addresses(&mut self, timeout: Duration) -> Result<Vec<TimestampedAddress>, Error> {
        self.check_supported(PeerRequest::Addresses)?;
        let asked = self.ask(Requests::ask_addresses)?;
        self.exchange([Message::GetAddr], &asked, timeout)
    }

    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut Requests) -> Result<T, NotAsked>,
    ) -> Result<T, Error> {
        ask(&mut self.requests).map_err(|not_asked| not_asked.into_error(self.name.clone()))
    }

    /// Sends questions, then takes turns until the answer is there.
    fn exchange<T>(
        &mut self,
        questions: impl IntoIterator<Item = Message>,
        asked: &Asked<T>,
        timeout: Duration,
    ) -> Result<T, Error> {
        let deadline = deadline_after(timeout);
        let mut questions = questions.into_iter();
        if let Err(error) = questions.try_for_each(|question| self.send(&question)) {
            self.requests.withdraw(asked.id);
            return Err(error);
        }
        let waited = self.call(|connection| {
            while asked.answer.is_empty() && Instant::now() < deadline {
                connection.turn(Some(deadline))?;
            }
            Ok(())
        });
        self.requests.give_up(asked.id);
        // It may have come right before the end, of the time or the connection.
        if let Ok(answer) = asked.answer.try_recv() {
            return answer.map_err(|failure| failure.into_error(self.name.clone()));
        }
        waited?;
        Err(Error::Timeout {
            peer: self.name.clone(),
            which: Timeout::Response,
            after: timeout,
        })
    }

    /// A ping to be sent now. The time that the program was away is over before it, and does not count for it.
    fn new_ping(&mut self) -> Ping {
        self.resume();
        self.session.ping(Instant::now())
    }
}
