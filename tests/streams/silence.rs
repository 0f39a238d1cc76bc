//! A scripted Teranode with two streams receives pings on the first stream, even if the second one
//! is blocked.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use bsv_p2p::ConnectionConfig;
use bsv_p2p::wire::{GetData, Inventory, Message, Ping, Pong};
use test_support::raw_peer::{DEADLINE, RawPeer, frame, large_block, teranode_version};

use crate::harness::{Owner, config, message};

/// A ping of the peer.
const NONCE: u64 = 77;

/// Pings so frequent that a test can wait for some.
fn frequent_pings() -> ConnectionConfig {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(100);
    config
}

/// Waits for three pings over the first stream.
#[track_caller]
fn expect_pings(general: &mut RawPeer) {
    (0..3).for_each(|_| drop(general.expect("ping")));
}

/// Waits for the answer to the ping over the second stream.
#[track_caller]
fn expect_pong(data1: &mut RawPeer) {
    while data1.expect("pong") != Message::from(Pong::new(NONCE)) {}
}

#[test]
fn pings_continue_while_subscriber_stops_second_stream() {
    let mut config = frequent_pings();
    config.max_subscriber_backlog_bytes = 1;
    let owner = Owner::new(config);
    let slow = owner.subscribe_to_one();
    let mut peer = owner.peer_with_two_as(teranode_version());
    (0..10).for_each(|number| peer.data1().send(message(number)));
    peer.data1().send(Ping::new(NONCE));
    expect_pings(&mut peer.general);
    drop(slow);
    expect_pong(peer.data1());
}

#[test]
fn pings_continue_while_both_streams_are_stopped() {
    let mut config = frequent_pings();
    config.max_subscriber_backlog_bytes = 1;
    let owner = Owner::new(config);
    let slow = owner.subscribe_to_one();
    let mut peer = owner.peer_with_two_as(teranode_version());
    for number in 0..10 {
        peer.general.send(message(number));
        peer.data1().send(message(number));
    }
    peer.data1().send(Ping::new(NONCE));
    expect_pings(&mut peer.general);
    drop(slow);
    expect_pong(peer.data1());
}

#[test]
fn pings_continue_while_reader_stops_second_stream() {
    // More than is queued for a reader.
    let block = large_block(4_000_000);
    let owner = Owner::new(frequent_pings());
    let mut peer = owner.peer_with_two_as(teranode_version());
    let mut tcp = peer.data1().another_holder();
    thread::scope(|scope| {
        let handle = &peer.handle;
        let request = scope.spawn(|| handle.block_reader(block.hash(), DEADLINE));
        peer.data1.as_mut().unwrap().expect("getdata");
        let bytes = [
            frame(&block.clone().into()),
            frame(&Ping::new(NONCE).into()),
        ]
        .concat();
        scope.spawn(move || tcp.write_all(&bytes).unwrap());
        let mut reader = request.join().unwrap().unwrap();
        expect_pings(&mut peer.general);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == *block.bytes());
    });
    expect_pong(peer.data1());
}

#[test]
fn pings_continue_while_blocks_wait_on_second_stream() {
    const BLOCKS: usize = 12;
    let owner = Owner::new(frequent_pings());
    let mut peer = owner.peer_with_two_as(teranode_version());
    let block = large_block(1_000_000);
    let wanted = GetData::from(vec![Inventory::Block(block.hash()); BLOCKS]);
    peer.data1().send(wanted);
    // Each stream is read independently, so only a pong to a ping on this stream shows that the
    // request was processed.
    peer.data1().ping(NONCE);
    for _ in 0..BLOCKS {
        peer.handle.try_send(block.clone()).unwrap();
    }
    // The second stream is not read.
    expect_pings(&mut peer.general);
    assert!(peer.handle.send_queue().messages > 0, "the blocks wait");
    for _ in 0..BLOCKS {
        peer.data1().expect("block");
    }
}
