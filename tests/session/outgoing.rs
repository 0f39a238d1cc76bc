//! Checks of messages that the application sends.

use bsv_p2p::Network;
use bsv_p2p::session::{ContentError, Direction, SendError, Session};
use bsv_p2p::wire::{
    Addr, AssociationId, Block, BlockError, BlockHash, BlockHeader, BloomFilter, BloomFlags,
    Command, CompactBlock, CompactBlockError, CompactTarget, CreateStrm, Encode, EnrichedHeader,
    FilterAdd, GetData, GetHeaders, Hash256, HdrsEn, Headers, Inv, InvalidTransaction, Inventory,
    Mempool, Message, NetworkAddress, NotFound, OutPoint, Ping, Pong, ProofOfWorkError, Reject,
    RejectCode, Services, StreamAck, StreamType, TimestampedAddress, Transaction, Tx, Txid,
    Version,
};
use bytes::Bytes;
use test_support::mining::{mined_block, mined_headers};
use test_support::payment::payment;
use test_support::with_sources::with_sources;

use crate::side::{DIRECTIONS, Side, peer_version, protoconf, unknown};

fn entries(count: usize) -> Vec<Inventory> {
    vec![Inventory::Tx(Txid([7; 32])); count]
}

fn addr(count: usize) -> Message {
    let entry = TimestampedAddress {
        time: 1,
        address: NetworkAddress::unspecified(Services::NETWORK),
    };
    let addresses = vec![entry; count];
    Addr { addresses }.into()
}

fn enriched_headers(count: usize) -> Message {
    let header = EnrichedHeader {
        header: BlockHeader::genesis(&bsv_p2p::Network::Regtest),
        transaction_count: 1,
        no_more_headers: false,
        coinbase: None,
        miner_info: None,
    };
    HdrsEn::new(&vec![header; count]).into()
}

fn headers(count: usize) -> Message {
    let headers = mined_headers(count);
    Headers { headers }.into()
}

/// Returns the same message as an unknown one with its command, as an application can build it.
pub(crate) fn by_name(message: &Message) -> Message {
    Message::Unknown {
        command: message.command(),
        payload: message.encode_to_vec().into(),
    }
}

/// Asserts that both checks refuse a message for the same reason.
#[track_caller]
fn assert_refused(session: &Session, message: &Message, refusal: &SendError) {
    assert_eq!(session.check_outgoing(message).as_ref(), Err(refusal));
    let unchecked = session.check_outgoing_lenient(message);
    assert_eq!(unchecked.as_ref(), Err(refusal));
}

/// Asserts that a message of `limit` entries may be sent, and one with more not.
#[track_caller]
fn assert_bounded(session: &Session, make: impl Fn(usize) -> Message, limit: usize) {
    assert_allowed(session, &make(limit));
    let message = make(limit + 1);
    let refusal = SendError::TooLarge {
        command: message.command(),
        entries: limit + 1,
        limit,
    };
    assert_refused(session, &message, &refusal);
}

#[track_caller]
pub(crate) fn assert_allowed(session: &Session, message: &Message) {
    assert_eq!(session.check_outgoing(message), Ok(()));
    assert_eq!(session.check_outgoing_lenient(message), Ok(()));
}

/// Asserts that a message needs `send_unchecked`.
#[track_caller]
pub(crate) fn assert_punished(session: &Session, message: &Message) {
    let command = message.command();
    match session.check_outgoing(message) {
        Err(SendError::Punished { command: named, .. }) => assert_eq!(named, command),
        other => panic!("{command}: {other:?}"),
    }
    assert_eq!(session.check_outgoing_lenient(message), Ok(()));
}

#[test]
fn session_messages_are_rejected_when_sent_by_application() {
    let mut before = Side::connected(Direction::Inbound);
    before.receive(peer_version());
    let complete = Side::complete(Direction::Outbound);
    let mut ended = Side::complete(Direction::Outbound);
    ended.with(|session, _| session.close(bsv_p2p::session::DisconnectReason::Requested));
    for side in [before, complete, ended] {
        let known = [
            peer_version().into(),
            Message::Verack,
            protoconf(2_097_152).into(),
            Message::SendHeaders,
            StreamAck {
                association_id: AssociationId::Null,
                stream_type: StreamType::Data1,
            }
            .into(),
            CreateStrm {
                association_id: AssociationId::Null,
                stream_type: StreamType::Data1,
                stream_policy: "Default".into(),
            }
            .into(),
        ];
        let by_name: Vec<Message> = known.iter().map(by_name).collect();
        let unknown = [unknown("createstrm", b""), unknown("streamack", b"x")];
        for message in known.iter().chain(&by_name).chain(&unknown) {
            let command = message.command();
            let refusal = SendError::SessionOwned { command };
            assert_refused(&side.session, message, &refusal);
        }
    }
}

#[test]
fn commands_that_break_framing_are_rejected() {
    // The node reads an extended header for every command that starts with these letters.
    let side = Side::complete(Direction::Outbound);
    for name in ["extmsg", "extmsgXYZ"] {
        let command = Command::new(name);
        let refusal = SendError::SessionOwned { command };
        assert_refused(&side.session, &unknown(name, b"x"), &refusal);
    }
    assert_allowed(&side.session, &unknown("extms", b"x"));
    assert_allowed(&side.session, &unknown("xextmsg", b"x"));
}

#[test]
fn application_messages_require_complete_handshake() {
    for direction in DIRECTIONS {
        let fresh = {
            let config = bsv_p2p::session::SessionConfig::default();
            let registry = bsv_p2p::session::NonceRegistry::default();
            Side::new(direction, config, registry, 1000)
        };
        let early = Side::connected(direction);
        let mut with_version = Side::connected(direction);
        with_version.receive(peer_version());
        let mut with_verack = Side::connected(direction);
        with_verack.receive(Message::Verack);
        for side in [fresh, early, with_version, with_verack] {
            for message in [
                Message::GetAddr,
                Ping::new(1).into(),
                Pong::new(1).into(),
                Reject::new("tx", RejectCode::DUST, "").into(),
                Inv::from(entries(1)).into(),
                unknown("mempool", b""),
                unknown("foobar", b""),
            ] {
                let command = message.command();
                let refusal = SendError::HandshakeIncomplete { command };
                assert_refused(&side.session, &message, &refusal);
            }
        }
        let complete = Side::complete(direction);
        assert_allowed(&complete.session, &Message::GetAddr);
        assert_allowed(&complete.session, &unknown("foobar", b""));
        let getheaders = GetHeaders {
            version: 70016,
            locator: vec![BlockHash::ZERO; 500],
            stop: BlockHash::ZERO,
        };
        assert_allowed(&complete.session, &getheaders.into());
    }
}

#[test]
fn inventory_length_is_limited_by_peer_payload_maximum() {
    for (announced, limit) in [
        (None, 29_126),
        (Some(1_048_576), 29_126),
        (Some(1_048_608), 29_127),
        (Some(2_097_152), 58_254),
        (Some(8_388_608), 233_016),
    ] {
        let mut side = Side::complete(Direction::Outbound);
        if let Some(max_payload) = announced {
            side.receive(protoconf(max_payload));
        }
        let kinds: [fn(Vec<Inventory>) -> Message; 3] = [
            |inventory| Inv { inventory }.into(),
            |inventory| GetData { inventory }.into(),
            |inventory| NotFound { inventory }.into(),
        ];
        for kind in kinds {
            assert_bounded(&side.session, |count| kind(entries(count)), limit);
        }
    }
}

#[test]
fn max_inventory_follows_smaller_limit_of_both_sides() {
    let max_inventory = |general, buffered, ceiling, announced: Option<u32>| {
        let mut side = Side::complete_with(Direction::Outbound, |config| {
            config.limits.general = general;
            config.limits.buffered = buffered;
            config.limits.ceiling = ceiling;
        });
        if let Some(max_payload) = announced {
            side.receive(protoconf(max_payload));
        }
        side.session.max_inventory()
    };
    const ANY: u64 = u64::MAX;
    for (general, buffered, ceiling, announced, limit) in [
        (u32::MAX, ANY, ANY, None, 29_126),
        (u32::MAX, ANY, ANY, Some(2_097_152), 58_254),
        (u32::MAX, ANY, ANY, Some(10_000_000), 277_777),
        (2_097_152, ANY, ANY, Some(10_000_000), 58_254),
        (1_048_576, ANY, ANY, Some(10_000_000), 29_126),
        (u32::MAX, 2_097_152, ANY, Some(10_000_000), 58_254),
        (2_097_152, ANY, 2_097_152, Some(10_000_000), 58_254),
    ] {
        assert_eq!(
            max_inventory(general, buffered, ceiling, announced),
            limit,
            "{general} {buffered} {announced:?}"
        );
    }

    // A lower limit applies only down to the maximum announced in the protoconf of this side.
    let mut side = Side::complete(Direction::Outbound);
    side.receive(protoconf(10_000_000));
    side.with(|session, _| {
        let mut config = bsv_p2p::session::SessionConfig::default();
        config.limits.general = 1_048_576;
        session.update_config(config).unwrap();
    });
    assert_eq!(side.session.max_inventory(), 58_254);
}

#[test]
fn address_and_header_counts_are_limited() {
    let mut side = Side::complete(Direction::Outbound);
    side.receive(protoconf(u32::MAX));
    for (make, limit) in [
        (addr as fn(usize) -> Message, 1000),
        (headers, 2000),
        (enriched_headers, 2000),
    ] {
        assert_bounded(&side.session, make, limit);
    }
}

#[test]
fn payload_is_limited_by_peer_maximum() {
    for (announced, limit) in [(None, 1_048_576), (Some(3_000_000), 3_000_000)] {
        let mut side = Side::complete(Direction::Outbound);
        if let Some(max_payload) = announced {
            side.receive(protoconf(max_payload));
        }
        for name in ["foobar", "cmpctblk", "merkleblock"] {
            let payload = vec![0; limit + 1];
            assert_allowed(&side.session, &unknown(name, &payload[1..]));
            let refusal = SendError::PayloadTooLarge {
                command: Command::new(name),
                bytes: limit as u64 + 1,
                limit: limit as u64,
            };
            assert_refused(&side.session, &unknown(name, &payload), &refusal);
        }
        // Blocks and transactions have their own limits.
        let larger = vec![0xff; limit + 1];
        for name in [
            "block",
            "cmpctblock",
            "blocktxn",
            "hdrsen",
            "tx",
            "datareftx",
        ] {
            let message = unknown(name, &larger);
            assert_eq!(side.session.check_outgoing_lenient(&message), Ok(()));
        }
    }
}

#[test]
fn transaction_above_consensus_limit_is_refused() {
    let side = Side::complete(Direction::Outbound);
    let limit = 1_000_000_000;
    // Zeroed memory that is never accessed.
    let zeros = Bytes::from(vec![0; limit + 1]);
    for name in ["tx", "datareftx"] {
        let of = |payload: Bytes| Message::Unknown {
            command: Command::new(name),
            payload,
        };
        let longest = of(zeros.slice(1..));
        assert_eq!(side.session.check_outgoing_lenient(&longest), Ok(()));
        let refusal = SendError::PayloadTooLarge {
            command: Command::new(name),
            bytes: limit as u64 + 1,
            limit: limit as u64,
        };
        assert_refused(&side.session, &of(zeros.clone()), &refusal);
    }
}

#[test]
fn outgoing_inv_lists_transactions_and_blocks_only() {
    let side = Side::complete(Direction::Outbound);
    let hash = [7; 32];
    let welcome = [Inventory::Tx(Txid(hash)), Inventory::Block(BlockHash(hash))];
    assert_allowed(&side.session, &Inv::from(welcome.to_vec()).into());
    assert_allowed(&side.session, &Inv::from(vec![]).into());
    let unwelcome = [
        Inventory::FilteredBlock(BlockHash(hash)),
        Inventory::CompactBlock(BlockHash(hash)),
        Inventory::DatarefTx(Txid(hash)),
        Inventory::Unknown {
            kind: 0,
            hash: Hash256(hash),
        },
        Inventory::Unknown {
            kind: 0x4000_0001,
            hash: Hash256(hash),
        },
    ];
    for entry in unwelcome {
        let among_others = vec![welcome[0], entry, welcome[1]];
        let inv = Inv::from(among_others.clone()).into();
        assert_punished(&side.session, &inv);
        assert_punished(&side.session, &by_name(&inv));
        assert_allowed(&side.session, &GetData::from(among_others).into());
    }
}

#[test]
fn messages_built_from_bytes_are_checked_alike() {
    let side = Side::complete(Direction::Outbound);
    for message in [
        Inv::from(entries(29_127)).into(),
        addr(1001),
        headers(2001),
        enriched_headers(2001),
    ] {
        let refusal = side.session.check_outgoing(&message).unwrap_err();
        assert_refused(&side.session, &by_name(&message), &refusal);
    }
    for message in [
        Inv::from(entries(29_126)).into(),
        addr(1000),
        headers(2000),
        enriched_headers(2000),
    ] {
        assert_allowed(&side.session, &by_name(&message));
    }
}

/// Asserts that a message is refused because of its content, typed and built from bytes, and needs
/// `send_unchecked`.
#[track_caller]
pub(crate) fn assert_invalid(message: impl Into<Message>, expected: &ContentError) {
    let side = Side::complete(Direction::Outbound);
    let typed = message.into();
    for message in [by_name(&typed), typed] {
        let refusal = SendError::InvalidContent {
            command: message.command(),
            error: expected.clone().into(),
        };
        assert_eq!(side.session.check_outgoing(&message), Err(refusal));
        assert_eq!(side.session.check_outgoing_lenient(&message), Ok(()));
    }
}

/// Asserts that a message may be sent, typed and built from bytes.
#[track_caller]
fn assert_valid(message: impl Into<Message>) {
    let side = Side::complete(Direction::Outbound);
    let message = message.into();
    assert_allowed(&side.session, &message);
    assert_allowed(&side.session, &by_name(&message));
}

/// Returns a header whose hash is above its target, and the error that reports it.
fn without_work(index: usize, header: BlockHeader) -> (BlockHeader, ContentError) {
    // The target of mainnet is 2^32 times harder to satisfy than that of regtest.
    let bits = BlockHeader::genesis(&Network::Mainnet).bits;
    let header = BlockHeader { bits, ..header };
    let hash = header.hash();
    let error = ProofOfWorkError::HashAboveTarget { hash, bits };
    (header, ContentError::ProofOfWork { index, error })
}

#[test]
fn unconnected_headers_are_refused_with_index() {
    let headers = mined_headers(4);
    assert_valid(Headers {
        headers: headers.clone(),
    });
    assert_valid(Headers {
        headers: headers[2..].to_vec(),
    });
    let expected = ContentError::NotConnected {
        index: 1,
        expected: headers[0].hash(),
        got: headers[1].hash(),
    };
    let gap = [headers[0], headers[2], headers[3]].to_vec();
    assert_invalid(Headers { headers: gap }, &expected);
    let error = SendError::InvalidContent {
        command: Command::new("headers"),
        error: expected.into(),
    };
    let (parent, named) = (headers[0].hash(), headers[1].hash());
    assert_eq!(
        with_sources(&error),
        format!("headers is invalid: header 1: expected parent {parent}, got {named}")
    );
}

#[test]
fn headers_without_work_are_refused() {
    let mut headers = mined_headers(3);
    let (header, expected) = without_work(2, headers[2]);
    headers[2] = header;
    assert_invalid(Headers { headers }, &expected);
    let [genesis] = mined_headers(1)[..] else {
        panic!("one header");
    };
    let bits = CompactTarget(0);
    let headers = vec![BlockHeader { bits, ..genesis }];
    let error = ProofOfWorkError::InvalidTarget(bits);
    let index = 0;
    assert_invalid(
        Headers { headers },
        &ContentError::ProofOfWork { index, error },
    );
}

#[test]
fn invalid_block_is_refused() {
    let genesis = Block::genesis(&Network::Regtest);
    assert_valid(genesis.clone());
    let transactions = [payment(1), payment(2), payment(3)];
    assert_valid(mined_block(&transactions));

    let (header, expected) = without_work(0, genesis.header());
    let coinbase: Vec<_> = genesis.transactions().map(Into::into).collect();
    assert_invalid(Block::new(&header, &coinbase), &expected);
    assert_invalid(mined_block(&[]), &ContentError::NoTransactions);

    let header = mined_block(&transactions[..2]).header();
    let block = Block::new(&header, &transactions);
    let expected = BlockError::MerkleRootMismatch {
        expected: header.merkle_root,
        got: mined_block(&transactions).header().merkle_root,
    };
    assert_invalid(block, &expected.into());
    let [a, b, c] = transactions;
    let doubled = mined_block(&[a, b, c.clone(), c]);
    let expected = BlockError::DuplicatedTransactions(doubled.header().merkle_root);
    assert_invalid(doubled, &expected.into());
}

#[test]
fn invalid_compact_block_is_refused() {
    let genesis = Block::genesis(&Network::Regtest);
    assert_valid(CompactBlock::new(&genesis, 7));
    let empty = Block::new(&genesis.header(), &[]);
    let expected = CompactBlockError::NoTransactions;
    assert_invalid(CompactBlock::new(&empty, 7), &expected.into());
    let (header, expected) = without_work(0, genesis.header());
    let block = Block::new(&header, &[payment(1)]);
    assert_invalid(CompactBlock::new(&block, 7), &expected);
}

#[test]
fn invalid_transaction_is_refused() {
    assert_valid(Tx::from(&payment(1)));
    for (change, expected) in [
        (
            (|tx| tx.inputs.clear()) as fn(&mut Transaction),
            InvalidTransaction::NoInputs,
        ),
        (|tx| tx.outputs.clear(), InvalidTransaction::NoOutputs),
        (
            |tx| tx.inputs[0].previous = OutPoint::NULL,
            InvalidTransaction::Coinbase,
        ),
    ] {
        let mut transaction = payment(1);
        change(&mut transaction);
        assert_invalid(Tx::from(&transaction), &expected.into());
    }
}

#[test]
fn second_sendhdrsen_is_refused() {
    let mut side = Side::complete(Direction::Outbound);
    let message = Message::SendHdrsEn;
    let command = message.command();
    for message in [&message, &by_name(&message)] {
        assert_allowed(&side.session, message);
    }
    side.session.on_sent(&by_name(&message));
    for message in [&message, &by_name(&message)] {
        let refusal = SendError::AlreadySent { command };
        assert_eq!(side.session.check_outgoing(message), Err(refusal));
        assert_eq!(side.session.check_outgoing_lenient(message), Ok(()));
    }
}

#[test]
fn asking_for_the_mempool_is_punished() {
    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(2_097_152));
    for request in [Mempool::Empty, Mempool::NoAge] {
        assert_punished(&side.session, &request.into());
        assert_punished(&side.session, &by_name(&request.into()));
    }
    // A truncated age counts as none.
    assert_punished(&side.session, &unknown("mempool", &[1, 0x10, 0x0e]));
    // A node that is not configured to answer ignores a request with an age.
    let with_age = Mempool::Age(3600).into();
    assert_allowed(&side.session, &with_age);
    assert_allowed(&side.session, &by_name(&with_age));
}

#[test]
fn bloom_filters_require_bloom_service() {
    let element = FilterAdd { data: vec![7] }.into();
    let filters = [BloomFilter::match_all().into(), by_name(&element), element];
    for (services, served) in [(0x21, false), (0x25, true), (0x04, true), (0x3b, false)] {
        let mut side = Side::connected(Direction::Outbound);
        side.shake_hands(Version {
            services: Services(services),
            ..peer_version()
        });
        for filter in &filters {
            if served {
                assert_allowed(&side.session, filter);
            } else {
                assert_punished(&side.session, filter);
            }
        }
        assert_allowed(&side.session, &unknown("filterclear", b""));
        assert_allowed(&side.session, &Message::FilterClear);
    }
}

#[test]
fn oversized_filters_are_refused_despite_bloom_service() {
    let mut side = Side::connected(Direction::Outbound);
    side.shake_hands(Version {
        services: Services(0x25),
        ..peer_version()
    });
    let add = |len| FilterAdd { data: vec![7; len] }.into();
    assert_allowed(&side.session, &add(520));
    assert_allowed(&side.session, &by_name(&add(520)));
    assert_punished(&side.session, &add(521));
    assert_punished(&side.session, &by_name(&add(521)));

    let largest = BloomFilter::new(u32::MAX, 0.001, 0, BloomFlags::ALL).unwrap();
    assert_eq!(largest.data().len(), 36_000);
    assert_allowed(&side.session, &largest.clone().into());
    let mut by_hand = Encode::encode_to_vec(&largest);
    assert_allowed(&side.session, &unknown("filterload", &by_hand));
    let functions_at = 3 + 36_000;
    by_hand[functions_at] = 51;
    assert_punished(&side.session, &unknown("filterload", &by_hand));
    by_hand[functions_at] = 50;
    assert_allowed(&side.session, &unknown("filterload", &by_hand));
    by_hand[1..3].copy_from_slice(&36_001_u16.to_le_bytes());
    by_hand.push(0);
    by_hand[functions_at..].copy_from_slice(&[7, 50, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_punished(&side.session, &unknown("filterload", &by_hand));
}

#[test]
fn unchecked_messages_still_have_limits() {
    let side = Side::complete(Direction::Outbound);
    let bytes = 1_048_577;
    let refusal = SendError::PayloadTooLarge {
        command: Command::new("filterload"),
        bytes,
        limit: 1_048_576,
    };
    let message = unknown("filterload", &vec![0; bytes as usize]);
    assert_refused(&side.session, &message, &refusal);
    let command = Command::new("inv");
    let entry = Inventory::FilteredBlock(BlockHash::ZERO);
    let message = Inv::from(vec![entry; 29_127]).into();
    let refusal = SendError::TooLarge {
        command,
        entries: 29_127,
        limit: 29_126,
    };
    assert_refused(&side.session, &message, &refusal);
}
