//! Questions to a peer, each with its answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Connection;
use crate::connection::inlet::Received;
use crate::error::{Error, Wait};
use crate::session::{DisconnectReason, PROTOCOL_VERSION};
use crate::wire::{Block, BlockHash, BlockHeader, GetData, GetHeaders, Inventory, Message, Txid};

impl Connection {
    /// Asks whether the peer is there; returns how long the answer took.
    ///
    /// Blocks at most for `timeout`, and what sending takes. Other messages that come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        self.resume();
        let ping = self.session.ping(Instant::now());
        self.awaited_pong = ping.nonce.map(|nonce| (nonce, None));
        self.request(&Message::Ping(ping), timeout, |connection| {
            let (_, time) = connection.awaited_pong?;
            time.map(Ok)
        })
    }

    /// Asks for the headers behind the first block of `locator` that the peer has on its chain, up to `stop`, which is
    /// zero for as many as fit: at most 2,000.
    ///
    /// The answer is empty if the peer has nothing further. A node does not answer while it is in its initial download. Blocks at most for `timeout`,
    /// and what sending takes. Other messages that come are kept.
    ///
    /// The wire has no way to tell which question an answer belongs to: taken as the answer is the first `headers` that is empty or
    /// continues a block of the locator. With an empty locator it is that which starts with `stop`.
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
        let locator = locator.to_vec();
        let question = GetHeaders {
            version: PROTOCOL_VERSION,
            locator: locator.clone(),
            stop,
        };
        let answers = move |headers: &[BlockHeader]| match headers.first() {
            None => true,
            Some(first) if locator.is_empty() => first.hash() == stop,
            Some(first) => locator.contains(&first.previous),
        };
        let mut known = self.kept.end();
        self.request(&question.into(), timeout, |connection| {
            connection
                .kept
                .take_since(&mut known, |received| match received {
                    Received::Message(Message::Headers(found), _) if answers(&found.headers) => {
                        Some(Ok(found.headers.clone()))
                    }
                    _ => None,
                })
        })
    }

    /// Asks for a block, and checks that its transactions are those which its header commits to.
    ///
    /// A node says nothing at all about a block that it does not have, but names every transaction that it does not have. So the question is
    /// followed by one for a transaction that nobody has: when that is named and the block has not come, the answer is
    /// [`Error::NotFound`]. (A ping would do for the reference node, which does one thing after the other; others answer pings
    /// ahead of blocks, this library among them.) Blocks at most for `timeout`, and what sending takes. Other messages that
    /// come are kept.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PayloadTooLarge`] if the block came and is above `limits.buffered`; [`Error::BadBlock`];
    /// [`Error::SendRefused`], [`Error::TimedOut`], [`Error::Disconnected`].
    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        let wanted = Inventory::Block(hash);
        let marker = self.markers.next();
        let question = GetData::from(vec![wanted, marker]);
        let mut known = self.kept.end();
        let limit = self.config.session.limits.buffered;
        let peer = self.name.clone();
        let answer = |received: &Received| match received {
            Received::Message(Message::Block(block), _) if block.hash() == hash => {
                Some(Ok(block.clone()))
            }
            Received::PassedOver { command, len } if command.name() == "block" => {
                let peer = peer.clone();
                Some(Err(Error::PayloadTooLarge {
                    peer,
                    bytes: *len,
                    limit,
                }))
            }
            Received::Message(Message::NotFound(missing), _)
                if missing.inventory.contains(&marker) || missing.inventory.contains(&wanted) =>
            {
                Some(Err(Error::NotFound {
                    peer: peer.clone(),
                    hash,
                }))
            }
            _ => None,
        };
        let answer = self.request(&question.into(), timeout, |connection| {
            connection.kept.take_since(&mut known, answer)
        });
        if !matches!(answer, Err(Error::NotFound { .. })) {
            self.markers.leave(marker);
        }
        let block = answer?;
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
    fn request<T>(
        &mut self,
        question: &Message,
        timeout: Duration,
        mut answer: impl FnMut(&mut Self) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + timeout;
        self.send(question)?;
        let mut found = None;
        self.call(|connection| {
            loop {
                found = answer(connection);
                if found.is_some() || Instant::now() >= deadline {
                    return Ok::<_, DisconnectReason>(());
                }
                connection.turn(Some(deadline))?;
            }
        })?;
        found.unwrap_or_else(|| {
            let peer = self.name.clone();
            Err(Error::TimedOut {
                peer,
                wait: Wait::Reply,
                after: timeout,
            })
        })
    }
}

/// Transactions that nobody has, by which the end of an answer is known.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// Those whose requests have ended before they came back.
    left: VecDeque<Inventory>,
}

impl Markers {
    /// How many are remembered: a peer that does not name them costs no more.
    const MAX_LEFT: usize = 64;

    fn next(&self) -> Inventory {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        Inventory::Tx(Txid(hash))
    }

    fn leave(&mut self, marker: Inventory) {
        if self.left.len() == Self::MAX_LEFT {
            self.left.pop_front();
        }
        self.left.push_back(marker);
    }

    /// Whether this is nothing but the late end of an answer that nobody waits for any more.
    pub(super) fn settles(&mut self, received: &Received) -> bool {
        let Received::Message(Message::NotFound(missing), _) = received else {
            return false;
        };
        let [marker] = missing.inventory[..] else {
            return false;
        };
        match self.left.iter().position(|left| *left == marker) {
            Some(at) => self.left.remove(at).is_some(),
            None => false,
        }
    }
}
