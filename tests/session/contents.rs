//! Well-formed messages with forbidden content, or with content that a node ignores.

use bsv_p2p::Network;
use bsv_p2p::session::{Direction, DisconnectAction, DisconnectReason, Misbehavior, Output};
use bsv_p2p::wire::{
    Authch, Block, BlockHash, BloomFilter, Command, CompactBlock, CompactBlockError, DecodeError,
    DsDetected, DsDetectedError, FilterAdd, GetBlocks, GetData, GetHeaders, Hash256, Headers, Inv,
    Inventory, Mempool, Message, NotFound, Txid, Version,
};

use crate::side::{DIRECTIONS, Fate, Side, misbehavior, peer_version, send_reject, unknown};

const HASH: [u8; 32] = [7; 32];

fn of_type(kind: u32) -> Inventory {
    match kind {
        3 => Inventory::FilteredBlock(BlockHash(HASH)),
        4 => Inventory::CompactBlock(BlockHash(HASH)),
        5 => Inventory::DatarefTx(Txid(HASH)),
        kind => Inventory::Unknown {
            kind,
            hash: Hash256(HASH),
        },
    }
}

/// The inventory types that are requested and never announced, and some unknown ones. A node
/// compares all 32 bits: the highest are no flags.
const NEVER_ANNOUNCED: [u32; 8] = [0, 3, 4, 5, 6, 0x4000_0001, 0x4000_0002, u32::MAX];

#[test]
fn inv_of_unexpected_type_closes_without_ban() {
    for direction in DIRECTIONS {
        for kind in NEVER_ANNOUNCED {
            let mut side = Side::complete(direction);
            let welcome = Inventory::Tx(Txid(HASH));
            let inv = Inv::from(vec![welcome, of_type(kind)]);
            assert_eq!(side.receive(inv), Fate::Consumed);
            let reason = DisconnectReason::InvalidInventoryType { kind };
            assert_eq!(side.take(), [Output::Close(reason.clone())]);
            assert_eq!(reason.action(), DisconnectAction::Cooldown);
            assert!(!reason.is_ban());
        }
    }
}

/// An empty `inv` is delivered as well.
#[test]
fn inv_of_transactions_and_blocks_is_delivered() {
    let mut side = Side::complete(Direction::Inbound);
    let both = vec![Inventory::Block(BlockHash(HASH)), Inventory::Tx(Txid(HASH))];
    for inventory in [both, vec![]] {
        assert_eq!(side.receive(Inv { inventory }), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}

/// A `notfound` with unknown types is delivered as well.
#[test]
fn unknown_inventory_types_in_getdata_are_delivered() {
    let mut side = Side::complete(Direction::Inbound);
    let all: Vec<_> = NEVER_ANNOUNCED.map(of_type).into();
    assert_eq!(side.receive(GetData::from(all.clone())), Fate::Delivered);
    assert_eq!(side.receive(NotFound::from(all)), Fate::Delivered);
    assert_eq!(side.take(), []);
}

#[test]
fn inv_before_verack_is_dropped_regardless_of_types() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.receive(Inv::from(vec![of_type(0)]));
    assert_eq!(side.closed(), None);
}

#[test]
fn invalid_compact_block_scores_100() {
    let genesis = Block::genesis(&Network::Regtest);
    let mut side = Side::complete(Direction::Outbound);
    let fine = CompactBlock::new(&genesis, 7);
    assert_eq!(side.receive(fine), Fate::Delivered);
    assert_eq!(side.take(), []);

    let empty = CompactBlock::new(&Block::new(&genesis.header(), &[]), 7);
    assert_eq!(side.receive(empty), Fate::Consumed);
    let error = CompactBlockError::NoTransactions;
    let reason = DisconnectReason::Misbehaved { score: 100 };
    assert_eq!(
        side.take(),
        [
            misbehavior(Misbehavior::InvalidCompactBlock(error), 100),
            Output::Close(reason),
        ]
    );
}

#[test]
fn valid_dsdetected_is_delivered_and_invalid_scores_10() {
    let vectors = include_str!("../vectors/messages.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).unwrap();
    let holds = vectors
        .iter()
        .find(|vector| vector["name"] == "dsdetected_two_forks")
        .unwrap();
    let payload = hex::decode(holds["payload_hex"].as_str().unwrap()).unwrap();
    let mut side = Side::complete(Direction::Inbound);
    assert_eq!(side.receive_bytes("dsdetected", &payload), Fate::Delivered);
    assert_eq!(side.take(), []);

    assert_eq!(side.receive(DsDetected::new(&[])), Fate::Consumed);
    let error = DsDetectedError::TooFewBlocks { got: 0 };
    let expected = misbehavior(Misbehavior::InvalidDsDetected(error), 10);
    assert_eq!(side.take(), [expected]);
}

#[test]
fn authch_of_unknown_version_is_rejected() {
    let mut side = Side::complete(Direction::Inbound);
    let challenge = |version| Authch {
        version,
        challenge: HASH,
    };
    assert_eq!(side.receive(challenge(1)), Fate::Delivered);
    assert_eq!(side.take(), []);
    for version in [0, 2, u32::MAX] {
        assert_eq!(side.receive(challenge(version)), Fate::Consumed);
        let command = Command::new("authch");
        let error = DecodeError::InvalidValue {
            field: "challenge version",
            expected: "1",
            got: version.into(),
        };
        assert_eq!(
            side.take(),
            [
                send_reject("authch", 0x70, "error parsing message"),
                misbehavior(Misbehavior::Malformed { command, error }, 0),
            ]
        );
    }
}

#[test]
fn many_authch_messages_score_zero() {
    // The node's source has a limit for them, but running nodes accepted 300.
    let mut side = Side::complete(Direction::Inbound);
    let challenge = Authch {
        version: 1,
        challenge: HASH,
    };
    for _ in 0..300 {
        assert_eq!(side.receive(challenge), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}

/// No `reject` is sent for these messages either.
#[test]
fn malformed_optional_messages_are_dropped_without_score() {
    let above_32_bits = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
    let two_thousand_and_one = [0xfd, 0xd1, 0x07];
    for name in [
        "alert",
        "datareftx",
        "hdrsen",
        "merkleblock",
        "notfound",
        "reject",
        "revokemid",
    ] {
        for payload in [
            &[][..],
            &above_32_bits,
            &two_thousand_and_one,
            &[0xfd, 1, 0],
        ] {
            let mut side = Side::complete(Direction::Inbound);
            let payload = match name {
                // The count follows other fields.
                "datareftx" => [&[1, 0, 0, 0], payload].concat(),
                "merkleblock" => [&[0; 84], payload].concat(),
                _ => payload.to_vec(),
            };
            assert_eq!(side.receive_bytes(name, &payload), Fate::Consumed);
            let outputs = side.take();
            let [Output::Event(event)] = &outputs[..] else {
                panic!("{name}: {outputs:?}");
            };
            let bsv_p2p::session::SessionEvent::Misbehavior { score: 0, .. } = event else {
                panic!("{name}: {event:?}");
            };
        }
    }
}

#[test]
fn bloom_filter_of_old_peer_closes_without_ban() {
    let filters = || {
        [
            Message::from(BloomFilter::match_all()),
            FilterAdd { data: vec![7] }.into(),
            unknown("filterload", b""),
        ]
    };
    for (version, banned) in [(70010, false), (70011, true)] {
        for filter in filters() {
            let mut side = Side::connected(Direction::Inbound);
            side.shake_hands(Version {
                version,
                ..peer_version()
            });
            let command = filter.command();
            assert_eq!(side.receive(filter), Fate::Consumed);
            let reason = side.closed().unwrap();
            assert_eq!(reason.is_ban(), banned, "{command}: {reason}");
            if !banned {
                assert_eq!(
                    reason,
                    &DisconnectReason::BloomFilterNotSupported { command }
                );
            }
        }
    }
    // A peer of unknown version is treated alike: filters are checked before the handshake is.
    for filter in filters() {
        let mut side = Side::connected(Direction::Outbound);
        let command = filter.command();
        side.receive(filter);
        assert_eq!(
            side.closed(),
            Some(&DisconnectReason::BloomFilterNotSupported { command })
        );
    }
}

#[test]
fn filterclear_is_delivered_without_bloom_service() {
    let mut side = Side::complete(Direction::Inbound);
    assert_eq!(side.receive(Message::FilterClear), Fate::Delivered);
    assert_eq!(side.take(), []);
}

/// Empty lists are delivered as well.
#[test]
fn locators_of_any_length_are_delivered() {
    let mut side = Side::complete(Direction::Inbound);
    for len in [0, 1, 101, 500, 2001] {
        let (version, locator) = (70016, vec![BlockHash(HASH); len]);
        let (stop, same) = (BlockHash::ZERO, locator.clone());
        let question = GetHeaders {
            version,
            locator,
            stop,
        };
        assert_eq!(side.receive(question), Fate::Delivered);
        let question = GetBlocks {
            version,
            locator: same,
            stop,
        };
        assert_eq!(side.receive(question), Fate::Delivered);
    }
    assert_eq!(side.receive(Headers::default()), Fate::Delivered);
    assert_eq!(side.receive(GetData::default()), Fate::Delivered);
    assert_eq!(side.receive(unknown("addr", &[0])), Fate::Delivered);
    assert_eq!(side.take(), []);
}

#[test]
fn mempool_request_is_delivered() {
    let mut side = Side::complete(Direction::Inbound);
    for request in [Mempool::Empty, Mempool::NoAge, Mempool::Age(3600)] {
        assert_eq!(side.receive(request), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}
