//! A block that the peer must have on its chain.

use bsv_p2p::Network;
use bsv_p2p::session::{Direction, DisconnectReason, NonceRegistry, SessionConfig};
use bsv_p2p::wire::{
    AssociationId, BlockHash, BlockHeader, GetData, GetHeaders, Headers, Inventory, Message,
    NotFound, Pong, Txid, Version,
};
use uuid::Uuid;

use crate::side::{DIRECTIONS, Fate, Side, peer_version};

const REQUIRED: BlockHash = BlockHash([7; 32]);
const ASSOCIATION: Uuid = Uuid::from_u128(5);

fn config() -> SessionConfig {
    SessionConfig {
        required_block: Some(REQUIRED),
        ..SessionConfig::default()
    }
}

/// Returns a session whose probe is sent, and the messages that it has sent.
fn probing(direction: Direction) -> (Side, Vec<Message>) {
    let side = Side::connected_with(direction, |session| *session = config());
    complete(side, peer_version())
}

/// Like [`probing`], but the peer may open a second stream.
fn probing_with_streams(direction: Direction) -> (Side, Vec<Message>) {
    let mut side = Side::new(direction, config(), NonceRegistry::default(), 1000);
    side.session.enable_multistream(ASSOCIATION);
    side.connect();
    let version = Version {
        association_id: Some(AssociationId::Uuid(ASSOCIATION)),
        ..peer_version()
    };
    complete(side, version)
}

/// Completes the handshake. The first ping is not answered.
fn complete(mut side: Side, version: Version) -> (Side, Vec<Message>) {
    side.take_sent();
    side.receive(version);
    side.receive(Message::Verack);
    let sent = side.take_sent();
    (side, sent)
}

fn headers_after(previous: BlockHash) -> Headers {
    let header = BlockHeader {
        previous,
        ..BlockHeader::genesis(&Network::Mainnet)
    };
    Headers {
        headers: vec![header],
    }
}

fn genesis(network: &Network) -> BlockHash {
    BlockHeader::genesis(network).hash()
}

fn is_getheaders(message: &Message) -> bool {
    matches!(message, Message::GetHeaders(_))
}

/// Returns the probe's end marker.
#[track_caller]
fn end_marker(sent: &[Message]) -> Inventory {
    let at = sent.iter().position(is_getheaders).expect("a getheaders");
    match &sent[at + 1] {
        Message::GetData(GetData { inventory }) => match inventory[..] {
            [marker @ Inventory::Tx(_)] => marker,
            _ => panic!("{inventory:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn ping_nonce(sent: &[Message]) -> u64 {
    let nonce = sent.iter().find_map(|message| match message {
        Message::Ping(ping) => ping.nonce,
        _ => None,
    });
    nonce.expect("a ping")
}

fn not_found(entries: &[Inventory]) -> NotFound {
    NotFound::from(entries.to_vec())
}

#[test]
fn probe_consumes_headers_after_required_block() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing(direction);
        let request = sent.into_iter().find(is_getheaders);
        let expected = GetHeaders {
            version: 70016,
            locator: vec![REQUIRED],
            stop: BlockHash::default(),
        };
        assert_eq!(request, Some(expected.into()));
        // An announcement may arrive before the answer.
        let announcement = headers_after(BlockHash([9; 32]));
        assert_eq!(side.receive(announcement), Fate::Delivered);
        assert_eq!(side.receive(headers_after(REQUIRED)), Fate::Consumed);
        assert_eq!(side.closed(), None);
        // The next headers are delivered, whatever their content.
        let headers = headers_after(genesis(&Network::Mainnet));
        assert_eq!(side.receive(headers), Fate::Delivered);
        assert_eq!(side.closed(), None);
    }
}

/// A Teranode starts with the requested block itself.
#[test]
fn probe_accepts_answer_that_starts_with_required_block() {
    // The child of genesis may be the required block: it is no sign of another chain then.
    for previous in [BlockHash([9; 32]), genesis(&Network::Mainnet)] {
        let headers = headers_after(previous);
        let mut side = Side::connected_with(Direction::Outbound, |config| {
            config.required_block = Some(headers.headers[0].hash());
        });
        side.receive(peer_version());
        side.receive(Message::Verack);
        assert_eq!(side.receive(headers.clone()), Fate::Consumed);
        assert_eq!(side.closed(), None);
        assert_eq!(side.receive(headers), Fate::Delivered);
    }
}

#[test]
fn answer_from_genesis_closes_with_wrong_chain() {
    for network in Network::ALL {
        for direction in DIRECTIONS {
            let with_genesis = Headers {
                headers: vec![BlockHeader::genesis(&network)],
            };
            for headers in [headers_after(genesis(&network)), with_genesis] {
                let mut side = probing(direction).0;
                assert_eq!(side.receive(headers), Fate::Consumed);
                assert_eq!(side.closed(), Some(&DisconnectReason::WrongChain));
            }
        }
    }
}

#[test]
fn empty_answer_ends_probe() {
    for direction in DIRECTIONS {
        let mut side = probing(direction).0;
        let empty = Headers { headers: vec![] };
        assert_eq!(side.receive(empty.clone()), Fate::Consumed);
        assert_eq!(side.receive(empty), Fate::Delivered);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn request_of_program_ends_overdue_probe() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing(direction);
        side.receive(Pong::new(ping_nonce(&sent)));
        let request = Message::from(GetHeaders {
            version: 70016,
            locator: vec![BlockHash([1; 32])],
            stop: BlockHash::default(),
        });
        side.with(|session, _| session.on_sent(&request));
        // This may answer a request of the application.
        let headers = headers_after(genesis(&Network::Mainnet));
        assert_eq!(side.receive(headers), Fate::Delivered);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn early_pong_keeps_probe_open() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing(direction);
        side.receive(Pong::new(ping_nonce(&sent)));
        side.receive(headers_after(genesis(&Network::Mainnet)));
        assert_eq!(side.closed(), Some(&DisconnectReason::WrongChain));
    }
}

#[test]
fn end_marker_ends_unanswered_probe() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing(direction);
        let marker = end_marker(&sent);
        assert_eq!(side.receive(not_found(&[marker])), Fate::Consumed);
        assert_eq!(side.take_sent(), []);
        // These are announcements now.
        for previous in [REQUIRED, genesis(&Network::Mainnet)] {
            assert_eq!(side.receive(headers_after(previous)), Fate::Delivered);
        }
        assert_eq!(side.receive(Headers::default()), Fate::Delivered);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn end_marker_after_answer_is_consumed() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing(direction);
        let marker = end_marker(&sent);
        side.receive(headers_after(REQUIRED));
        for _ in 0..2 {
            assert_eq!(side.receive(not_found(&[marker])), Fate::Consumed);
        }
        assert!(!side.session.expected_payloads().transactions);
    }
}

#[test]
fn end_marker_among_other_entries_ends_probe() {
    let (mut side, sent) = probing(Direction::Outbound);
    let other = Inventory::Tx(Txid([9; 32]));
    assert_eq!(side.receive(not_found(&[other])), Fate::Delivered);
    assert_eq!(side.receive(not_found(&[])), Fate::Delivered);
    let both = not_found(&[other, end_marker(&sent)]);
    assert_eq!(side.receive(both), Fate::Delivered);
    assert_eq!(side.receive(headers_after(REQUIRED)), Fate::Delivered);
}

/// With two streams the end marker may overtake the headers. A ping after it shows whether there
/// are any.
#[test]
fn end_marker_with_two_streams_waits_for_pong() {
    for direction in DIRECTIONS {
        let (mut side, sent) = probing_with_streams(direction);
        let marker = end_marker(&sent);
        side.receive(Pong::new(ping_nonce(&sent)));
        assert_eq!(side.receive(not_found(&[marker])), Fate::Consumed);
        side.receive(headers_after(genesis(&Network::Mainnet)));
        assert_eq!(side.closed(), Some(&DisconnectReason::WrongChain));

        let (mut side, sent) = probing_with_streams(direction);
        let marker = end_marker(&sent);
        assert_eq!(side.receive(not_found(&[marker])), Fate::Consumed);
        let fence = ping_nonce(&side.take_sent());
        // A repeated marker sends no further ping.
        assert_eq!(side.receive(not_found(&[marker])), Fate::Consumed);
        assert_eq!(side.take_sent(), []);
        side.receive(Pong::new(ping_nonce(&sent)));
        side.receive(Pong::new(fence));
        assert_eq!(
            side.receive(headers_after(genesis(&Network::Mainnet))),
            Fate::Delivered
        );
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn no_probe_without_required_block() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.receive(peer_version());
        side.receive(Message::Verack);
        let is_probe =
            |message: &Message| is_getheaders(message) || matches!(message, Message::GetData(_));
        assert!(!side.take_sent().iter().any(is_probe));
        let headers = headers_after(genesis(&Network::Mainnet));
        assert_eq!(side.receive(headers), Fate::Delivered);
    }
}
