//! Connections to a scripted Teranode: requests to it, and pings during paused reads.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{PeerConnectionOptions, SubscriptionOptions};
use bsv_p2p::session::{PeerProfile, SendError};
use bsv_p2p::wire::{
    BlockHash, Command, GetData, GetHeaders, Headers, Inventory, Message, NotFound, Ping, Pong,
    Txid, Version,
};
use bsv_p2p::{Connection, ConnectionConfig, Error};
use test_support::raw_peer::{
    DEADLINE, RawListener, RawPeer, frame, large_block, small_buffer_pair, teranode_version,
    version, wait_until,
};

use crate::answers::getdata;
use crate::harness::{Actor, accepted, config, numbered};

/// A ping of the peer.
const NONCE: u64 = 77;

fn connected(config: &ConnectionConfig) -> (Actor, RawPeer) {
    connected_with(PeerConnectionOptions::new(config.clone()))
}

fn connected_with(setup: PeerConnectionOptions) -> (Actor, RawPeer) {
    let listener = RawListener::new();
    let actor = Actor::dial_with(listener.address(), setup);
    let mut peer = listener.accept();
    peer.shake_hands_as(teranode_version());
    actor.expect_handshake();
    peer.ping(1);
    (actor, peer)
}

/// Pings so frequent that a test can wait for some.
fn frequent_pings() -> ConnectionConfig {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(100);
    config
}

/// Waits for three pings, and asserts that the ping of the peer is not answered before, because it
/// is not read.
#[track_caller]
fn expect_pings_in_pause(peer: &mut RawPeer) {
    let mut pings = 0;
    while pings < 3 {
        match peer.next_message() {
            Message::Ping(_) => pings += 1,
            Message::Pong(pong) => assert_ne!(pong, Pong::new(NONCE), "it is read"),
            _ => {}
        }
    }
}

#[track_caller]
fn expect_pong(peer: &mut RawPeer) {
    while peer.expect("pong") != Pong::new(NONCE).into() {}
}

#[track_caller]
fn assert_unsupported<T: std::fmt::Debug>(answer: &Result<T, Error>, expected: PeerProfile) {
    match answer {
        Err(Error::NotSupportedByPeer { profile, .. }) if *profile == expected => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn header_by_hash_of_teranode_fails_at_once() {
    let hash = BlockHash([7; 32]);
    let (actor, mut peer) = connected(&config());
    let answer = actor.handle.headers(&[], hash, DEADLINE);
    assert_unsupported(&answer, PeerProfile::Teranode);
    actor.handle.send(&Message::GetAddr, DEADLINE).unwrap();
    // Nothing was sent before.
    assert_eq!(peer.next_message(), Message::GetAddr);

    let listener = RawListener::new();
    let address = listener.address().to_string();
    let (mut connection, mut peer) = thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut peer = listener.accept();
            peer.shake_hands_as(teranode_version());
            peer
        });
        let connection = Connection::connect(&address, &config()).unwrap();
        (connection, peer.join().unwrap())
    });
    let answer = connection.headers(&[], hash, DEADLINE);
    assert_unsupported(&answer, PeerProfile::Teranode);
    connection.send(&Message::GetAddr).unwrap();
    assert_eq!(peer.next_message(), Message::GetAddr);
}

#[test]
fn getaddr_to_dialing_node_fails_at_once() {
    let other = Version {
        user_agent: Some("/other:1.0/".into()),
        ..version()
    };
    for (version, expected) in [
        (teranode_version(), Some(PeerProfile::Teranode)),
        (version(), Some(PeerProfile::SvNode)),
        (other, None),
    ] {
        let (mut peer, tcp) = small_buffer_pair();
        let actor = Actor::take(tcp, &config());
        peer.shake_hands_as(version);
        actor.expect_handshake();
        let timeout = Duration::from_millis(100);
        let answer = actor.handle.addresses(timeout);
        match expected {
            Some(profile) => assert_unsupported(&answer, profile),
            None => assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}"),
        }
    }
    let (mut connection, _peer) = accepted(small_buffer_pair(), &config());
    assert_unsupported(&connection.addresses(DEADLINE), PeerProfile::SvNode);
}

#[test]
fn requests_to_teranode_have_505_objects_at_most() {
    let (actor, mut peer) = connected(&config());
    let txid = |number: u32| {
        let mut txid = Txid([7; 32]);
        txid.0[..4].copy_from_slice(&number.to_le_bytes());
        txid
    };
    let txids: Vec<_> = (0..1200).map(txid).collect();
    let sizes = thread::scope(|scope| {
        let script = scope.spawn(|| {
            let answer = |_| {
                let wanted = getdata(&mut peer);
                let count = wanted.len();
                peer.send(NotFound::from(wanted));
                count
            };
            (0..3).map(answer).collect::<Vec<_>>()
        });
        let answer = actor.handle.transactions(&txids, DEADLINE);
        assert_eq!(answer.unwrap(), vec![None; 1200]);
        script.join().unwrap()
    });
    assert_eq!(sizes, [505, 505, 190]);
}

#[test]
fn teranode_gets_headers_once_for_each_request() {
    let (actor, mut peer) = connected(&config());
    let answer = Message::from(Headers::default());
    let is_punished = |result| match result {
        Err(Error::Send { refused, .. }) => matches!(refused, SendError::Punished { .. }),
        other => panic!("{other:?}"),
    };
    assert!(is_punished(actor.handle.try_send(&answer)));
    peer.send(GetHeaders {
        version: 70016,
        locator: vec![BlockHash([7; 32])],
        stop: BlockHash::ZERO,
    });
    peer.ping(2);
    actor.handle.try_send(&answer).unwrap();
    assert_eq!(peer.next_message(), answer);
    assert!(is_punished(actor.handle.try_send(&answer)));
    actor.handle.send_unchecked(&answer, DEADLINE).unwrap();
    assert_eq!(peer.next_message(), answer);
}

#[test]
fn send_refused_for_capacity_keeps_request() {
    let (mut peer, tcp) = small_buffer_pair();
    let mut config = config();
    config.max_send_queue_messages = 1;
    let actor = Actor::take(tcp, &config);
    peer.shake_hands_as(teranode_version());
    actor.expect_handshake();
    let (first, second) = (large_block(2_000_000), large_block(2_000_001));
    let entries = [&first, &second].map(|block| Inventory::Block(block.hash()));
    peer.send(GetData::from(entries.to_vec()));
    peer.ping(2);
    actor.handle.try_send(first).unwrap();
    let second = Message::from(second);
    let refused = actor.handle.try_send(&second);
    assert!(matches!(refused, Err(Error::Timeout { .. })), "{refused:?}");
    peer.expect("block");
    actor.handle.send(&second, DEADLINE).unwrap();
    assert_eq!(peer.expect("block"), second);
}

#[test]
fn teranode_gets_pings_while_subscriber_is_slow() {
    let mut config = frequent_pings();
    config.max_subscriber_backlog_bytes = 1;
    let setup = PeerConnectionOptions::new(config);
    let slow = setup.events.subscribe_messages_with(SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::default()
    });
    let (_actor, mut peer) = connected_with(setup);
    (0..10).for_each(|number| peer.send(numbered(number, 1000)));
    peer.send(Ping::new(NONCE));
    expect_pings_in_pause(&mut peer);
    drop(slow);
    expect_pong(&mut peer);
}

#[test]
fn teranode_gets_pings_while_memory_is_full() {
    const LIMIT: u64 = 1024 * 1024;
    let mut config = frequent_pings();
    config.session.limits.buffered = LIMIT;
    config.max_payload_memory = LIMIT;
    let (actor, mut peer) = connected(&config);
    peer.send(numbered(1, 600_000));
    peer.send(numbered(2, 600_000));
    peer.send(Ping::new(NONCE));
    expect_pings_in_pause(&mut peer);
    actor.next_message();
    actor.next_message();
    expect_pong(&mut peer);
}

#[test]
fn teranode_gets_pings_while_block_reader_is_slow() {
    // More than is queued for a reader.
    let block = large_block(4_000_000);
    let (actor, mut peer) = connected(&frequent_pings());
    let mut tcp = peer.another_holder();
    thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.block_reader(block.hash(), DEADLINE));
        getdata(&mut peer);
        let bytes = [
            frame(&block.clone().into()),
            frame(&Ping::new(NONCE).into()),
        ]
        .concat();
        scope.spawn(move || tcp.write_all(&bytes).unwrap());
        let mut reader = request.join().unwrap().unwrap();
        expect_pings_in_pause(&mut peer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == *block.bytes());
        expect_pong(&mut peer);
    });
}

#[test]
fn pong_overtakes_blocks_that_wait() {
    const BLOCKS: usize = 20;
    let (mut peer, tcp) = small_buffer_pair();
    let actor = Actor::take(tcp, &config());
    peer.shake_hands_as(teranode_version());
    actor.expect_handshake();
    let block = large_block(200_000);
    peer.send(GetData::from(vec![Inventory::Block(block.hash()); BLOCKS]));
    peer.ping(2);
    for _ in 0..BLOCKS {
        actor.handle.try_send(block.clone()).unwrap();
    }
    let waiting = actor.handle.send_queue().messages;
    assert!(waiting > BLOCKS / 2, "{waiting}");
    peer.send(Ping::new(NONCE));
    wait_until("the pong waits", || {
        actor.handle.send_queue().messages > waiting
    });
    const BLOCK: Command = Command::new("block");
    let blocks_before_pong = std::iter::from_fn(|| peer.next())
        .take_while(|message| *message != Pong::new(NONCE).into())
        .filter(|message| message.command() == BLOCK)
        .count();
    // The blocks in system buffers, and the block being written.
    assert!(
        blocks_before_pong <= BLOCKS - waiting + 1,
        "{blocks_before_pong}"
    );
}
