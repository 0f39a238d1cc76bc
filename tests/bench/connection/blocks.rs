//! Blocks over loopback: received, checksum verified, ready to iterate.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use bsv_p2p::wire::{
    Block, BlockHeader, Message, OutPoint, Transaction, TransactionInput, TransactionOutput, Txid,
};
use bsv_p2p::{Connection, Network};
use sha2::{Digest, Sha256};

use crate::scripted::{self, Frames, Scripted, config};
use crate::table::{Aim, print_row};
use crate::timing::{Turns, in_turns};

const TURNS: Turns = Turns {
    turn: Duration::from_millis(60),
    all: Duration::from_secs(8),
};

/// Compares the CPU time of all threads except the sender's. On two idle cores, the receiver
/// determines the elapsed time, and on a busy machine the elapsed time depends on other programs.
///
/// The lower bound receives the same number of bytes into a fresh buffer and hashes them while they
/// are in the cache.
pub(crate) fn receive() {
    for (megabytes, aim) in [(1, 0.95), (4, 0.95), (30, 0.9)] {
        let frame = Frames::of(&block(megabytes * 1_000_000).into());
        let (raw_peer, mut raw) = scripted::peer(Vec::new());
        let (connection_peer, stream) = scripted::peer(scripted::handshake());
        let mut connection =
            Connection::accept(stream, &config(), &Default::default()).expect("a handshake");
        let (actor_peer, _actor, events) = scripted::peer_of_actor();
        let (times, ratios) = in_turns(
            &TURNS,
            [
                Box::new(|count| {
                    timed(&raw_peer, &frame, count, || {
                        receive_raw(&mut raw, frame.frame_len() - 24);
                    })
                }),
                Box::new(|count| {
                    timed(&connection_peer, &frame, count, || {
                        let message = connection.receive().expect("a block");
                        assert!(matches!(message, Message::Block(_)));
                    })
                }),
                Box::new(|count| {
                    timed(&actor_peer, &frame, count, || {
                        let event = events.recv().expect("a block");
                        assert!(matches!(*event.message, Message::Block(_)));
                    })
                }),
            ],
        );
        let speed = |seconds: f64| {
            let rate = frame.frame_len() as f64 / seconds / 1e6;
            format!("{rate:.0} MB/s of a core")
        };
        for (number, who) in [(1, "`Connection`"), (2, "actor")] {
            print_row(
                &format!("receive blocks of {megabytes} MB, {who}"),
                speed(times[number]),
                "`recv` and SHA-256",
                speed(times[0]),
                1.0 / ratios[number],
                Aim::AtLeast(aim),
            );
        }
    }
}

/// Receives `count` blocks. Returns the CPU time of the receiving threads.
fn timed(peer: &Scripted, frame: &Frames, count: u32, mut receive: impl FnMut()) -> Duration {
    let begin = peer.receiver_cpu();
    peer.send(frame, count);
    (0..count).for_each(|_| receive());
    peer.receiver_cpu().saturating_sub(begin)
}

fn receive_raw(stream: &mut TcpStream, len: usize) {
    let mut header = [0; 24];
    stream.read_exact(&mut header).expect("a header");
    let mut payload = vec![0; len];
    let mut hasher = Sha256::new();
    let mut filled = 0;
    while filled < payload.len() {
        let end = payload.len().min(filled + 256 * 1024);
        let read = stream.read(&mut payload[filled..end]).expect("payload");
        assert_ne!(read, 0, "the sender has ended early");
        hasher.update(&payload[filled..filled + read]);
        filled += read;
    }
    let hash = Sha256::digest(hasher.finalize());
    assert_eq!(hash[..4], header[20..]);
}

/// Returns a block of about `size` bytes in transactions of about 500.
fn block(size: usize) -> Block {
    let transaction = Transaction {
        version: 1,
        inputs: vec![
            TransactionInput {
                previous: OutPoint {
                    txid: Txid([7; 32]),
                    index: 0
                },
                script: vec![0x55; 107],
                sequence: u32::MAX,
            };
            2
        ],
        outputs: vec![
            TransactionOutput {
                value: 1_000,
                script: vec![0x55; 25]
            };
            5
        ],
        lock_time: 0,
    };
    let transactions = vec![transaction; size / 480];
    Block::new(&BlockHeader::genesis(&Network::Regtest), &transactions)
}
