//! Whether a peer follows the chain that we want it to.
//!
//! Nodes of other chains that have the same history, magic and genesis are told apart by a block that only one chain has: right behind the
//! handshake we ask for the headers that follow it. A node that has it on its chain answers with those; one that does not know
//! it, or has it on no chain that counts, begins behind the genesis block (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
//! `ProcessGetHeadersMessage`, and `src/validation.cpp`, `FindForkInGlobalIndex`). A node that is still in its initial download does not answer: it is not
//! judged.

use super::Session;
use crate::network::Network;
use crate::session::{DisconnectReason, PROTOCOL_VERSION};
use crate::wire::{BlockHash, BlockHeader, GetHeaders, Headers, Message, StreamType};

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainProbe {
    block: BlockHash,
    /// Whether the ping behind the question has been answered. A node answers in order: it will not answer this, then. Peers that answer
    /// pings ahead of everything else, as those of this library do, still may.
    is_overdue: bool,
    /// Whether the program has asked for headers meanwhile. Where there are two streams its answer may come before ours, but not over
    /// the first one, on which ours was asked for.
    is_contended: bool,
}

impl Session {
    /// The handshake is complete: asks, if there is something to be asked.
    pub(super) fn start_chain_probe(&mut self) {
        let Some(block) = self.config.required_block else {
            return;
        };
        self.chain_probe = Some(ChainProbe {
            block,
            is_overdue: false,
            is_contended: false,
        });
        self.send(GetHeaders {
            version: PROTOCOL_VERSION,
            locator: vec![block],
            stop: BlockHash::default(),
        });
    }

    /// Headers have come. Returns whether they are the answer, which is nobody else's.
    pub(super) fn answers_chain_probe(&mut self, headers: &Headers) -> bool {
        let Some(asked) = self.chain_probe else {
            return false;
        };
        let is_ours = !asked.is_contended || self.stream == StreamType::General;
        match headers.headers.first().map(|header| header.previous) {
            // An announcement is never empty: the peer has nothing behind the block, or behind genesis.
            None if is_ours => {}
            Some(previous) if previous == asked.block => {}
            Some(previous) if is_ours && is_genesis(previous) => {
                self.close(DisconnectReason::WrongChain);
            }
            // An announcement, which came before, or an answer to the program.
            _ => return false,
        }
        self.chain_probe = None;
        true
    }

    /// The peer has answered a ping that was sent later.
    pub(super) fn on_pong_after_chain(&mut self) {
        if let Some(asked) = &mut self.chain_probe {
            asked.is_overdue = true;
        }
    }

    /// The program sends something. If it asks for headers while ours are overdue, those that come may be its own.
    pub(super) fn on_sent_after_chain(&mut self, message: &Message) {
        let asks = matches!(message, Message::GetHeaders(_));
        self.chain_probe.take_if(|asked| asks && asked.is_overdue);
        if let Some(asked) = &mut self.chain_probe {
            asked.is_contended |= asks;
        }
    }
}

fn is_genesis(hash: BlockHash) -> bool {
    let mut all = Network::ALL.into_iter();
    all.any(|network| BlockHeader::genesis(network).hash() == hash)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::session::{
        ConnectionState, Delivery, Direction, NonceRegistry, PeerInfo, SessionConfig,
    };

    const REQUIRED: BlockHash = BlockHash([7; 32]);

    /// A session that has asked for the chain, and whose program has asked for headers behind that.
    fn contended() -> Session {
        let config = SessionConfig {
            required_block: Some(REQUIRED),
            ..SessionConfig::default()
        };
        let (nonces, now) = (Box::new(|| 7), Instant::now());
        let registry = NonceRegistry::default();
        let session = Session::new(Direction::Inbound, config, registry, nonces, now);
        let mut session = session.unwrap();
        session.state = ConnectionState::Connected;
        session.peer = Some(Box::new(PeerInfo::default()));
        session.verack_received = true;
        session.start_chain_probe();
        session.on_sent(&Message::from(GetHeaders {
            version: PROTOCOL_VERSION,
            locator: vec![REQUIRED],
            stop: BlockHash::default(),
        }));
        session
    }

    fn headers_behind(previous: BlockHash) -> Message {
        let header = BlockHeader {
            previous,
            ..BlockHeader::genesis(Network::Regtest)
        };
        let headers = vec![header];
        Headers { headers }.into()
    }

    /// What becomes of the message, and whether the session has ended.
    fn receive(session: &mut Session, message: Message, stream: StreamType) -> (Delivery, bool) {
        session.set_stream(stream);
        let delivery = session.on_message(&message, Instant::now());
        (delivery, session.end().is_some())
    }

    #[test]
    fn an_answer_to_the_program_that_overtakes_ours_condemns_nobody_and_is_not_swallowed() {
        let genesis = BlockHeader::genesis(Network::Regtest).hash();
        let empty = Message::from(Headers::default());
        for (message, stream, expected) in [
            (
                headers_behind(genesis),
                StreamType::Data1,
                (Delivery::Deliver, false),
            ),
            (empty.clone(), StreamType::Data1, (Delivery::Deliver, false)),
            (
                headers_behind(genesis),
                StreamType::General,
                (Delivery::Consumed, true),
            ),
            (empty, StreamType::General, (Delivery::Consumed, false)),
            (
                headers_behind(REQUIRED),
                StreamType::Data1,
                (Delivery::Consumed, false),
            ),
        ] {
            let mut session = contended();
            assert_eq!(
                receive(&mut session, message.clone(), stream),
                expected,
                "{message:?}"
            );
        }
    }
}
