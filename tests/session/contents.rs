//! Messages that can be read and say what no peer should, or what a node pays no attention to.

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

/// The types of inventory that are asked for and never announced, and some that do not exist. A node compares all 32 bits: those of
/// the highest make no flags.
const NEVER_ANNOUNCED: [u32; 8] = [0, 3, 4, 5, 6, 0x4000_0001, 0x4000_0002, u32::MAX];

#[test]
fn an_inv_of_another_type_than_tx_and_block_ends_the_connection_without_a_ban() {
    for direction in DIRECTIONS {
        for kind in NEVER_ANNOUNCED {
            let mut side = Side::complete(direction);
            let welcome = Inventory::Tx(Txid(HASH));
            let inv = Inv::from(vec![welcome, of_type(kind)]);
            assert_eq!(side.receive(inv), Fate::Consumed);
            let reason = DisconnectReason::BadInventoryType { kind };
            assert_eq!(side.take(), [Output::Close(reason.clone())]);
            assert_eq!(reason.action(), DisconnectAction::Cooldown);
            assert!(!reason.is_ban());
        }
    }
}

#[test]
fn an_inv_of_transactions_and_blocks_or_of_nothing_is_delivered() {
    let mut side = Side::complete(Direction::Inbound);
    let both = vec![Inventory::Block(BlockHash(HASH)), Inventory::Tx(Txid(HASH))];
    for inventory in [both, vec![]] {
        assert_eq!(side.receive(Inv { inventory }), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}

#[test]
fn types_that_nobody_knows_cost_nothing_in_getdata_and_notfound() {
    let mut side = Side::complete(Direction::Inbound);
    let all: Vec<_> = NEVER_ANNOUNCED.map(of_type).into();
    assert_eq!(side.receive(GetData::from(all.clone())), Fate::Delivered);
    assert_eq!(side.receive(NotFound::from(all)), Fate::Delivered);
    assert_eq!(side.take(), []);
}

#[test]
fn an_inv_before_the_verack_is_dropped_whatever_its_types() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.receive(Inv::from(vec![of_type(0)]));
    assert_eq!(side.closed(), None);
}

#[test]
fn a_compact_block_that_can_be_no_block_scores_100() {
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
fn a_dsdetected_that_holds_is_delivered_and_one_that_does_not_scores_ten() {
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
fn a_challenge_of_another_version_is_refused_with_a_code_of_its_own() {
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
        let error = DecodeError::BadValue {
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
fn a_flood_of_challenges_costs_nothing() {
    // The node's source has a budget for them, but running nodes were seen to let 300 pass.
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

#[test]
fn what_a_node_never_acts_on_is_neither_answered_nor_scored_however_wrong_it_is() {
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
                // The count stands behind other fields.
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
fn a_filter_of_a_peer_too_old_to_know_better_ends_the_connection_without_a_ban() {
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
    // So is one that has not said how old it is: filters come before the gate.
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
fn taking_a_filter_away_costs_nothing_though_none_is_served() {
    let mut side = Side::complete(Direction::Inbound);
    assert_eq!(side.receive(Message::FilterClear), Fate::Delivered);
    assert_eq!(side.take(), []);
}

#[test]
fn locators_of_any_length_and_empty_lists_are_delivered() {
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
fn a_request_for_the_mempool_is_for_the_program_to_answer() {
    let mut side = Side::complete(Direction::Inbound);
    for request in [Mempool::Empty, Mempool::NoAge, Mempool::Age(3600)] {
        assert_eq!(side.receive(request), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}
