//! Questions to a peer, each with its answer.

use std::time::{Duration, Instant};

use super::{ArrivedPong, Connection};
use crate::connection::inlet::Received;
use crate::error::{Error, Wait};
use crate::session::{DisconnectReason, PROTOCOL_VERSION};
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
        self.request(&[Message::Ping(ping)], timeout, |connection, _| {
            connection.pong(ping.nonce).map(|pong| Ok(pong.round_trip))
        })
    }

    /// Asks for the headers behind the first block of `locator` that the peer has on its chain, up to `stop`, which is
    /// zero for as many as fit: at most 2,000.
    ///
    /// The answer is empty if the peer has nothing further. A node does not answer while it is in its initial download. Blocks at most for `timeout`,
    /// and what sending takes. Other messages that come are kept.
    ///
    /// The wire has no way to tell which question an answer belongs to: taken as the answer is the first `headers` that is empty,
    /// continues a block of the locator, or starts behind the network's first block, as the answer does if the peer knows none
    /// of the locator. With an empty locator it is that which starts with `stop`.
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
        self.request(&[question.into()], timeout, |connection, since| {
            let kept = &mut connection.kept;
            kept.take_since(since.as_mut()?, |received| match received {
                Received::Message(Message::Headers(found), _) if answers(&found.headers) => {
                    Some(Ok(found.headers.clone()))
                }
                _ => None,
            })
        })
    }

    /// Asks for a block, and checks that its transactions are those which its header commits to.
    ///
    /// A node says nothing at all about a block that it does not have. So a ping follows the question: a node answers in order, and a
    /// pong that comes first means [`Error::NotFound`]. Blocks at most for `timeout`, and what sending takes. Other messages that
    /// come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block came and is above `limits.buffered`; [`Error::BadBlock`];
    /// [`Error::SendRefused`], [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        let question = GetData::from(vec![Inventory::Block(hash)]);
        let ping = self.new_ping();
        let mut known = self.kept.end();
        let limit = self.config.session.limits.buffered;
        let peer = self.name.clone();
        let questions = [question.into(), Message::Ping(ping)];
        let block = self.request(&questions, timeout, |connection, since| {
            let kept = &mut connection.kept;
            // A block names itself: one that an earlier question brings is as good.
            let block = kept.take_since(&mut known, |received| match received {
                Received::Message(Message::Block(block), _) if block.hash() == hash => {
                    Some(Ok(block.clone()))
                }
                _ => None,
            });
            let too_large = || {
                kept.take_since(since.as_mut()?, |received| match received {
                    Received::PassedOver { command, len } if command.name() == "block" => {
                        Some(Err(Error::PayloadTooLarge {
                            peer: peer.clone(),
                            bytes: *len,
                            limit,
                        }))
                    }
                    _ => None,
                })
            };
            // The pong counts only once everything that came before it has been looked at.
            block.or_else(too_large).or_else(|| {
                let peer = peer.clone();
                connection
                    .pong(ping.nonce)
                    .map(|_| Err(Error::NotFound { peer, hash }))
            })
        })?;
        match block.check_merkle_root() {
            Ok(()) => Ok(block),
            Err(error) => Err(Error::BadBlock {
                peer: self.name.clone(),
                hash,
                error: Box::new(error),
            }),
        }
    }

    /// Sends a question, then takes turns until `answer` finds something.
    ///
    /// An earlier question whose time ran out may yet be answered. A ping goes before the new one then: a node answers in
    /// order, and what comes before the pong is not meant. `answer` learns behind which place of what is kept its
    /// answers are, once that is known.
    fn request<T>(
        &mut self,
        question: &[Message],
        timeout: Duration,
        mut answer: impl FnMut(&mut Self, &mut Option<u64>) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + timeout;
        self.pongs.clear();
        let fence = self.answers_open.then(|| self.new_ping());
        let mut since = fence.is_none().then(|| self.kept.end());
        self.answers_open = true;
        for message in fence.map(Message::Ping).iter().chain(question) {
            self.send(message)?;
        }
        let mut found = None;
        self.call(|connection| {
            loop {
                if let Some(fence) = fence.filter(|_| since.is_none()) {
                    since = connection.pong(fence.nonce).map(|pong| pong.place);
                }
                found = answer(connection, &mut since);
                if found.is_some() || Instant::now() >= deadline {
                    return Ok::<_, DisconnectReason>(());
                }
                connection.turn(Some(deadline))?;
            }
        })?;
        self.answers_open = found.is_none() || since.is_none();
        found.unwrap_or_else(|| {
            let peer = self.name.clone();
            Err(Error::TimedOut {
                peer,
                wait: Wait::Reply,
                after: timeout,
            })
        })
    }

    /// A ping to be sent now. The time that the program was away is over before it: it does not count for the ping.
    fn new_ping(&mut self) -> Ping {
        self.enter();
        self.session.ping(Instant::now())
    }

    /// The pong with that nonce, if it has come.
    fn pong(&mut self, nonce: Option<u64>) -> Option<ArrivedPong> {
        let at = self
            .pongs
            .iter()
            .position(|pong| Some(pong.nonce) == nonce)?;
        Some(self.pongs.swap_remove(at))
    }
}
