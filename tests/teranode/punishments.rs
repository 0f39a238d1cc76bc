//! The scripted Teranode punishes violations, so that other tests can rely on it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, AssociationId, Block, BlockHash, Command, CreateStrm, FeeFilter, GetBlocks, GetData,
    GetHeaders, Headers, Inventory, Mempool, Message, Ping, Pong, RejectCode, StreamType, Txid,
    Version,
};
use test_support::raw_peer::{RawPeer, frame, header_claiming, version};
use test_support::teranode::{JoinOrder, Punishment, Teranode, TeranodeConfig, TxVerdict};
use uuid::Uuid;

const V3: fn() -> TeranodeConfig = || TeranodeConfig::v3(JoinOrder::VerackFirst);

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn shaken(teranode: &Teranode) -> RawPeer {
    let mut peer = RawPeer::dial(teranode.address());
    peer.send(version());
    peer.send(Message::Verack);
    peer.expect("version");
    peer.expect("verack");
    peer.expect("protoconf");
    peer
}

fn unknown(command: &'static str, payload: Vec<u8>) -> Message {
    Message::Unknown {
        command: Command::new(command),
        payload: payload.into(),
    }
}

fn with_agent(agent: &str) -> Version {
    Version {
        user_agent: Some(agent.into()),
        ..version()
    }
}

/// Returns a list of `count` entries without content.
fn counted(count: u16, entry_len: usize) -> Vec<u8> {
    let [low, high] = count.to_le_bytes();
    let mut payload = vec![0xfd, low, high];
    payload.resize(3 + usize::from(count) * entry_len, 0);
    payload
}

#[test]
fn forbidden_messages_close_connection() {
    let genesis = Block::genesis(&Network::Regtest);
    let mut counted_header = vec![1];
    counted_header.extend(genesis.header().to_bytes());
    counted_header.push(1);
    let mut locator = vec![0; 4];
    locator.extend(counted(501, 32));
    let cases: Vec<(Message, &str)> = vec![
        (version().into(), "a second version"),
        (Message::Verack, "a second verack"),
        (Mempool::Empty.into(), "mempool requests are refused"),
        (Addr::default().into(), "an addr without entries"),
        (
            FeeFilter { rate: -1 }.into(),
            "a fee that no amount of money can be",
        ),
        (
            Headers::default().into(),
            "headers outside headers-first mode",
        ),
        (genesis.into(), "a block that was not requested"),
        (Message::SendHdrsEn, "an unknown command"),
        (unknown("test", vec![7]), "an unknown command"),
        (unknown("verack", vec![7]), "a payload that is too long"),
        (unknown("ping", vec![7]), "an undecodable payload"),
        (
            unknown("addr", counted(1_001, 30)),
            "a payload that is too long",
        ),
        (
            unknown("inv", counted(50_001, 36)),
            "a payload that is too long",
        ),
        (unknown("getheaders", locator), "too many entries"),
        (unknown("inv", counted(50_001, 0)), "too many entries"),
        (
            unknown("headers", counted_header),
            "headers with a transaction count",
        ),
    ];
    for (message, rule) in cases {
        let teranode = Teranode::start(V3());
        let mut peer = shaken(&teranode);
        peer.send(message);
        peer.rest();
        let punished = teranode.wait_for_punishment();
        assert_eq!(
            (punished.rule, punished.punishment),
            (rule, Punishment::Closed)
        );
        assert!(!teranode.is_banned(LOOPBACK));
    }
}

#[test]
fn malformed_frames_are_rejected() {
    let mut other_magic = frame(&Ping::new(1).into());
    other_magic[0] ^= 1;
    let mut wrong_checksum = frame(&Ping::new(1).into());
    wrong_checksum[20] ^= 1;
    let mut not_utf8 = frame(&Message::GetAddr);
    not_utf8[4] = 0xff;
    for (bytes, rule) in [
        (other_magic, "another magic"),
        (wrong_checksum, "a wrong checksum"),
        (not_utf8, "a command that is not UTF-8"),
        (
            header_claiming("extmsg", u32::MAX),
            "extended frames cannot be read",
        ),
    ] {
        let teranode = Teranode::start(TeranodeConfig::v2());
        let mut peer = shaken(&teranode);
        peer.send_bytes(&bytes);
        let Message::Reject(reject) = peer.expect("reject") else {
            unreachable!()
        };
        assert_eq!(reject.message, "malformed");
        assert_eq!(reject.code, RejectCode::MALFORMED);
        peer.rest();
        assert_eq!(teranode.wait_for_punishment().rule, rule);
    }
}

#[test]
fn stream_commands_are_unknown_without_streams() {
    let request = CreateStrm {
        association_id: AssociationId::Uuid(Uuid::from_u128(7)),
        stream_type: StreamType::Data1,
        stream_policy: "BlockPriority".into(),
    };
    for (config, rule) in [
        (TeranodeConfig::v1(), "an unknown command"),
        (V3(), "an unknown association"),
    ] {
        let teranode = Teranode::start(config);
        let mut peer = RawPeer::dial(teranode.address());
        peer.send(request.clone());
        assert_eq!(peer.rest(), []);
        assert_eq!(teranode.wait_for_punishment().rule, rule);
    }
}

#[test]
fn user_agent_is_rejected_or_banned() {
    for (config, agent, punishment) in [
        (
            TeranodeConfig::v1(),
            "/Bitcoin ABC:1/",
            Some(Punishment::Closed),
        ),
        (TeranodeConfig::v1(), "/bsv-p2p:0.1.0/", None),
        (
            TeranodeConfig::v2(),
            "/bsv-p2p:0.1.0/",
            Some(Punishment::Banned),
        ),
        (TeranodeConfig::v2(), "/bsv-p2p:0.1.0(Bitcoin SV)/", None),
        (V3(), "/bitcoin sv:1/", Some(Punishment::Banned)),
        (V3(), "/BSV:1/", None),
    ] {
        let teranode = Teranode::start(config);
        let mut peer = RawPeer::dial(teranode.address());
        peer.send(with_agent(agent));
        if let Some(punishment) = punishment {
            let Message::Reject(reject) = peer.next_message() else {
                panic!("no reject for {agent}");
            };
            assert_eq!(reject.code, RejectCode::NONSTANDARD);
            peer.rest();
            assert_eq!(teranode.wait_for_punishment().punishment, punishment);
        } else {
            peer.expect("verack");
            teranode.assert_no_punishment();
        }
        let is_banned = punishment == Some(Punishment::Banned);
        assert_eq!(teranode.is_banned(LOOPBACK), is_banned);
        if is_banned {
            // Without any byte.
            assert_eq!(RawPeer::dial(teranode.address()).rest(), []);
        }
    }
}

#[test]
fn first_message_other_than_version_is_rejected() {
    let teranode = Teranode::start(V3());
    let mut peer = RawPeer::dial(teranode.address());
    peer.send(Message::GetAddr);
    let Message::Reject(reject) = peer.next_message() else {
        panic!("no reject");
    };
    assert_eq!(reject.message, "getaddr");
    peer.rest();
    assert_eq!(
        teranode.wait_for_punishment().rule,
        "a message before version"
    );
}

#[test]
fn ignored_commands_are_not_punished() {
    let teranode = Teranode::start(V3());
    let mut peer = shaken(&teranode);
    for command in ["filterload", "filteradd", "sendcmpct", "getcfilters"] {
        let payload = match command {
            "filterload" => vec![1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            "filteradd" => vec![1, 7],
            "sendcmpct" => vec![0, 1, 0, 0, 0, 0, 0, 0, 0],
            _ => Vec::new(),
        };
        peer.send(unknown(command, payload));
    }
    peer.ping(1);
    teranode.assert_no_punishment();
}

#[test]
fn two_full_getdata_in_one_minute_ban() {
    let full = || GetData::from(vec![Inventory::Tx(Txid([7; 32])); 50_000]);
    let teranode = Teranode::start(TeranodeConfig::v2());
    let mut peer = shaken(&teranode);
    peer.send(full());
    peer.expect("notfound");
    teranode.assert_no_punishment();
    peer.send(full());
    assert_eq!(
        teranode.wait_for_punishment().punishment,
        Punishment::Banned
    );
    assert!(teranode.is_banned(LOOPBACK));
    // Lists below 506 entries are free.
    let teranode = Teranode::start(TeranodeConfig::v2());
    let mut peer = shaken(&teranode);
    for _ in 0..300 {
        peer.send(GetData::from(vec![Inventory::Tx(Txid([7; 32])); 505]));
        peer.expect("notfound");
    }
    teranode.assert_no_punishment();
}

#[test]
fn silence_is_punished_unless_ping_is_answered() {
    let config = || TeranodeConfig {
        ping_interval: Duration::from_millis(100),
        idle_timeout: Duration::from_secs(1),
        ..TeranodeConfig::v2()
    };
    let teranode = Teranode::start(config());
    let mut peer = shaken(&teranode);
    for _ in 0..3 {
        let nonce = peer.expect_ping();
        peer.send(Pong::new(nonce));
    }
    teranode.assert_no_punishment();
    let rule = "silence for longer than the idle timeout";
    peer.rest();
    assert_eq!(teranode.wait_for_punishment().rule, rule);
}

#[test]
fn unanswered_getdata_is_punished() {
    let teranode = Teranode::start(TeranodeConfig {
        data_timeout: Duration::from_millis(100),
        ..TeranodeConfig::v2()
    });
    let mut peer = shaken(&teranode);
    peer.send(bsv_p2p::wire::Inv::from(vec![Inventory::Tx(Txid([7; 32]))]));
    peer.expect("getdata");
    peer.rest();
    assert_eq!(teranode.wait_for_punishment().command, "getdata");
}

#[test]
fn rejected_transaction_is_recorded() {
    let teranode = Teranode::start(TeranodeConfig {
        judge_tx: |_| TxVerdict::Rejected,
        ..TeranodeConfig::v2()
    });
    let mut peer = shaken(&teranode);
    let genesis = Block::genesis(&Network::Regtest);
    let coinbase = genesis.transactions().next().unwrap();
    peer.send(bsv_p2p::wire::Tx::from(coinbase));
    let Message::Reject(reject) = peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::INVALID);
    let punished = teranode.wait_for_punishment();
    assert_eq!(punished.punishment, Punishment::Rejected);
}

/// Returns the heights of an answer to `getheaders` or `getblocks`.
fn heights(teranode: &Teranode, answer: &Message) -> Vec<u32> {
    let hashes: Vec<BlockHash> = match answer {
        Message::Headers(headers) => headers.headers.iter().map(|one| one.hash()).collect(),
        Message::Inv(inv) => {
            let blocks = inv.inventory.iter().map(|entry| match entry {
                Inventory::Block(hash) => *hash,
                other => panic!("{other:?}"),
            });
            blocks.collect()
        }
        other => panic!("{other:?}"),
    };
    let height = |hash| (0..=teranode.tip().0).find(|at| teranode.hash_at(*at) == hash);
    hashes.into_iter().filter_map(height).collect()
}

#[test]
fn headers_start_at_common_ancestor_or_descend() {
    for (config, from_genesis, from_three) in [
        (TeranodeConfig::v1(), vec![5, 4, 3, 2, 1], vec![5, 4, 3]),
        (TeranodeConfig::v2(), vec![0, 1, 2, 3, 4, 5], vec![3, 4, 5]),
        (V3(), vec![0, 1, 2, 3, 4, 5], vec![3, 4, 5]),
    ] {
        let teranode = Teranode::start(config.with_blocks(5));
        let mut peer = shaken(&teranode);
        for (from, expected) in [(0, &from_genesis), (3, &from_three)] {
            let request = |locator| GetHeaders {
                version: 70016,
                locator,
                stop: BlockHash::ZERO,
            };
            // No answer to an unknown block.
            peer.send(request(vec![BlockHash([7; 32])]));
            peer.send(request(vec![BlockHash([7; 32]), teranode.hash_at(from)]));
            let answer = peer.next_message();
            assert_eq!(heights(&teranode, &answer), *expected);
        }
        peer.ping(1);
        teranode.assert_no_punishment();
    }
}

#[test]
fn getblocks_is_answered_backwards() {
    let teranode = Teranode::start(TeranodeConfig::v2().with_blocks(4));
    let mut peer = shaken(&teranode);
    let request = |locator, stop| GetBlocks {
        version: 70016,
        locator,
        stop,
    };
    peer.send(request(vec![teranode.hash_at(3)], teranode.hash_at(0)));
    let answer = peer.next_message();
    assert_eq!(heights(&teranode, &answer), [3, 2, 1]);
    peer.send(request(vec![BlockHash([7; 32])], BlockHash::ZERO));
    let Message::NotFound(missing) = peer.next_message() else {
        panic!("no notfound");
    };
    assert_eq!(missing.inventory, []);
}

#[test]
fn getdata_ends_with_everything_missing() {
    let teranode = Teranode::start(V3().with_blocks(2));
    let pruned = teranode.hash_at(1);
    teranode.prune(pruned);
    let mut peer = shaken(&teranode);
    let missing = [Inventory::Block(pruned), Inventory::Tx(Txid([7; 32]))];
    let silent = Inventory::FilteredBlock(teranode.hash_at(2));
    let present = Inventory::Block(teranode.hash_at(2));
    peer.send(GetData::from(vec![missing[0], silent, missing[1], present]));
    let Message::Block(block) = peer.next_message() else {
        panic!("no block");
    };
    assert_eq!(block.hash(), teranode.tip().1);
    let Message::NotFound(found) = peer.next_message() else {
        panic!("no notfound");
    };
    assert_eq!(found.inventory, missing);
}

#[test]
fn blocks_are_announced_after_sendheaders_only() {
    let teranode = Teranode::start(V3());
    let mut deaf = shaken(&teranode);
    let mut peer = shaken(&teranode);
    peer.send(Message::SendHeaders);
    teranode.wait_for_messages("sendheaders", 1);
    let hash = teranode.mine(&[]);
    let announced = peer.next_message();
    assert_eq!(heights(&teranode, &announced), [1]);
    assert_eq!(hash, teranode.tip().1);
    deaf.send(Ping::new(1));
    assert_eq!(deaf.next_message(), Pong::new(1).into());
}

#[test]
fn sixth_connection_of_address_is_closed() {
    let teranode = Teranode::start(V3());
    let _peers: Vec<_> = (0..5).map(|_| shaken(&teranode)).collect();
    let mut sixth = RawPeer::dial(teranode.address());
    sixth.send(version());
    assert_eq!(sixth.rest(), []);
    teranode.assert_no_punishment();
}
