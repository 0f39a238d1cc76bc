//! Sessions with a Teranode: the messages that may be sent to it, and those that the session sends
//! on its own.

use bsv_p2p::session::{Direction, PeerProfile, SendError, Session, SessionConfig};
use bsv_p2p::wire::{
    Addr, Authch, Block, BlockHash, BlockHeader, BloomFilter, CompactBlock, FeeFilter, FilterAdd,
    GetBlocks, GetData, GetHdrsEn, GetHeaders, Headers, Inv, Inventory, Mempool, Message,
    NetworkAddress, NotFound, Ping, Pong, Reject, RejectCode, SendCmpct, Services,
    TimestampedAddress, Tx, Txid, Version,
};
use bsv_p2p::{Error, Network};
use bytes::Bytes;
use test_support::mining::mined_headers;
use test_support::payment::payment;

use crate::keepalive::{next_ping, timed_out_ping};
use crate::outgoing::{assert_allowed, assert_punished, by_name};
use crate::side::{DIRECTIONS, SECOND, Side, peer_version, protoconf, unknown};

/// Returns the `version` of a Teranode.
fn teranode() -> Version {
    Version {
        services: Services(0x420),
        user_agent: Some("/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into()),
        ..peer_version()
    }
}

/// Returns a session after the handshake with a Teranode that accepts 2 MiB.
fn complete_with(direction: Direction, change: impl FnOnce(&mut SessionConfig)) -> Side {
    let mut side = Side::connected_with(direction, change);
    side.shake_hands(teranode());
    side.receive(protoconf(2_097_152));
    side.take_delivered();
    side
}

fn complete() -> Side {
    complete_with(Direction::Outbound, |_| ())
}

#[track_caller]
fn assert_ignored(session: &Session, message: &Message) {
    let command = message.command();
    match session.check_outgoing(message) {
        Err(SendError::Ignored {
            command: named,
            rule,
        }) if named == command => assert!(rule.contains("Teranode"), "{rule}"),
        other => panic!("{command}: {other:?}"),
    }
    assert_eq!(session.check_outgoing_lenient(message), Ok(()));
}

/// Asserts that a message of `limit` entries may be sent, and one with more not, whichever check is
/// bypassed.
#[track_caller]
fn assert_bounded(session: &Session, make: impl Fn(usize) -> Message, limit: usize) {
    let largest = make(limit);
    assert_eq!(session.check_outgoing_lenient(&largest), Ok(()));
    for message in [make(limit + 1), by_name(&make(limit + 1))] {
        let refusal = SendError::TooLarge {
            command: message.command(),
            entries: limit + 1,
            limit,
        };
        assert_eq!(session.check_outgoing(&message), Err(refusal.clone()));
        assert_eq!(session.check_outgoing_lenient(&message), Err(refusal));
    }
}

fn transactions(count: usize) -> Vec<Inventory> {
    vec![Inventory::Tx(Txid([7; 32])); count]
}

fn block() -> Block {
    Block::genesis(&Network::Regtest)
}

fn headers() -> Message {
    let headers = vec![block().header()];
    Headers { headers }.into()
}

fn getheaders(locator: usize) -> GetHeaders {
    GetHeaders {
        version: 70016,
        locator: vec![BlockHash([7; 32]); locator],
        stop: BlockHash::ZERO,
    }
}

fn getblocks(locator: usize) -> GetBlocks {
    let GetHeaders {
        version,
        locator,
        stop,
    } = getheaders(locator);
    GetBlocks {
        version,
        locator,
        stop,
    }
}

fn address() -> TimestampedAddress {
    TimestampedAddress {
        time: 1,
        address: NetworkAddress::unspecified(Services::NETWORK),
    }
}

#[test]
fn messages_that_teranode_handles_are_allowed() {
    let side = complete();
    let handled = [
        Ping::new(1).into(),
        Pong::new(1).into(),
        Message::GetAddr,
        Addr {
            addresses: vec![address()],
        }
        .into(),
        Inv::from(transactions(1)).into(),
        Inv::from(vec![Inventory::Block(block().hash())]).into(),
        GetData::from(transactions(505)).into(),
        NotFound::from(transactions(0)).into(),
        getheaders(1).into(),
        getheaders(500).into(),
        getblocks(1).into(),
        FeeFilter { rate: 0 }.into(),
        FeeFilter {
            rate: FeeFilter::MAX_RATE,
        }
        .into(),
        Reject::new("tx", RejectCode::DUST, "").into(),
        Authch {
            version: 1,
            challenge: [7; 32],
        }
        .into(),
        Tx::from(&payment(0)).into(),
    ];
    for message in handled {
        assert_allowed(&side.session, &message);
        assert_allowed(&side.session, &by_name(&message));
    }
}

#[test]
fn commands_that_teranode_does_not_know_are_refused() {
    let side = complete();
    let compact = CompactBlock::new(&block(), 7);
    let known_to_others = [
        compact.into(),
        GetHdrsEn {
            version: 70016,
            locator: vec![BlockHash::ZERO],
            stop: BlockHash::ZERO,
        }
        .into(),
        Message::SendHdrsEn,
        Mempool::Empty.into(),
        Mempool::Age(3600).into(),
    ];
    for message in known_to_others {
        assert_punished(&side.session, &message);
        assert_punished(&side.session, &by_name(&message));
    }
    for name in [
        "getblocktxn",
        "blocktxn",
        "hdrsen",
        "dsdetected",
        "datareftx",
        "revokemid",
        "getcfheaders",
        "alert",
        "foobar",
    ] {
        assert_punished(&side.session, &unknown(name, b""));
    }
    let refused = side.session.check_outgoing(&unknown("foobar", b""));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "foobar: a Teranode closes the connection for unknown commands"
    );
}

#[test]
fn messages_that_teranode_ignores_are_refused() {
    let side = complete();
    let sendcmpct = SendCmpct {
        announce: true,
        version: 1,
    };
    for message in [
        BloomFilter::match_all().into(),
        FilterAdd { data: vec![7] }.into(),
        Message::FilterClear,
        sendcmpct.into(),
    ] {
        assert_ignored(&side.session, &message);
        assert_ignored(&side.session, &by_name(&message));
    }
    for name in ["getcfilters", "merkleblock", "authresp", "exttx"] {
        assert_ignored(&side.session, &unknown(name, b""));
    }
    let hash = block().hash();
    for entry in [
        Inventory::FilteredBlock(hash),
        Inventory::CompactBlock(hash),
        Inventory::DatarefTx(Txid([7; 32])),
    ] {
        let among_others = vec![Inventory::Block(hash), entry];
        assert_ignored(&side.session, &GetData::from(among_others.clone()).into());
        assert_ignored(&side.session, &Inv::from(among_others).into());
    }
    assert_ignored(&side.session, &getheaders(0).into());
    assert_ignored(&side.session, &getblocks(0).into());
}

#[test]
fn content_that_teranode_punishes_is_refused() {
    let side = complete();
    for message in [
        Addr { addresses: vec![] }.into(),
        FeeFilter { rate: -1 }.into(),
        FeeFilter {
            rate: FeeFilter::MAX_RATE + 1,
        }
        .into(),
        Authch {
            version: 2,
            challenge: [7; 32],
        }
        .into(),
        Ping { nonce: None }.into(),
        Pong { nonce: None }.into(),
        GetData::from(transactions(506)).into(),
    ] {
        assert_punished(&side.session, &message);
        assert_punished(&side.session, &by_name(&message));
    }
}

#[test]
fn messages_to_teranode_are_bounded_by_its_limits() {
    let mut side = complete();
    // Regardless of the announcements of this kind of peer.
    let mut generous = Side::connected(Direction::Outbound);
    generous.shake_hands(teranode());
    generous.receive(protoconf(u32::MAX));
    for side in [&mut side, &mut generous] {
        let session = &side.session;
        assert_bounded(session, |n| Inv::from(transactions(n)).into(), 50_000);
        assert_bounded(session, |n| GetData::from(transactions(n)).into(), 50_000);
        assert_bounded(session, |n| NotFound::from(transactions(n)).into(), 50_000);
        assert_bounded(session, |n| getheaders(n).into(), 500);
        assert_bounded(session, |n| getblocks(n).into(), 500);
        let many = |n| Headers {
            headers: mined_headers(n),
        };
        assert_bounded(session, |n| many(n).into(), 2000);
        let many = |n| Addr {
            addresses: vec![address(); n],
        };
        assert_bounded(session, |n| many(n).into(), 1000);
        for (name, limit) in [
            ("ping", 8),
            ("feefilter", 8),
            ("authch", 40),
            ("getaddr", 0),
        ] {
            let refusal = SendError::PayloadTooLarge {
                command: bsv_p2p::wire::Command::new(name),
                bytes: limit + 1,
                limit,
            };
            let message = unknown(name, &vec![0; limit as usize + 1]);
            assert_eq!(session.check_outgoing_lenient(&message), Err(refusal));
        }
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn payloads_above_four_billion_bytes_are_refused() {
    let side = complete();
    let limit = 4_000_000_000;
    // Zeroed memory that is never accessed.
    let zeros = Bytes::from(vec![0; limit + 1]);
    for (name, refused_at) in [("block", limit + 1), ("tx", 1_000_000_001)] {
        let command = bsv_p2p::wire::Command::new(name);
        let of = |len| Message::Unknown {
            command,
            payload: zeros.slice(..len),
        };
        let allowed = side.session.check_outgoing_lenient(&of(refused_at - 1));
        assert_eq!(allowed, Ok(()));
        let refusal = SendError::PayloadTooLarge {
            command,
            bytes: refused_at as u64,
            limit: refused_at as u64 - 1,
        };
        let refused = side.session.check_outgoing_lenient(&of(refused_at));
        assert_eq!(refused, Err(refusal));
    }
}

#[test]
fn headers_and_blocks_are_sent_once_per_request() {
    let mut side = complete();
    let answers = [headers(), Headers::default().into(), block().into()];
    for message in &answers {
        assert_punished(&side.session, message);
        assert_punished(&side.session, &by_name(message));
    }
    let refused = side.session.check_outgoing(&headers()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "headers: a Teranode closes the connection for unrequested headers: announce blocks by inv"
    );

    side.receive(getheaders(1));
    for message in [headers(), Headers::default().into(), by_name(&headers())] {
        assert_allowed(&side.session, &message);
        assert_punished(&side.session, &block().into());
    }
    assert!(Session::is_answer(&headers()) && Session::is_answer(&by_name(&headers())));
    side.with(|session, _| session.on_sent(&headers()));
    assert_punished(&side.session, &headers());

    // A request for transactions does not allow blocks.
    side.receive(GetData::from(transactions(1)));
    assert_punished(&side.session, &block().into());
    let wanted = vec![Inventory::Block(block().hash()); 2];
    side.receive(GetData::from(wanted));
    for _ in 0..2 {
        assert_allowed(&side.session, &block().into());
        assert!(Session::is_answer(&block().into()));
        side.with(|session, _| session.on_sent(&block().into()));
    }
    assert_punished(&side.session, &by_name(&block().into()));
}

#[test]
fn transactions_are_not_announced_to_teranode_without_relay() {
    let mut side = Side::connected(Direction::Outbound);
    side.shake_hands(Version {
        relay: Some(false),
        ..teranode()
    });
    let block = Inventory::Block(block().hash());
    let mixed = vec![block, transactions(1)[0]];
    assert_punished(&side.session, &Inv::from(mixed).into());
    assert_allowed(&side.session, &Inv::from(vec![block]).into());
}

#[test]
fn other_peers_accept_messages_refused_for_teranode() {
    let side = Side::complete(Direction::Outbound);
    for message in [
        headers(),
        block().into(),
        Message::SendHdrsEn,
        unknown("foobar", b""),
        getheaders(0).into(),
        GetData::from(transactions(506)).into(),
        Addr { addresses: vec![] }.into(),
    ] {
        assert_allowed(&side.session, &message);
    }
}

#[test]
fn requests_to_teranode_have_objects_that_score_nothing() {
    let side = complete();
    assert_eq!(side.session.max_inventory(), 505);
    // The score of a getdata: its entries x 99 / 50,000.
    assert_eq!((505 * 99 / 50_000, 506 * 99 / 50_000), (0, 1));
    let mut side = Side::connected(Direction::Outbound);
    side.shake_hands(teranode());
    assert_eq!(side.session.max_inventory(), 505);
}

#[test]
fn inv_of_teranode_may_exceed_own_limit() {
    let least = |config: &mut SessionConfig| config.limits.general = 1_048_576;
    let side = complete_with(Direction::Outbound, least);
    let inv = bsv_p2p::wire::Command::new("inv");
    assert_eq!(side.session.limits().limit(inv), 9 + 50_000 * 36);
    let side = Side::complete_with(Direction::Outbound, least);
    assert_eq!(side.session.limits().limit(inv), 1_048_576);
}

#[test]
fn sendheaders_is_always_sent_to_teranode() {
    for (version, expected) in [(teranode(), 1), (peer_version(), 0)] {
        for direction in DIRECTIONS {
            let mut side = Side::connected_with(direction, |config| config.send_headers = false);
            side.take();
            side.receive(version.clone());
            side.receive(Message::Verack);
            let sent = side.take_sent();
            let sendheaders = sent.iter().filter(|one| **one == Message::SendHeaders);
            assert_eq!(sendheaders.count(), expected, "{sent:?}");
        }
    }
}

#[test]
fn teranode_is_never_announced_to_by_headers() {
    for (version, expected) in [(teranode(), false), (peer_version(), true)] {
        let mut side = Side::connected(Direction::Inbound);
        side.shake_hands(version);
        side.receive(Message::SendHeaders);
        side.receive(Message::SendHdrsEn);
        assert_eq!(side.session.wants_headers(), expected);
        assert_eq!(side.session.wants_enriched_headers(), expected);
    }
}

#[test]
fn session_sends_teranode_nothing_that_it_punishes() {
    for direction in DIRECTIONS {
        let mut side = Side::connected_with(direction, |config| {
            config.required_block = Some(BlockHash([7; 32]));
        });
        side.take();
        side.receive(teranode());
        side.receive(Message::Verack);
        let mut sent = side.take_sent();
        let Some(Message::Ping(Ping { nonce: Some(nonce) })) = sent.last() else {
            panic!("{sent:?}");
        };
        side.receive(Pong::new(*nonce));
        side.receive(protoconf(2_097_152));
        side.receive(Ping::new(5));
        side.receive(Headers {
            headers: vec![BlockHeader {
                previous: BlockHash([7; 32]),
                ..block().header()
            }],
        });
        side.wait(60 * SECOND);
        sent.extend(side.take_sent());
        let names: Vec<_> = sent.iter().map(|one| one.command()).collect();
        assert!(names.iter().any(|name| name.name() == "getdata"));
        for message in &sent {
            let refused = side.session.check_outgoing(message);
            let is_owned = matches!(refused, Err(SendError::SessionOwned { .. }));
            assert!(is_owned || refused == Ok(()), "{message:?}: {refused:?}");
        }
    }
}

#[test]
fn teranode_gets_pings_every_minute_at_least() {
    for (configured, expected) in [(300, 60), (60, 60), (59, 59)] {
        let mut side = complete_with(Direction::Outbound, |config| {
            config.ping_interval = configured * SECOND;
        });
        let nonce = next_ping(&mut side, expected * SECOND);
        side.receive(Pong::new(nonce));
        side.take();
        side.with(|session, _| session.update_config(SessionConfig::default()).unwrap());
        next_ping(&mut side, 60 * SECOND);
    }
}

#[test]
fn pings_to_teranode_continue_while_one_is_open() {
    let mut side = complete_with(Direction::Outbound, |config| {
        config.ping_timeout = 150 * SECOND;
    });
    next_ping(&mut side, 60 * SECOND);
    next_ping(&mut side, 60 * SECOND);
    next_ping(&mut side, 60 * SECOND);
    // The oldest one counts.
    side.assert_next_deadline_in(30 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(150 * SECOND)]);
}

#[test]
fn pause_does_not_delay_pings_to_teranode() {
    let mut side = complete();
    side.now += 40 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 30 * SECOND, now));
    next_ping(&mut side, 20 * SECOND);
}

#[test]
fn answer_to_request_extends_ping_timeout() {
    let mut side = Side::complete(Direction::Outbound);
    next_ping(&mut side, 300 * SECOND);
    side.with(|session, _| session.on_sent(&GetData::from(transactions(2)).into()));
    for _ in 0..2 {
        side.now += 50 * SECOND;
        side.receive(NotFound::from(transactions(1)));
    }
    // Nothing more was requested.
    side.now += 50 * SECOND;
    side.receive(NotFound::from(transactions(1)));
    side.take();
    side.assert_next_deadline_in(10 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn unsupported_request_names_the_kind_of_peer() {
    let error = Error::NotSupportedByPeer {
        peer: "127.0.0.1:8333".into(),
        request: "a header by its hash",
        profile: PeerProfile::Teranode,
    };
    assert_eq!(
        error.to_string(),
        "127.0.0.1:8333: Teranode does not support requests for a header by its hash"
    );
    assert_eq!(error.kind(), bsv_p2p::ErrorKind::Incompatible);
    assert!(!error.is_retryable());
}
