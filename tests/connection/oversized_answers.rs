//! Responses above local limits fail their request and keep the connection open.

use std::thread;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    BlockHash, Command, Encode, GetData, Inventory, Message, NotFound, Protoconf, Tx, Txid,
};
use bsv_p2p::{Connection, ConnectionConfig, Error};
use test_support::raw_peer::{
    DEADLINE, RawListener, RawPeer, header_claiming, version, wait_until,
};

use crate::answers::{getdata, mined, tx};
use crate::harness::{Actor, config};

/// More objects than fit into one message of our own limit, 2 MiB.
const MANY: usize = 60_000;
/// The limit of the entries of a message of 2 MiB.
const OWN_LIMIT: usize = 58_254;
/// The length of a `notfound` of all objects, in bytes.
const LONG: u64 = 3 + 36 * MANY as u64;

fn txid(number: usize) -> Txid {
    let mut txid = Txid([7; 32]);
    txid.0[..8].copy_from_slice(&(number as u64).to_le_bytes());
    txid
}

fn txids() -> Vec<Txid> {
    (0..MANY).map(txid).collect()
}

fn entries() -> Vec<Inventory> {
    (0..MANY)
        .map(|number| Inventory::Tx(txid(number)))
        .collect()
}

/// Completes the handshake as a node with a receive limit of 10 MB.
fn shake_hands(peer: &mut RawPeer) {
    peer.send(version());
    peer.send(Message::Verack);
    peer.send(Protoconf {
        max_receive_payload: 10_000_000,
        stream_policies: Some("Default".into()),
    });
    let nonce = peer.expect_ping();
    peer.send(bsv_p2p::wire::Pong::new(nonce));
}

fn actor_with(config: &ConnectionConfig) -> (Actor, RawPeer) {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), config);
    let mut peer = listener.accept();
    shake_hands(&mut peer);
    actor.expect_handshake();
    // Its answer follows the handling of the protoconf.
    peer.ping(1);
    (actor, peer)
}

fn connection_with(config: &ConnectionConfig) -> (Connection, RawPeer) {
    let listener = RawListener::new();
    thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut peer = listener.accept();
            shake_hands(&mut peer);
            peer
        });
        let connection = Connection::connect(listener.address().to_string(), config);
        let mut connection = connection.unwrap();
        wait_until("the limit of the peer is known", || {
            assert_eq!(connection.receive_timeout(Duration::ZERO).unwrap(), None);
            connection.peer_max_payload() == 10_000_000
        });
        (connection, peer.join().unwrap())
    })
}

/// Answers each `getdata` like a node: with one `notfound` of all its objects. Returns the numbers
/// of objects.
fn answer_each(peer: &mut RawPeer, total: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < total {
        let wanted = getdata(peer);
        sizes.push(wanted.len());
        peer.send(NotFound::from(wanted));
    }
    sizes
}

/// Answers all requests by one `notfound`.
fn answer_at_once(peer: &mut RawPeer, total: usize) {
    let mut wanted = Vec::new();
    while wanted.len() < total {
        wanted.extend(getdata(peer));
    }
    peer.send(NotFound::from(wanted));
}

#[track_caller]
fn assert_too_large<T: std::fmt::Debug>(answer: &Result<T, Error>, expected: (u64, u64)) {
    match answer {
        Err(Error::PayloadTooLarge { bytes, limit, .. }) if (*bytes, *limit) == expected => {}
        other => panic!("{other:?}"),
    }
}

/// Answers the next ping.
fn answer_ping(peer: &mut RawPeer) {
    let nonce = peer.expect_ping();
    peer.send(bsv_p2p::wire::Pong::new(nonce));
}

#[test]
fn large_request_is_split_by_own_limit() {
    let (mut connection, mut peer) = connection_with(&config());
    thread::scope(|scope| {
        let script = scope.spawn(|| {
            let sizes = answer_each(&mut peer, MANY);
            answer_ping(&mut peer);
            sizes
        });
        let answer = connection.transactions(&txids(), DEADLINE).unwrap();
        assert_eq!(answer, vec![None; MANY]);
        assert_eq!(connection.max_inventory(), OWN_LIMIT);
        connection.ping(DEADLINE).unwrap();
        assert_eq!(script.join().unwrap(), [OWN_LIMIT, MANY - OWN_LIMIT]);
    });

    let (actor, mut peer) = actor_with(&config());
    thread::scope(|scope| {
        let script = scope.spawn(|| {
            let sizes = answer_each(&mut peer, MANY);
            answer_ping(&mut peer);
            sizes
        });
        let answer = actor.handle.transactions(&txids(), DEADLINE).unwrap();
        assert_eq!(answer, vec![None; MANY]);
        assert_eq!(actor.handle.max_inventory(), OWN_LIMIT);
        actor.handle.ping(DEADLINE).unwrap();
        assert_eq!(script.join().unwrap(), [OWN_LIMIT, MANY - OWN_LIMIT]);
    });
}

#[test]
fn oversized_list_of_missing_ends_only_its_request() {
    let (mut connection, mut peer) = connection_with(&config());
    thread::scope(|scope| {
        scope.spawn(|| {
            answer_at_once(&mut peer, MANY);
            answer_ping(&mut peer);
        });
        let answer = connection.transactions(&txids(), DEADLINE);
        assert_too_large(&answer, (LONG, 2_097_152));
        connection.ping(DEADLINE).unwrap();
    });

    let (actor, mut peer) = actor_with(&config());
    thread::scope(|scope| {
        scope.spawn(|| {
            answer_at_once(&mut peer, MANY);
            answer_ping(&mut peer);
        });
        let answer = actor.handle.transactions(&txids(), DEADLINE);
        assert_too_large(&answer, (LONG, 2_097_152));
        actor.handle.ping(DEADLINE).unwrap();
    });
    // The request is answered: a second response is unexpected.
    peer.send_bytes(&header_claiming("notfound", LONG as u32));
    let (_, reason) = actor.expect_end();
    assert!(is_too_long(&reason, "notfound"), "{reason}");
}

#[test]
fn oversized_answer_to_own_getdata_is_an_event() {
    let (actor, mut peer) = actor_with(&config());
    let question = GetData::from(entries()).into();
    actor.handle.send(&question, DEADLINE).unwrap();
    answer_at_once(&mut peer, MANY);
    match actor.next_event() {
        ControlEvent::PayloadDiscarded { command, len, .. } => {
            assert_eq!((command.name(), len), ("notfound", LONG));
        }
        other => panic!("{other}"),
    }
    peer.ping(2);
}

#[test]
fn oversized_list_of_missing_without_request_ends_connection() {
    let long = header_claiming("notfound", LONG as u32);
    let (actor, peer) = actor_with(&config());
    peer.send_bytes(&long);
    let (_, reason) = actor.expect_end();
    assert!(is_too_long(&reason, "notfound"), "{reason}");
    assert!(reason.is_ban());

    // A `notfound` that lists more objects than were requested.
    let (actor, mut peer) = actor_with(&config());
    let question = GetData::from(entries()).into();
    actor.handle.send(&question, DEADLINE).unwrap();
    getdata(&mut peer);
    peer.send_bytes(&header_claiming("notfound", LONG as u32 + 36));
    let (_, reason) = actor.expect_end();
    assert!(is_too_long(&reason, "notfound"), "{reason}");
}

fn is_too_long(reason: &DisconnectReason, name: &str) -> bool {
    matches!(reason, DisconnectReason::FrameTooLarge { command, .. } if command == name)
}

/// Returns a configuration with limits of 200 bytes for transactions and blocks.
fn short_limits() -> ConnectionConfig {
    let mut config = config();
    config.session.limits.transaction = 200;
    config.session.limits.block = 200;
    config
}

/// Returns the payload of a message, and as many zero bytes as make 250 bytes of it.
fn padded(message: impl Encode, name: &'static str) -> Message {
    let mut payload = message.encode_to_vec();
    payload.resize(250, 0);
    Message::Unknown {
        command: Command::new(name),
        payload: payload.into(),
    }
}

#[test]
fn oversized_transaction_ends_only_its_request() {
    let wanted: Tx = tx(1);
    let (mut connection, mut peer) = connection_with(&short_limits());
    thread::scope(|scope| {
        scope.spawn(|| {
            getdata(&mut peer);
            peer.send(padded(wanted.clone(), "tx"));
            answer_ping(&mut peer);
        });
        let answer = connection.transactions(&[wanted.txid()], DEADLINE);
        assert_too_large(&answer, (250, 200));
        connection.ping(DEADLINE).unwrap();
    });
    peer.send(padded(wanted, "tx"));
    let end = connection.receive().unwrap_err();
    assert!(
        matches!(&end, Error::Disconnected { reason, .. } if is_too_long(reason, "tx")),
        "{end}"
    );
}

#[test]
fn oversized_block_ends_only_its_request() {
    let block = mined(1);
    let script = |peer: &mut RawPeer| {
        let wanted = getdata(peer);
        peer.send(padded(block.clone(), "block"));
        peer.send(NotFound::from(wanted[1..].to_vec()));
        answer_ping(peer);
    };
    let hash: BlockHash = block.hash();
    let (actor, mut peer) = actor_with(&short_limits());
    thread::scope(|scope| {
        let scripted = scope.spawn(|| {
            script(&mut peer);
            script(&mut peer);
        });
        let answer = actor.handle.block(hash, DEADLINE);
        assert_too_large(&answer, (250, 200));
        actor.handle.ping(DEADLINE).unwrap();
        let answer = actor.handle.block_reader(hash, DEADLINE);
        assert_too_large(&answer, (250, 200));
        actor.handle.ping(DEADLINE).unwrap();
        scripted.join().unwrap();
    });
    peer.send(padded(block, "block"));
    let (_, reason) = actor.expect_end();
    assert!(is_too_long(&reason, "block"), "{reason}");
}
