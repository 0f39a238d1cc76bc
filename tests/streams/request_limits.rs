//! Requests to a peer with two streams raise the limit of large payloads while they are open.

use std::thread;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{Block, BlockHash, Message, StreamType, Tx, Txid};
use bsv_p2p::{ConnectionConfig, Error, Network};
use test_support::payment::payment;
use test_support::raw_peer::{DEADLINE, RawPeer, large_block};

use crate::harness::{Owner, Peer, config, message};

const STREAMS: [StreamType; 2] = [StreamType::General, StreamType::Data1];
/// The length of the content of a large payload, in bytes.
const LARGE: usize = 2000;

fn limits() -> ConnectionConfig {
    let mut config = config();
    config.session.limits.unrequested = 1000;
    config
}

/// Returns the block of the requests.
fn wanted() -> Block {
    let genesis = Block::genesis(&Network::Regtest).hash();
    BlockTemplate::new(genesis, 1, 1_700_000_000, 0).mine()
}

/// Returns large payloads that answer no request.
fn large() -> [Message; 2] {
    let mut transaction = payment(1);
    transaction.outputs[0].script = vec![0; LARGE];
    [Tx::from(&transaction).into(), large_block(LARGE).into()]
}

fn stream(peer: &mut Peer, kind: StreamType) -> &mut RawPeer {
    match kind {
        StreamType::Data1 => peer.data1(),
        _ => &mut peer.general,
    }
}

/// Returns whether a payload that was sent before `message(1)` is delivered. Otherwise it is
/// reported as discarded.
#[track_caller]
fn receives(owner: &Owner, payload: &Message) -> bool {
    let next = || owner.messages.recv_timeout(DEADLINE).unwrap().message;
    let first = next();
    if *first == *payload {
        assert_eq!(*next(), message(1));
        return true;
    }
    assert_eq!(*first, message(1));
    let discarded = |event: &ControlEvent| matches!(event, ControlEvent::PayloadDiscarded { .. });
    owner.wait_for("the discarded payload", discarded);
    false
}

/// Asserts that large payloads are discarded on both streams.
#[track_caller]
fn assert_nothing_expected(owner: &Owner, peer: &mut Peer) {
    for kind in STREAMS {
        for payload in large() {
            let raw = stream(peer, kind);
            raw.send(&payload);
            raw.send(message(1));
            assert!(!receives(owner, &payload), "{} {kind}", payload.command());
        }
    }
}

#[test]
fn large_block_is_kept_while_request_is_open() {
    let owner = Owner::new(limits());
    let mut peer = owner.peer_with_two();
    let [_, large] = large();
    for kind in STREAMS {
        thread::scope(|scope| {
            let handle = &peer.handle;
            let request = scope.spawn(move || handle.block(wanted().hash(), DEADLINE));
            let data1 = peer.data1.as_mut().unwrap();
            data1.expect("getdata");
            let raw = match kind {
                StreamType::Data1 => &mut *data1,
                _ => &mut peer.general,
            };
            raw.send(&large);
            raw.send(message(1));
            assert!(receives(&owner, &large), "{kind}");
            data1.send(wanted());
            assert_eq!(request.join().unwrap(), Ok(wanted()));
        });
        assert_nothing_expected(&owner, &mut peer);
    }
}

#[test]
fn request_raises_no_limit_after_its_timeout() {
    let owner = Owner::new(limits());
    let mut peer = owner.peer_with_two();
    for _ in 0..2 {
        let (handle, hash) = (&peer.handle, wanted().hash());
        let results = [
            handle.transactions(&[Txid([7; 32])], Duration::ZERO).err(),
            handle.block(hash, Duration::ZERO).err(),
            handle.block_reader(hash, Duration::ZERO).err(),
            handle
                .headers(&[hash], BlockHash::ZERO, Duration::ZERO)
                .err(),
        ];
        for error in results {
            assert!(matches!(error, Some(Error::Timeout { .. })), "{error:?}");
        }
        assert_nothing_expected(&owner, &mut peer);
    }
}

/// The peer does not report the end marker of the request as missing.
#[test]
fn unreported_end_marker_raises_no_limit() {
    let owner = Owner::new(limits());
    let mut peer = owner.peer_with_two();
    thread::scope(|scope| {
        let handle = &peer.handle;
        let request = scope.spawn(move || handle.block(wanted().hash(), DEADLINE));
        let data1 = peer.data1.as_mut().unwrap();
        data1.expect("getdata");
        data1.send(wanted());
        assert_eq!(request.join().unwrap(), Ok(wanted()));
    });
    assert_nothing_expected(&owner, &mut peer);
}
