//! Questions to the peer, from any thread.

use std::time::{Duration, Instant};

use super::handle::PeerConnectionHandle;
use super::moving::GivenUp;
use super::patience::Patience;
use crate::connection::block_reader::BlockReader;
use crate::connection::requests::{Asked, NotAsked, Requests, check_block};
use crate::error::{Error, Timeout};
use crate::session::{PeerRequest, Receiver};
use crate::wire::{Block, BlockHash, GetData, Message, Ping, TimestampedAddress, Tx, Txid};

/// Requests: many at once, from any number of threads, at most 1,024 at one peer.
///
/// Each blocks at most for its `timeout`: for room to send, for its turn where it has to wait for one, and for the answer. Answers
/// go to those who asked, past all subscribers; several who ask for the same have an answer each. The end of the connection ends
/// all requests at once, with the reason that its event gives. An answer that comes after its request has timed out
/// is an ordinary message: it is told to subscribers.
///
/// Of what is too long to be kept, a block still says which it is; a transaction does not. It is taken for the answer to the oldest open
/// question of its kind, as nodes answer in order: whoever also sends a `getdata` of its own for such a transaction mixes them up.
impl PeerConnectionHandle {
    /// Asks whether the peer is there; returns how long the answer took. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] before the handshake is complete, [`Error::Timeout`], [`Error::Disconnected`],
    /// [`Error::TooManyRequests`].
    pub fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        let patience = Patience::new(timeout);
        let ping = self.new_ping();
        let asked = self.enter(|requests| requests.ask_ping(ping.nonce.unwrap_or_default()))?;
        self.send_questions([ping.into()], &asked, patience)?;
        self.wait_for(&asked, patience)
    }

    /// Asks for a block, and checks that its transactions are those which its header commits to, in the thread of the
    /// caller.
    ///
    /// How a block that the peer does not have is noticed says [`Connection::block`](crate::Connection::block). Blocks at most
    /// for `timeout`, and for the hashes of the block's transactions.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block came and is above `limits.buffered` or `limits.block`;
    /// [`Error::InvalidBlock`];
    /// [`Error::Send`], [`Error::Timeout`], [`Error::Disconnected`], [`Error::TooManyRequests`].
    pub fn block(&self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        self.ask_block(hash, Patience::new(timeout))
    }

    /// The same, given up also when the peer has stood still for `stall`: see [`Timeout::Stall`].
    pub(crate) fn block_unless_still(
        &self,
        hash: BlockHash,
        timeout: Duration,
        stall: Duration,
    ) -> Result<Block, Error> {
        self.ask_block(hash, Patience::new(timeout).unless_still(stall))
    }

    fn ask_block(&self, hash: BlockHash, patience: Patience) -> Result<Block, Error> {
        let block = self.ask_in_turn(|requests| requests.ask_block(hash), patience)?;
        check_block(block, hash, || self.name())
    }

    /// Asks for a block of whatever size, and returns as soon as its header has come: the rest is read while it arrives.
    ///
    /// [`BlockReader`] says what becomes of the connection meanwhile. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block is above `limits.block`; [`Error::Send`],
    /// [`Error::Timeout`], [`Error::Disconnected`], [`Error::TooManyRequests`].
    pub fn block_reader(&self, hash: BlockHash, timeout: Duration) -> Result<BlockReader, Error> {
        self.ask_block_reader(hash, Patience::new(timeout))
    }

    /// The same, given up also when the peer has stood still for `stall`: see [`Timeout::Stall`].
    pub(crate) fn block_reader_unless_still(
        &self,
        hash: BlockHash,
        timeout: Duration,
        stall: Duration,
    ) -> Result<BlockReader, Error> {
        self.ask_block_reader(hash, Patience::new(timeout).unless_still(stall))
    }

    fn ask_block_reader(&self, hash: BlockHash, patience: Patience) -> Result<BlockReader, Error> {
        self.ask_in_turn(|requests| requests.ask_block_reader(hash), patience)
    }

    /// Asks for transactions; returns them in the order of `txids`, with `None` for what the peer does not have.
    ///
    /// A node gives what it has announced in the last quarter of an hour, and little else. A repeated txid is asked for once, and
    /// what the peer does not take in one message is split. Without txids nothing is asked. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::PayloadTooLarge`] if one came and is above `limits.buffered` or `limits.transaction`, or if the list of missing
    /// ones is above `limits.general`; [`Error::Send`], [`Error::Timeout`],
    /// [`Error::Disconnected`], [`Error::TooManyRequests`]. What has come by then is lost.
    pub fn transactions(
        &self,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        if txids.is_empty() {
            return Ok(Vec::new());
        }
        let patience = Patience::new(timeout);
        let limit = self.max_inventory();
        let asked = {
            let sending = self.shared.requests.sending(patience.deadline);
            let _sending = sending.ok_or_else(|| self.timed_out(Timeout::Send, patience))?;
            let (asked, entries) = self.enter(|requests| requests.ask_transactions(txids))?;
            let questions = GetData::split(&entries, limit).map(Message::from);
            self.send_questions(questions, &asked, patience)?;
            asked
        };
        self.wait_for(&asked, patience)
    }

    /// Asks for addresses of other nodes, at most 1,000, each with the time at which it was last heard of.
    ///
    /// A node answers once in the life of a connection, only if we have dialled it, and takes its time:
    /// [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) is enough as a rule. One that knows nobody says nothing.
    /// An `addr` of one entry may come before, by which a node tells of itself or passes something on: it is told to subscribers,
    /// and is the answer only if nothing longer comes until the time is over. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupportedByPeer`] if a node of the peer's kind answers only connections that we have opened, and the peer has
    /// opened this one; [`Error::AlreadyRequested`] if that has been asked before, also by a `getaddr` of the program; [`Error::Send`],
    /// [`Error::Timeout`], [`Error::Disconnected`], [`Error::TooManyRequests`].
    pub fn addresses(&self, timeout: Duration) -> Result<Vec<TimestampedAddress>, Error> {
        let patience = Patience::new(timeout);
        self.check_supported(PeerRequest::Addresses)?;
        let asked = self.enter(Requests::ask_addresses)?;
        self.send_questions([Message::GetAddr], &asked, patience)?;
        self.wait_for(&asked, patience)
    }

    /// Asks for an object, where answers are told apart by the order of the questions, and waits for it.
    fn ask_in_turn<T>(
        &self,
        ask: impl FnOnce(&mut Requests) -> Result<(Asked<T>, GetData), NotAsked>,
        patience: Patience,
    ) -> Result<T, Error> {
        let asked = {
            let sending = self.shared.requests.sending(patience.deadline);
            let _sending = sending.ok_or_else(|| self.timed_out(Timeout::Send, patience))?;
            let (asked, question) = self.enter(ask)?;
            self.send_questions([question.into()], &asked, patience)?;
            asked
        };
        self.wait_for(&asked, patience)
    }

    pub(super) fn enter<T>(
        &self,
        enter: impl FnOnce(&mut Requests) -> Result<T, NotAsked>,
    ) -> Result<T, Error> {
        let entered = self.shared.requests.with(enter);
        entered.map_err(|not_asked| not_asked.into_error(self.name()))
    }

    /// Sends questions that are in the table, or takes them out of it.
    fn send_questions<T>(
        &self,
        questions: impl IntoIterator<Item = Message>,
        asked: &Asked<T>,
        patience: Patience,
    ) -> Result<(), Error> {
        let mut questions = questions.into_iter();
        let sent = questions
            .try_for_each(|question| self.send_checked(&question, patience, Receiver::check));
        if sent.is_err() {
            self.shared.requests.with(|table| table.withdraw(asked.id));
        }
        sent
    }

    fn wait_for<T>(&self, asked: &Asked<T>, patience: Patience) -> Result<T, Error> {
        // Whatever it is, what has been put there by the time of giving up is the answer.
        let answer = self.receive(&asked.answer, patience).or_else(|given_up| {
            self.shared.requests.with(|table| table.give_up(asked.id));
            asked.answer.try_recv().map_err(|_| given_up)
        });
        match answer {
            Ok(answer) => answer.map_err(|failure| self.shared.request_error(failure)),
            Err(given_up) => Err(self.given_up(given_up, patience)),
        }
    }

    /// Returns the error of a request whose answer was waited for in vain.
    pub(super) fn given_up(&self, given_up: GivenUp, patience: Patience) -> Error {
        match given_up {
            GivenUp::Deadline => self.timed_out(Timeout::Response, patience),
            GivenUp::StoodStill(after) => Error::Timeout {
                peer: self.name(),
                which: Timeout::Stall,
                after,
            },
        }
    }

    pub(super) fn new_ping(&self) -> Ping {
        self.shared.session.lock().ping(Instant::now())
    }
}
