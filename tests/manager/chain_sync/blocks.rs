//! Blocks from any connected peer.

use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{GetData, Inv, Inventory, NotFound};
use bsv_p2p::{Error, ErrorKind, Timeout};
use test_support::raw_peer::frame;

use super::*;

/// The stall timeout of a peer.
const STALL: Duration = Duration::from_secs(5);

/// Returns the next request for a block, which ends with an unknown transaction.
#[track_caller]
fn asked(peer: &mut RawPeer, block: &Block) -> GetData {
    loop {
        match peer.expect("getdata") {
            Message::GetData(question) => match question.inventory[..] {
                // The end marker of a header request.
                [Inventory::Tx(_)] => {}
                [Inventory::Block(hash), ..] if hash == block.hash() => return question,
                _ => panic!("{question:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

/// Answers that the block is unknown, like a node: with the end marker of the request.
fn has_none(peer: &RawPeer, question: &GetData) {
    peer.send(NotFound::from(question.inventory[1..].to_vec()));
}

#[track_caller]
fn announce(peer: &mut RawPeer, block: &Block) {
    peer.send(Inv::from(vec![Inventory::Block(block.hash())]));
    peer.ping(3);
}

#[test]
fn stalled_peer_is_requested_last_for_next_block() {
    let [block, next_block] = &mined(2, 1)[..] else {
        panic!("two blocks");
    };
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let mut without = quiet(&manager, true);
    let mut stalling = quiet(&manager, false);
    let mut good = quiet(&manager, false);
    without.send(Inv::from(vec![Inventory::Block(block.hash())]));
    without.expect("getheaders");
    without.send(headers(std::slice::from_ref(block)));
    assert_eq!(next(&tips).hash, block.hash());
    announce(&mut stalling, block);
    announce(&mut good, block);
    // After this event, the manager knows the order of the first announcements.
    good.send(headers(std::slice::from_ref(next_block)));
    assert_eq!(next(&tips).hash, next_block.hash());
    let hash = block.hash();
    std::thread::scope(|scope| {
        let began = Instant::now();
        let fetch = scope.spawn(|| manager.fetch_block(hash, LIMIT));
        let question = asked(&mut without, block);
        has_none(&without, &question);
        asked(&mut stalling, block);
        let bytes = frame(&block.clone().into());
        stalling.send_bytes(&bytes[..bytes.len() / 2]);
        asked(&mut good, block);
        assert!(began.elapsed() >= STALL);
        good.send(block.clone());
        assert_eq!(fetch.join().unwrap().as_ref(), Ok(block));
        // The next call does not wait for it any more.
        let began = Instant::now();
        let fetch = scope.spawn(|| manager.fetch_block(hash, LIMIT));
        let question = asked(&mut without, block);
        has_none(&without, &question);
        asked(&mut good, block);
        good.send(block.clone());
        assert_eq!(fetch.join().unwrap().as_ref(), Ok(block));
        assert!(began.elapsed() < STALL);
    });
}

#[test]
fn fetch_error_lists_each_attempt() {
    let block = &mined(1, 1)[0];
    let hash = block.hash();
    let manager = manager(config());
    assert_eq!(manager.fetch_block(hash, LIMIT), Err(Error::NoPeers));
    manager.start_fixed([""; 0]).unwrap();
    let mut first = dialed(&manager, 0);
    manager.wait_for_peers(1, LIMIT).unwrap();
    let (fetched, addresses) = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| manager.fetch_block(hash, LIMIT));
        let question = asked(&mut first, block);
        let mut second = dialed(&manager, 0);
        manager.wait_for_peers(2, LIMIT).unwrap();
        has_none(&first, &question);
        asked(&mut second, block);
        let addresses = [&first, &second].map(|peer| peer.tcp().local_addr().unwrap());
        second.close();
        (fetch.join().unwrap(), addresses)
    });
    let error = fetched.unwrap_err();
    let Error::FetchFailed { attempts, .. } = &error else {
        panic!("{error}");
    };
    let [not_found, gone] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    assert!(matches!(not_found, Error::NotFound { .. }), "{not_found}");
    assert!(matches!(gone, Error::Disconnected { .. }), "{gone}");
    for address in addresses {
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (ErrorKind::Network, true)
    );
}

#[test]
fn fetch_ends_at_callers_timeout() {
    const SHORT: Duration = Duration::from_millis(50);
    let block = &mined(1, 1)[0];
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let _silent = [(); 2].map(|()| dialed(&manager, 0));
    manager.wait_for_peers(2, LIMIT).unwrap();
    match manager.fetch_block(block.hash(), SHORT) {
        Err(Error::FetchFailed {
            attempts, after, ..
        }) => {
            assert!(after >= SHORT);
            let [Error::Timeout { which, .. }] = &attempts[..] else {
                panic!("{attempts:?}");
            };
            assert_eq!(*which, Timeout::Response);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn invalid_block_is_fetched_from_another_peer() {
    let node = LocalNode::start().unwrap();
    let hash = node.mine(1).unwrap()[0];
    let block = node.block(hash).unwrap();
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.start_fixed([""; 0]).unwrap();
    let mut liar = dialed(&manager, 0);
    manager.wait_for_peers(1, LIMIT).unwrap();
    let fetched = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| manager.fetch_block(hash, LIMIT));
        asked(&mut liar, &block);
        manager.connect(node.address()).unwrap();
        manager.wait_for_peers(2, LIMIT).unwrap();
        // The coinbase pays another output.
        let mut coinbase: bsv_p2p::wire::Transaction = block.transactions().next().unwrap().into();
        coinbase.outputs[0].value -= 1;
        liar.send(Block::new(&block.header(), &[coinbase]));
        fetch.join().unwrap()
    });
    assert_eq!(fetched, Ok(block));
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionLost { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, DisconnectReason::Misbehaved { score: 100 });
}

#[test]
fn concurrent_fetches_use_all_peers() {
    let blocks = mined(4, 1);
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let mut peers = [(); 2].map(|()| dialed(&manager, 0));
    manager.wait_for_peers(2, LIMIT).unwrap();
    std::thread::scope(|scope| {
        let fetch = |hash| manager.fetch_block(hash, LIMIT);
        let fetches: Vec<_> = blocks
            .iter()
            .map(|block| scope.spawn(move || fetch(block.hash())))
            .collect();
        for peer in &mut peers {
            for _ in 0..2 {
                let Message::GetData(question) = peer.expect("getdata") else {
                    panic!("no question");
                };
                let asked = blocks
                    .iter()
                    .find(|block| question.inventory.contains(&Inventory::Block(block.hash())));
                peer.send(asked.unwrap().clone());
            }
        }
        for (fetch, block) in fetches.into_iter().zip(&blocks) {
            assert_eq!(fetch.join().unwrap().as_ref(), Ok(block));
        }
    });
}

#[test]
fn block_reader_skips_peer_without_block() {
    let node = LocalNode::start().unwrap();
    let hash = node.mine(1).unwrap()[0];
    let manager = manager(config());
    manager.start_fixed([""; 0]).unwrap();
    let mut without = dialed(&manager, 0);
    manager.wait_for_peers(1, LIMIT).unwrap();
    let block = node.block(hash).unwrap();
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| manager.fetch_block_reader(hash, LIMIT));
        let question = asked(&mut without, &block);
        manager.connect(node.address()).unwrap();
        manager.wait_for_peers(2, LIMIT).unwrap();
        has_none(&without, &question);
        let mut reader = fetch.join().unwrap().unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        assert_eq!(bytes, block.bytes()[..]);
    });
}
