//! Costs of a block that is read while it arrives, and its effects on the connection.

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use bsv_p2p::Error;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use bsv_p2p::wire::{
    BLOCK_CHUNK, BlockHeader, Encode, MerkleAccumulator, Message, Transaction, TransactionOutput,
    Txid, sha256d, write_compact_size,
};
use crossbeam_channel::after;
use test_support::own_process::run_in_own_process;
use test_support::raw_peer::{frame, wait_until};

use crate::answers::mined;
use crate::block_reader::{asked, block_of, extended, inner};
use crate::harness::{Actor, config};

#[test]
fn peer_deadlines_pause_while_reader_is_slow() {
    let mut config = config();
    config.session.idle_timeout = Duration::from_secs(2);
    config.read_stall_timeout = Duration::from_secs(2);
    let (actor, mut peer) = Actor::connected(&config);
    let block = block_of(40, 200_000);
    let bytes = frame(&block.clone().into());
    // One piece is being read and eight are queued: the queue is full when the last byte of the
    // tenth arrives.
    let (most, rest) = bytes.split_at(24 + 10 * BLOCK_CHUNK - 1);
    let (last, rest) = rest.split_at(1);
    let arrived = || actor.handle.traffic().bytes_received;
    peer.ping(1);
    let before = arrived();
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(most);
    })
    .unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    let all_but_one = before + most.len() as u64;
    wait_until("a byte is missing", || arrived() == all_but_one);
    peer.send_bytes(last);
    wait_until("the byte has come", || arrived() == all_but_one + 1);
    let _ = after(Duration::from_millis(2_500)).recv();
    thread::scope(|scope| {
        scope.spawn(|| peer.send_bytes(rest));
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    });
}

#[test]
fn stall_within_block_closes_and_fails_reader() {
    let mut config = config();
    config.read_stall_timeout = Duration::from_millis(200);
    let (actor, mut peer) = Actor::connected(&config);
    let block = block_of(10, 100_000);
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&frame(&block.clone().into())[..600_000]);
    })
    .unwrap();
    let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
    let (_, reason) = actor.expect_end();
    let len = block.bytes().len() as u64;
    let missing = len - (600_000 - 24);
    assert_eq!(reason, DisconnectReason::ReadStall { len, missing });
    assert!(
        matches!(inner(&error), Error::Disconnected { reason: told, .. } if *told == reason),
        "{error}"
    );
}

#[test]
fn reader_dropped_at_complete_block_keeps_connection() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    let reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send(block.clone());
    });
    peer.ping(1);
    drop(reader.unwrap());
    peer.ping(2);
    assert_eq!(actor.handle.state(), ConnectionState::Connected);
}

#[test]
fn streamed_block_is_not_expected_twice() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = block_of(2, 1_000_000);
    let bytes = frame(&block.clone().into());
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        let (mut socket, bytes) = (peer.another_holder(), bytes.clone());
        thread::spawn(move || socket.write_all(&bytes));
    })
    .unwrap();
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    peer.ping(1);
    // The block was not requested again, and up to 1 MiB of such a block is kept.
    peer.send_bytes(&bytes);
    let passed_over = loop {
        if let ControlEvent::PayloadDiscarded { len, .. } = actor.next_event() {
            break len;
        }
    };
    assert_eq!(passed_over, block.bytes().len() as u64);
}

#[test]
fn block_of_300_mb_needs_little_memory() {
    run_in_own_process("block_transfers::block_of_300_mb_needs_little_memory", pass);
}

fn pass() {
    const COUNT: u32 = 300;
    let mut transaction = Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: vec![TransactionOutput {
            value: 0,
            script: vec![7; 1_000_000],
        }],
        lock_time: 0,
    }
    .encode_to_vec();
    let numbered = move |number: u32| -> Vec<u8> {
        let at = transaction.len() - 4;
        transaction[at..].copy_from_slice(&number.to_le_bytes());
        transaction.clone()
    };
    let mut tree = MerkleAccumulator::new();
    (0..COUNT)
        .map(numbered.clone())
        .for_each(|bytes| tree.push(Txid(sha256d(&bytes).0)));
    let header = BlockHeader {
        merkle_root: tree.root().0,
        ..mined(1).header()
    };
    let mut head = header.encode_to_vec();
    write_compact_size(u64::from(COUNT), &mut head);
    let len = head.len() as u64 + u64::from(COUNT) * numbered.clone()(0).len() as u64;
    let mut start = extended(&head);
    start[36..44].copy_from_slice(&len.to_le_bytes());

    let before = peak();
    let (actor, mut peer) = Actor::connected(&config());
    let mut reader = asked(&actor, &mut peer, header.hash(), |peer, _| {
        let mut socket = peer.another_holder();
        thread::spawn(move || {
            socket.write_all(&start)?;
            let mut transactions = (0..COUNT).map(numbered);
            transactions.try_for_each(|bytes| socket.write_all(&bytes))
        });
    })
    .unwrap();
    assert_eq!(reader.len(), len);
    let arrived = || actor.handle.traffic().bytes_received;
    wait_until("the queue is full", || arrived() > 9 * BLOCK_CHUNK as u64);
    let _ = after(Duration::from_millis(300)).recv();
    assert!(arrived() < 16 * BLOCK_CHUNK as u64, "the peer is held back");
    let mut buffer = vec![0; 100_000];
    let mut read = 0;
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            more => read += more as u64,
        }
    }
    assert_eq!(read, len);
    peer.ping(1);
    let more = peak() - before;
    assert!(more < 16 << 20, "{more} bytes more than before");
}

/// Returns the maximum memory of this process, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}

/// The timeouts range from zero to more than a transfer takes.
#[test]
fn timeout_at_start_of_block_keeps_connection() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    let hash = block.hash();
    let bytes = frame(&block.into());
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            while let Some(message) = peer.next() {
                match message {
                    Message::GetData(_) => peer.send_bytes(&bytes),
                    Message::Ping(_) => return,
                    _ => {}
                }
            }
            panic!("the connection has ended");
        });
        // From zero to more than a transfer takes.
        for patience in (0..2_000).map(|number| Duration::from_micros(number % 200)) {
            match actor.handle.block_reader(hash, patience) {
                Ok(mut reader) => _ = std::io::copy(&mut reader, &mut std::io::sink()).unwrap(),
                Err(Error::Timeout { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let _ = actor.handle.ping(Duration::ZERO);
        serving.join().unwrap();
    });
    assert_eq!(actor.handle.state(), ConnectionState::Connected);
}
