//! Questions to a peer, each with its answer.

use std::time::{Duration, Instant};

use super::Connection;
use super::answers::Markers;
use super::kept::Kept;
use crate::connection::inlet::Received;
use crate::connection::progress::deadline_after;
use crate::error::{Error, Wait};
use crate::session::PROTOCOL_VERSION;
use crate::wire::{Block, BlockHash, BlockHeader, GetData, GetHeaders, Inventory, Message, Ping};

impl Connection {
    /// Asks whether the peer is there; returns how long the answer took.
    ///
    /// Blocks at most for `timeout`, and what sending takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        let ping = self.new_ping();
        self.exchange(&[Message::Ping(ping)], timeout, |connection| {
            let pong = connection.pongs.arrival(ping)?;
            Some(Ok(pong.round_trip))
        })
    }

    /// Asks for the headers behind the first block of `locator` that the peer has on its chain, up to `stop`, which is
    /// zero for as many as fit: at most 2,000.
    ///
    /// The answer is empty if the peer has nothing further. A node does not answer while it is in its initial download.
    /// Blocks at most for `timeout`, and what sending takes. Other messages that come are kept.
    ///
    /// The wire has no way to tell which question an answer belongs to: taken as the answer is the first `headers` that is
    /// empty, continues a block of the locator, or starts behind the network's first block, as the answer does if the peer
    /// knows none of the locator. With an empty locator it is that which starts with `stop`.
    ///
    /// # Errors
    ///
    /// [`Error::SendRefused`], [`Error::TimedOut`], [`Error::Disconnected`].
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
        let genesis = BlockHeader::genesis(self.config.network).hash();
        let answers = |headers: &[BlockHeader]| match headers.first() {
            None => true,
            Some(first) if locator.is_empty() => first.hash() == stop,
            Some(first) => locator.contains(&first.previous) || first.previous == genesis,
        };
        self.request(question.into(), timeout, |connection, since| {
            connection
                .kept
                .take_since(since.as_mut()?, |received| match received {
                    Received::Message(Message::Headers(found), _) if answers(&found.headers) => {
                        Some(Ok(found.headers.clone()))
                    }
                    _ => None,
                })
        })
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
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block came and is above `limits.buffered`;
    /// [`Error::BadBlock`]; [`Error::SendRefused`], [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        let wanted = Inventory::Block(hash);
        let marker = Markers::draw();
        let question = GetData::from(vec![wanted, marker]);
        let begin = self.kept.end();
        let (mut blocks, mut ends) = (begin, begin);
        let limit = self.config.session.limits.buffered;
        let peer = self.name.clone();
        let answer = self.request(question.into(), timeout, |connection, since| {
            let kept = &mut connection.kept;
            // A block names itself: one that an earlier question brings is as good.
            let block = kept.take_since(&mut blocks, |received| match received {
                Received::Message(Message::Block(block), _) if block.hash() == hash => {
                    Some(Ok(block.clone()))
                }
                _ => None,
            });
            let mut too_large = |kept: &mut Kept| {
                kept.take_since(since.as_mut()?, |received| match received {
                    Received::PassedOver { command, len } if command.name() == "block" => {
                        let peer = peer.clone();
                        Some(Err(Error::PayloadTooLarge {
                            peer,
                            bytes: *len,
                            limit,
                        }))
                    }
                    _ => None,
                })
            };
            // The end counts only once everything that came before it has been looked at.
            let mut not_found = |kept: &mut Kept| {
                kept.take_since(&mut ends, |received| match received {
                    Received::Message(Message::NotFound(missing), _) => {
                        let ours = |entry| [wanted, marker].contains(entry);
                        let peer = peer.clone();
                        let error = Err(Error::NotFound { peer, hash });
                        missing.inventory.iter().any(ours).then_some(error)
                    }
                    _ => None,
                })
            };
            block
                .or_else(|| too_large(kept))
                .or_else(|| not_found(kept))
        });
        if !matches!(answer, Err(Error::NotFound { .. })) {
            let mut end = |received: &Received| Markers::is_alone(received, marker).then_some(());
            if self.kept.take_since(&mut ends, &mut end).is_none() {
                self.markers.leave(marker);
            }
        }
        let block = answer?;
        match block.check_merkle_root() {
            Ok(()) => Ok(block),
            Err(error) => {
                let peer = self.name.clone();
                Err(Error::BadBlock {
                    peer,
                    hash,
                    error: Box::new(error),
                })
            }
        }
    }

    /// Asks a question whose answer does not name it.
    ///
    /// An earlier question whose time ran out may yet be answered. A ping goes before the new one then: a node answers in
    /// order, and what comes before the pong is not meant. `answer` learns behind which place of what is kept its
    /// answers are, once that is known.
    fn request<T>(
        &mut self,
        question: Message,
        timeout: Duration,
        mut answer: impl FnMut(&mut Self, &mut Option<u64>) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let fence = self.answers_open.then(|| self.new_ping());
        let mut since = fence.is_none().then(|| self.kept.end());
        let ping = fence.map(Message::Ping);
        let questions: Vec<_> = ping.into_iter().chain([question]).collect();
        self.exchange(&questions, timeout, |connection| {
            since = since.or_else(|| Some(connection.pongs.arrival(fence?)?.place));
            let found = answer(connection, &mut since);
            connection.answers_open = found.is_none() || since.is_none();
            found
        })
    }

    /// Sends questions, then takes turns until `answer` finds something.
    fn exchange<T>(
        &mut self,
        questions: &[Message],
        timeout: Duration,
        mut answer: impl FnMut(&mut Self) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = deadline_after(timeout);
        let mut found = None;
        let sent = questions
            .iter()
            .try_for_each(|question| self.send(question));
        let ended = sent.and_then(|()| {
            self.call(|connection| {
                loop {
                    found = answer(connection);
                    if found.is_some() || Instant::now() >= deadline {
                        return Ok(());
                    }
                    if let Err(reason) = connection.turn(Some(deadline)) {
                        // The answer may have come right before the end.
                        found = answer(connection);
                        return if found.is_some() { Ok(()) } else { Err(reason) };
                    }
                }
            })
        });
        self.pongs.forget();
        ended?;
        found.unwrap_or_else(|| {
            let peer = self.name.clone();
            Err(Error::TimedOut {
                peer,
                wait: Wait::Reply,
                after: timeout,
            })
        })
    }

    /// A ping to be sent now, whose pong is awaited. The time that the program was away is over before it, and does not count for
    /// it.
    fn new_ping(&mut self) -> Ping {
        self.resume();
        let ping = self.session.ping(Instant::now());
        self.pongs.await_answer(ping);
        ping
    }
}
