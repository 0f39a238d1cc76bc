//! Blocks that are read while they arrive.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{BlockReader, BlockVisitor};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    BLOCK_CHUNK, Block, BlockHash, BlockHeader, Encode, Inventory, Transaction, TransactionOutput,
    TransactionView, Txid, merkle_root, write_compact_size,
};
use bsv_p2p::{ConnectionConfig, Error, InvalidBlock, Network};
use test_support::raw_peer::{DEADLINE, RawPeer, frame, wait_until};

use crate::answers::{block_question, mined, not_found};
use crate::harness::{Actor, PROMPT, config, message};
use test_support::with_sources::with_sources;

/// Returns a block of `count` transactions, each of about `len` bytes, with a valid root.
pub(crate) fn block_of(count: u32, len: usize) -> Block {
    let transactions: Vec<_> = (0..count)
        .map(|number| Transaction {
            version: 1,
            inputs: Vec::new(),
            outputs: vec![TransactionOutput {
                value: 0,
                script: vec![number as u8; len],
            }],
            lock_time: number,
        })
        .collect();
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    Block::new(&header, &transactions)
}

/// Requests a block in a thread of its own while `script` answers.
pub(crate) fn asked(
    actor: &Actor,
    peer: &mut RawPeer,
    hash: BlockHash,
    script: impl FnOnce(&mut RawPeer, Inventory),
) -> Result<BlockReader<'static>, Error> {
    thread::scope(|scope| {
        let reader = scope.spawn(|| actor.handle.block_reader(hash, DEADLINE));
        let marker = block_question(peer, hash);
        script(peer, marker);
        reader.join().unwrap()
    })
}

/// Returns the library error inside of a read error.
#[track_caller]
pub(crate) fn inner(error: &std::io::Error) -> &Error {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .expect("an error of the library")
}

/// Returns a block in an extended frame.
pub(crate) fn extended(block: &[u8]) -> Vec<u8> {
    let mut bytes = Network::Regtest.magic().0.to_vec();
    bytes.extend(b"extmsg\0\0\0\0\0\0");
    bytes.extend([0xff; 4]);
    bytes.extend([0; 4]);
    bytes.extend(b"block\0\0\0\0\0\0\0");
    bytes.extend((block.len() as u64).to_le_bytes());
    bytes.extend(block);
    bytes
}

/// Other messages follow after the block.
#[test]
fn block_above_all_limits_is_read_unchanged() {
    let mut config = config();
    config.session.limits.buffered = 100_000;
    let (actor, mut peer) = Actor::connected(&config);
    let block = block_of(100, 30_000);
    for basic in [true, false] {
        let sending = {
            let mut socket = peer.another_holder();
            let bytes = if basic {
                frame(&block.clone().into())
            } else {
                extended(block.bytes())
            };
            move || socket.write_all(&bytes)
        };
        let mut writer = None;
        let mut reader = asked(&actor, &mut peer, block.hash(), |_, _| {
            writer = Some(thread::spawn(sending));
        })
        .unwrap();
        assert_eq!(reader.hash(), block.hash());
        assert_eq!(reader.len(), block.bytes().len() as u64);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == block.bytes()[..], "byte for byte");
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0, "the end stays");
        writer.unwrap().join().unwrap().unwrap();
        peer.ping(7);
        peer.send(message("others"));
        assert_eq!(actor.next_message(), message("others"));
    }
    let traffic = actor.handle.statistics().commands;
    let blocks = traffic.iter().find(|each| each.command.name() == "block");
    assert_eq!(blocks.unwrap().traffic.messages_received, 2);
}

/// Counts the visited parts, and checks that they are consistent.
#[derive(Default)]
struct Census {
    header: Option<BlockHeader>,
    count: u64,
    whole: Vec<(u64, Txid)>,
    pieces: Vec<InPieces>,
}

/// A transaction in pieces: its index, its bytes, and the values at its end.
type InPieces = (u64, Vec<u8>, Option<(Txid, u64)>);

impl BlockVisitor for Census {
    fn header(&mut self, header: &BlockHeader) {
        self.header = Some(*header);
    }

    fn transaction_count(&mut self, count: u64) {
        self.count = count;
    }

    fn transaction(&mut self, index: u64, txid: Txid, transaction: TransactionView<'_>) {
        assert_eq!(transaction.txid(), txid);
        self.whole.push((index, txid));
    }

    fn piece(&mut self, index: u64, at: u64, piece: &[u8]) {
        if at == 0 {
            self.pieces.push((index, Vec::new(), None));
        }
        let (last, bytes, end) = self.pieces.last_mut().unwrap();
        assert_eq!((*last, bytes.len() as u64, *end), (index, at, None));
        bytes.extend_from_slice(piece);
    }

    fn end(&mut self, index: u64, txid: Txid, len: u64) {
        let (last, _, end) = self.pieces.last_mut().unwrap();
        assert_eq!(*last, index);
        *end = Some((txid, len));
    }
}

#[test]
fn visitor_gets_transactions_above_limit_in_pieces() {
    let (actor, mut peer) = Actor::connected(&config());
    // Some transactions span pieces of the queue, and some are longer than a piece.
    let block = block_of(40, 150_000);
    let txids: Vec<_> = block.transactions().map(|tx| tx.txid()).collect();
    for (limit, in_pieces) in [(1_000_000, false), (1000, true)] {
        let reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
            let (mut socket, block) = (peer.another_holder(), block.clone());
            thread::spawn(move || socket.write_all(&frame(&block.into())));
        });
        let mut census = Census::default();
        reader
            .unwrap()
            .max_buffered_transaction(limit)
            .visit(&mut census)
            .unwrap();
        assert_eq!(census.header, Some(block.header()));
        assert_eq!(census.count, 40);
        let mut seen = census.whole.clone();
        assert_eq!(!census.pieces.is_empty(), in_pieces);
        for (index, bytes, end) in &census.pieces {
            let tx = block.transactions().nth(*index as usize).unwrap();
            assert_eq!(tx.bytes(), bytes);
            assert_eq!(*end, Some((tx.txid(), bytes.len() as u64)));
            seen.push((*index, tx.txid()));
        }
        seen.sort_unstable_by_key(|(index, _)| *index);
        let expected: Vec<_> = (0..).zip(txids.iter().copied()).collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn mismatched_block_fails_only_at_last_read() {
    let (actor, mut peer) = Actor::connected(&config());
    let honest = block_of(5, 100);
    let transactions: Vec<_> = honest.transactions().map(Transaction::from).collect();
    let other = Block::new(&honest.header(), &transactions[..4]);
    let twice = {
        let doubled = [&transactions[..], &transactions[4..]].concat();
        let fitting = merkle_root(transactions.iter().map(Transaction::txid)).0;
        assert_eq!(fitting, honest.header().merkle_root);
        Block::new(&honest.header(), &doubled)
    };
    let truncated = honest.bytes().slice(..honest.bytes().len() - 1);
    let mut hostile = Vec::new();
    honest.header().encode(&mut hostile);
    write_compact_size(0xffff_ffff, &mut hostile);
    for (bytes, fault) in [
        (other.bytes().to_vec(), "merkle root"),
        (twice.bytes().to_vec(), "duplicate transactions"),
        (truncated.to_vec(), "transaction lock time"),
        (hostile, "transactions"),
    ] {
        let mut reader = asked(&actor, &mut peer, honest.hash(), |peer, _| {
            peer.send_bytes(&extended(&bytes));
        })
        .unwrap();
        let mut read = vec![0; bytes.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, bytes);
        for _ in 0..2 {
            let error = reader.read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let text = with_sources(inner(&error));
            assert!(text.contains(fault), "{fault}: {text}");
        }
    }
    // The connection stays open: the caller decides about the incorrect block.
    peer.ping(1);
}

#[test]
fn mismatched_checksum_fails_block_visit() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = block_of(3, 1000);
    let mut bytes = frame(&block.clone().into());
    bytes[20] ^= 1;
    let reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&bytes);
    });
    let refused = reader.unwrap().visit(&mut Census::default());
    assert!(
        matches!(&refused, Err(Error::InvalidBlock { error, .. }) if matches!(**error, InvalidBlock::Checksum(_))),
        "{refused:?}"
    );
}

#[test]
fn visit_after_read_is_an_error() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send(block.clone());
    })
    .unwrap();
    reader.read_exact(&mut [0; 1]).unwrap();
    let refused = reader.visit(&mut Census::default());
    assert!(matches!(refused, Err(Error::BlockAlreadyRead { .. })));
}

#[test]
fn disconnect_within_block_fails_reader_with_reason() {
    for reset in [false, true] {
        let (actor, mut peer) = Actor::connected(&config());
        let block = block_of(10, 100_000);
        let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
            peer.send_bytes(&frame(&block.clone().into())[..600_000]);
        })
        .unwrap();
        let mut read = vec![0; BLOCK_CHUNK];
        reader.read_exact(&mut read).unwrap();
        if reset {
            peer.reset();
        } else {
            peer.close();
        }
        let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let (_, reason) = actor.expect_end();
        let Error::Disconnected { reason: told, .. } = inner(&error) else {
            panic!("{error}")
        };
        assert_eq!(*told, reason);
        assert!(reason.is_network_failure(), "{reason}");
    }
}

#[test]
fn claimed_gigabytes_allocate_no_memory() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = block_of(2, 100);
    let mut bytes = extended(block.bytes());
    bytes[36..44].copy_from_slice(&(5_u64 << 32).to_le_bytes());
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&bytes);
        peer.close_writing();
    })
    .unwrap();
    assert_eq!(reader.len(), 5 << 32);
    let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
    assert!(matches!(
        inner(&error),
        Error::Disconnected {
            reason: DisconnectReason::ConnectionClosed,
            ..
        }
    ));
}

/// Returns a reader that has read the start of an incomplete block.
fn begun(config: &ConnectionConfig) -> (Actor, RawPeer, BlockReader<'static>) {
    let (actor, mut peer) = Actor::connected(config);
    let block = block_of(40, 200_000);
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        let mut socket = peer.another_holder();
        let bytes = frame(&block.clone().into());
        // The thread ends with the connection.
        thread::spawn(move || socket.write_all(&bytes));
    })
    .unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    (actor, peer, reader)
}

#[test]
fn reader_dropped_early_closes_with_stream_abandoned() {
    let (actor, _peer, reader) = begun(&config());
    let began = Instant::now();
    drop(reader);
    assert_eq!(actor.expect_end().1, DisconnectReason::BlockReaderAbandoned);
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn idle_reader_closes_with_stream_abandoned() {
    let mut config = config();
    config.block_reader_timeout = Duration::from_millis(100);
    let (actor, _peer, mut reader) = begun(&config);
    assert_eq!(actor.expect_end().1, DisconnectReason::BlockReaderAbandoned);
    let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
    assert!(matches!(
        inner(&error),
        Error::Disconnected {
            reason: DisconnectReason::BlockReaderAbandoned,
            ..
        }
    ));
}

#[test]
fn slow_reader_does_not_time_out() {
    let mut config = config();
    config.block_reader_timeout = Duration::from_millis(300);
    let (actor, _peer, mut reader) = begun(&config);
    // A piece of the queue lasts longer than the timeout.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(900) {
        reader.read_exact(&mut [0; 10]).unwrap();
        thread::park_timeout(Duration::from_millis(10));
    }
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    assert_eq!(
        actor.handle.state(),
        bsv_p2p::session::ConnectionState::Connected
    );
}

/// Both a connection that waits for its reader and a reader that waits for bytes.
#[test]
fn disconnect_interrupts_blocked_readers() {
    let (actor, _peer, reader) = begun(&config());
    wait_until("the queue is full", || {
        actor.handle.traffic().bytes_received > 9 * BLOCK_CHUNK as u64
    });
    let began = Instant::now();
    actor.handle.disconnect();
    actor.handle.join();
    assert!(began.elapsed() < PROMPT);
    drop(reader);

    let (actor, mut peer) = Actor::connected(&config());
    let block = block_of(2, 1000);
    let mut reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&frame(&block.clone().into())[..500]);
    })
    .unwrap();
    let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    actor.handle.disconnect();
    let error = reading.join().unwrap().unwrap_err();
    assert!(matches!(
        inner(&error),
        Error::Disconnected {
            reason: DisconnectReason::Requested,
            ..
        }
    ));
}

#[test]
fn missing_block_returns_not_found() {
    let (actor, mut peer) = Actor::connected(&config());
    let unknown = BlockHash([7; 32]);
    let answer = asked(&actor, &mut peer, unknown, |peer, marker| {
        peer.send(not_found(&[marker]));
    });
    assert!(matches!(answer, Err(Error::NotFound { hash, .. }) if hash == unknown));
}

#[test]
fn block_after_reader_timeout_goes_to_subscribers() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    let late = actor.handle.block_reader(block.hash(), Duration::ZERO);
    assert!(matches!(late, Err(Error::Timeout { .. })));
    block_question(&mut peer, block.hash());
    peer.send(block.clone());
    assert_eq!(actor.next_message(), block.into());
}

#[test]
fn blocks_and_readers_are_served_in_request_order() {
    let (actor, mut peer) = Actor::connected(&config());
    let (one, other) = (mined(1), mined(2));
    let actor = Arc::new(actor);
    thread::scope(|scope| {
        let whole = scope.spawn(|| actor.handle.block(one.hash(), DEADLINE));
        block_question(&mut peer, one.hash());
        let reader = scope.spawn(|| {
            let mut reader = actor.handle.block_reader(one.hash(), DEADLINE).unwrap();
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        block_question(&mut peer, one.hash());
        let third = scope.spawn(|| actor.handle.block(other.hash(), DEADLINE));
        block_question(&mut peer, other.hash());
        for block in [&one, &one, &other] {
            peer.send(block.clone());
        }
        assert_eq!(whole.join().unwrap().as_ref(), Ok(&one));
        assert_eq!(reader.join().unwrap(), one.bytes()[..]);
        assert_eq!(third.join().unwrap().as_ref(), Ok(&other));
    });
}
