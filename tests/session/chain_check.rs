//! A block that the peer's chain has to have.

use bsv_p2p::Network;
use bsv_p2p::session::{Direction, DisconnectReason, SessionConfig};
use bsv_p2p::wire::{BlockHash, BlockHeader, GetHeaders, Headers, Message, Pong};

use crate::side::{DIRECTIONS, Fate, Side, peer_version};

const REQUIRED: BlockHash = BlockHash([7; 32]);

fn require(config: &mut SessionConfig) {
    config.required_block = Some(REQUIRED);
}

/// A session behind its handshake, whose first ping is not answered yet, and what it has sent.
fn asking(direction: Direction) -> (Side, Vec<Message>) {
    let mut side = Side::connected_with(direction, require);
    side.receive(peer_version());
    side.receive(Message::Verack);
    let sent = side.take_sent();
    (side, sent)
}

fn behind(previous: BlockHash) -> Headers {
    let header = BlockHeader {
        previous,
        ..BlockHeader::genesis(Network::Mainnet)
    };
    Headers {
        headers: vec![header],
    }
}

fn genesis(network: Network) -> BlockHash {
    BlockHeader::genesis(network).hash()
}

#[test]
fn the_question_follows_the_handshake_and_its_answer_is_nobody_elses() {
    for direction in DIRECTIONS {
        let (mut side, sent) = asking(direction);
        let asked = sent.into_iter().find_map(|message| match message {
            Message::GetHeaders(question) => Some(question),
            _ => None,
        });
        let expected = GetHeaders {
            version: 70016,
            locator: vec![REQUIRED],
            stop: BlockHash::default(),
        };
        assert_eq!(asked, Some(expected));
        // An announcement may come before.
        assert_eq!(side.receive(behind(BlockHash([9; 32]))), Fate::Delivered);
        assert_eq!(side.receive(behind(REQUIRED)), Fate::Consumed);
        assert_eq!(side.closed(), None);
        // What comes now belongs to the program, whatever it is.
        assert_eq!(
            side.receive(behind(genesis(Network::Mainnet))),
            Fate::Delivered
        );
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn a_peer_that_begins_behind_genesis_follows_another_chain() {
    for network in Network::ALL {
        for direction in DIRECTIONS {
            let mut side = asking(direction).0;
            assert_eq!(side.receive(behind(genesis(network))), Fate::Consumed);
            assert_eq!(side.closed(), Some(&DisconnectReason::WrongChain));
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_or_has_nothing_is_not_judged() {
    for direction in DIRECTIONS {
        let (mut side, sent) = asking(direction);
        let nonce = sent.into_iter().find_map(|message| match message {
            Message::Ping(ping) => ping.nonce,
            _ => None,
        });
        side.receive(Pong { nonce });
        // Whatever comes now may be the answer to this.
        let question = Message::from(GetHeaders {
            version: 70016,
            locator: vec![BlockHash([1; 32])],
            stop: BlockHash::default(),
        });
        side.with(|session, _| session.on_sent(&question));
        assert_eq!(
            side.receive(behind(genesis(Network::Mainnet))),
            Fate::Delivered
        );
        assert_eq!(side.closed(), None);

        let mut side = asking(direction).0;
        let nothing = Headers { headers: vec![] };
        assert_eq!(side.receive(nothing.clone()), Fate::Consumed);
        assert_eq!(side.receive(nothing), Fate::Delivered);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn a_peer_that_answers_pings_ahead_of_everything_is_judged_all_the_same() {
    for direction in DIRECTIONS {
        let (mut side, sent) = asking(direction);
        let nonce = sent.into_iter().find_map(|message| match message {
            Message::Ping(ping) => ping.nonce,
            _ => None,
        });
        side.receive(Pong { nonce });
        side.receive(behind(genesis(Network::Mainnet)));
        assert_eq!(side.closed(), Some(&DisconnectReason::WrongChain));
    }
}

#[test]
fn without_such_a_block_nothing_is_asked() {
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        let asks = |message: &Message| matches!(message, Message::GetHeaders(_));
        assert!(!side.take_sent().iter().any(asks));
        assert_eq!(
            side.receive(behind(genesis(Network::Mainnet))),
            Fate::Delivered
        );
    }
}
