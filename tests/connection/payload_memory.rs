//! Memory accounting of payloads.

use std::time::{Duration, Instant};

use bsv_p2p::connection::PeerConnectionOptions;
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, COPY_THRESHOLD, GetData, Inventory, Message, Transaction,
    TransactionOutput,
};
use bsv_p2p::{ConnectionConfig, Network, PayloadMemory};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, wait_until};

use crate::harness::{Actor, PROMPT, config, numbered};

const MEBIBYTE: u64 = 1024 * 1024;

/// Creates a connection that shares its memory limit.
#[track_caller]
fn connected(config: &ConnectionConfig, memory: &PayloadMemory) -> (Actor, RawPeer) {
    let listener = RawListener::new();
    let setup = PeerConnectionOptions {
        memory: memory.clone(),
        ..PeerConnectionOptions::new(config.clone())
    };
    let actor = Actor::dial_with(listener.address(), setup);
    let mut peer = listener.accept();
    peer.shake_hands();
    actor.expect_handshake();
    (actor, peer)
}

/// Returns a configuration with this budget for one peer, with payloads of at most one mebibyte.
fn small(max_payload_memory: u64) -> ConnectionConfig {
    let mut config = config();
    config.session.limits.buffered = MEBIBYTE;
    config.max_payload_memory = max_payload_memory;
    config
}

/// Returns a block of about `len` bytes.
fn block(len: usize) -> Block {
    let output = TransactionOutput {
        value: 0,
        script: vec![0; len],
    };
    let transaction = Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: vec![output],
        lock_time: 0,
    };
    Block::new(&BlockHeader::genesis(&Network::Regtest), &[transaction])
}

/// Waits until exactly this amount is held. During the processing of a read, all of its bytes
/// count, including headers.
#[track_caller]
fn settles(memory: &PayloadMemory, bytes: u64) {
    wait_until("just so much is held", || memory.used() == bytes);
}

#[test]
fn payload_counts_until_message_is_dropped() {
    let memory = PayloadMemory::default();
    let (actor, peer) = connected(&config(), &memory);
    settles(&memory, 0);
    peer.send(numbered(1, 100_000));
    peer.send(numbered(2, 40_000));
    let large = actor.messages.recv_timeout(DEADLINE).unwrap();
    let other = actor.messages.recv_timeout(DEADLINE).unwrap();
    settles(&memory, 140_000);
    let Message::Unknown { payload, .. } = &*large.message else {
        unreachable!()
    };
    let slice = payload.slice(..1);
    drop(large);
    // The slice pins its payload.
    settles(&memory, 140_000);
    drop(slice);
    settles(&memory, 40_000);
    drop(other);
    settles(&memory, 0);
}

/// Its payload counts in full although the message does not borrow from it.
#[test]
fn decoded_message_counts_until_dropped() {
    let memory = PayloadMemory::default();
    let (actor, peer) = connected(&config(), &memory);
    // The one in the middle of the receive buffer is decoded in place.
    for count in [1_000, 20_000] {
        let inventory = vec![Inventory::Block(BlockHash::ZERO); count];
        peer.send(bsv_p2p::wire::Inv::from(inventory));
        let event = actor.messages.recv_timeout(DEADLINE).unwrap();
        let len = 3 + 36 * count as u64;
        settles(&memory, len);
        let other = event.message.clone();
        drop(event);
        settles(&memory, len);
        drop(other);
        settles(&memory, 0);
    }
}

#[test]
fn small_message_does_not_count() {
    let memory = PayloadMemory::default();
    let (actor, peer) = connected(&config(), &memory);
    peer.send(numbered(1, COPY_THRESHOLD as usize - 1));
    let small = actor.messages.recv_timeout(DEADLINE).unwrap();
    settles(&memory, 0);
    drop(small);
    peer.send(numbered(2, COPY_THRESHOLD as usize));
    let large = actor.messages.recv_timeout(DEADLINE).unwrap();
    settles(&memory, COPY_THRESHOLD);
    drop(large);
    settles(&memory, 0);
}

#[test]
fn partial_payload_is_released_at_disconnect() {
    let memory = PayloadMemory::default();
    let (actor, mut peer) = connected(&config(), &memory);
    let frame = test_support::raw_peer::frame(&numbered(1, 1_000_000));
    peer.send_bytes(&frame[..500_000]);
    wait_until("half has arrived", || memory.used() >= 400_000);
    assert!(memory.used() < 800_000, "{}", memory.used());
    peer.close();
    actor.expect_end();
    actor.expect_threads_to_end();
    settles(&memory, 0);
}

#[test]
fn peer_over_budget_resumes_when_memory_is_free() {
    let memory = PayloadMemory::default();
    let (actor, peer) = connected(&small(2 * MEBIBYTE), &memory);
    let len = MEBIBYTE as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|number| peer.send(numbered(number, len))));
        for number in 0..20 {
            let event = actor.messages.recv_timeout(DEADLINE).unwrap();
            assert!(memory.used() <= 2 * MEBIBYTE);
            assert_eq!(*event.message, numbered(number, len));
        }
    });
}

/// Its memory is released.
#[test]
fn peer_over_budget_for_long_is_disconnected() {
    let mut config = small(2 * MEBIBYTE);
    config.payload_memory_timeout = Duration::from_millis(100);
    let memory = PayloadMemory::default();
    let (actor, peer) = connected(&config, &memory);
    let len = MEBIBYTE as usize;
    let sending = std::thread::spawn(move || {
        (0..3).for_each(|number| peer.send(numbered(number, len)));
        peer
    });
    let (_, reason) = actor.expect_end();
    assert_eq!(reason, DisconnectReason::PayloadMemoryExhausted);
    let _peer = sending.join();
    // Messages that were not received still count.
    settles(&memory, 2 * MEBIBYTE);
    drop(actor);
    settles(&memory, 0);
}

/// The first mebibyte of each peer does not count in the shared limit.
#[test]
fn peer_waits_while_another_holds_all_memory() {
    let memory = PayloadMemory::new(2 * MEBIBYTE);
    let (greedy, greedy_peer) = connected(&small(4 * MEBIBYTE), &memory);
    let (other, other_peer) = connected(&small(4 * MEBIBYTE), &memory);
    let len = MEBIBYTE as usize;
    let mut held: Vec<_> = (0..3)
        .map(|number| {
            greedy_peer.send(numbered(number, len));
            greedy.messages.recv_timeout(DEADLINE).unwrap()
        })
        .collect();
    settles(&memory, 3 * MEBIBYTE);
    other_peer.send(numbered(7, len));
    held.push(other.messages.recv_timeout(DEADLINE).unwrap());
    settles(&memory, 4 * MEBIBYTE);
    other_peer.send(numbered(8, 100_000));
    let waits = other.messages.recv_timeout(Duration::from_millis(200));
    assert!(waits.is_err(), "no memory is available");
    drop(held.remove(0));
    assert_eq!(other.next_message(), numbered(8, 100_000));
}

/// Creates a connection that has reached its limit of 1 MiB and waits for memory. Returns it with
/// its peer and the message that it holds.
fn waiting_connection(config: &ConnectionConfig) -> (Actor, RawPeer, BitcoinMessageEvent) {
    let (actor, mut peer) = connected(config, &PayloadMemory::default());
    peer.send(numbered(1, MEBIBYTE as usize));
    let held = actor.messages.recv_timeout(DEADLINE).unwrap();
    // The peer is read until the connection waits.
    peer.ping(1);
    peer.send(numbered(2, 100_000));
    (actor, peer, held)
}

#[test]
fn disconnect_does_not_wait_for_memory() {
    let (actor, _peer, _held) = waiting_connection(&small(MEBIBYTE));
    let waits = actor.messages.recv_timeout(Duration::from_millis(100));
    assert!(waits.is_err(), "no memory is available");
    let began = Instant::now();
    actor.handle.disconnect();
    actor.handle.join();
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn raised_limit_ends_wait_for_memory() {
    let mut config = small(MEBIBYTE);
    config.payload_memory_timeout = Duration::from_secs(600);
    let (actor, _peer, _held) = waiting_connection(&config);
    let waits = actor.messages.recv_timeout(Duration::from_millis(100));
    assert!(waits.is_err(), "no memory is available");
    let began = Instant::now();
    actor
        .handle
        .update_config(ConnectionConfig {
            max_payload_memory: 64 * MEBIBYTE,
            ..config
        })
        .unwrap();
    assert_eq!(actor.next_message(), numbered(2, 100_000));
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn lowered_timeout_ends_wait_for_memory() {
    let mut config = small(MEBIBYTE);
    config.payload_memory_timeout = Duration::from_secs(600);
    let (actor, _peer, _held) = waiting_connection(&config);
    let waits = actor.messages.recv_timeout(Duration::from_millis(100));
    assert!(waits.is_err(), "no memory is available");
    let began = Instant::now();
    config.payload_memory_timeout = Duration::from_millis(10);
    actor.handle.update_config(config).unwrap();
    let (_, reason) = actor.expect_end();
    assert_eq!(reason, DisconnectReason::PayloadMemoryExhausted);
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn unrequested_block_above_1_mib_is_skipped() {
    let (actor, mut peer) = Actor::connected(&config());
    let large = block(2 * MEBIBYTE as usize);
    peer.send(large.clone());
    loop {
        match actor.next_event() {
            ControlEvent::PayloadDiscarded { len, .. } => {
                assert_eq!(len, large.bytes().len() as u64);
                break;
            }
            other => assert!(other.name() != "ConnectionLost", "{other}"),
        }
    }
    let small = block(1000);
    peer.send(small.clone());
    assert_eq!(actor.next_message(), small.into());
    // A requested block arrives completely.
    let question = GetData::from(vec![Inventory::Block(large.hash())]);
    actor.handle.try_send(question).unwrap();
    peer.expect("getdata");
    peer.send(large.clone());
    assert_eq!(actor.next_message(), large.into());
}
