//! Blocks that a `Connection` reads while they arrive.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::BlockVisitor;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{TransactionView, Txid};
use bsv_p2p::{Connection, Error, InvalidBlock};

use crate::answers::{block_question, mined, not_found};
use crate::block_reader::{block_of, extended, inner};
use crate::harness::{config, connected, message, reason_of};
use test_support::raw_peer::{DEADLINE, RawPeer};

/// Runs `read` while the peer answers the request for a block.
fn with_peer<T: Send>(
    connection: &mut Connection,
    peer: &mut RawPeer,
    read: impl FnOnce(&mut Connection) -> T + Send,
    answer: impl FnOnce(&mut RawPeer),
) -> T {
    thread::scope(|scope| {
        let reading = scope.spawn(|| read(connection));
        answer(peer);
        reading.join().unwrap()
    })
}

/// The block is longer than all queues together. A message before it and one after it are received
/// in order.
#[test]
fn long_block_is_read_on_callers_thread() {
    let mut config = config();
    config.session.limits.buffered = 100_000;
    let (mut connection, mut peer) = connected(&config);
    let block = block_of(300, 30_000);
    for _ in 0..2 {
        let read = with_peer(
            &mut connection,
            &mut peer,
            |connection| {
                let mut reader = connection.block_reader(block.hash(), DEADLINE).unwrap();
                assert_eq!(reader.len(), block.bytes().len() as u64);
                assert_eq!(reader.header(), &block.header());
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0, "the end stays");
                bytes
            },
            |peer| {
                block_question(peer, block.hash());
                peer.send(message("before"));
                peer.send_bytes(&extended(block.bytes()));
                peer.send(message("after"));
            },
        );
        assert!(read == block.bytes()[..], "byte for byte");
        assert_eq!(connection.receive().unwrap(), message("before"));
        assert_eq!(connection.receive().unwrap(), message("after"));
    }
}

#[test]
fn small_block_is_read_by_lines_of_its_buffer() {
    let (mut connection, mut peer) = connected(&config());
    let block = mined(1);
    let read = with_peer(
        &mut connection,
        &mut peer,
        |connection| {
            let mut reader = connection.block_reader(block.hash(), DEADLINE).unwrap();
            let mut bytes = Vec::new();
            loop {
                let buffer = reader.fill_buf().unwrap();
                if buffer.is_empty() {
                    return bytes;
                }
                // Less than the buffer holds, so that the rest is returned again.
                let len = buffer.len().div_ceil(2);
                bytes.extend_from_slice(&buffer[..len]);
                reader.consume(len);
            }
        },
        |peer| {
            block_question(peer, block.hash());
            peer.send(block.clone());
        },
    );
    assert_eq!(read, block.bytes()[..]);
}

struct Txids(Vec<Txid>);

impl BlockVisitor for Txids {
    fn transaction(&mut self, _index: u64, txid: Txid, _transaction: TransactionView<'_>) {
        self.0.push(txid);
    }
}

#[test]
fn block_of_connection_is_visited() {
    let (mut connection, mut peer) = connected(&config());
    let block = block_of(50, 20_000);
    let txids = with_peer(
        &mut connection,
        &mut peer,
        |connection| {
            let reader = connection.block_reader(block.hash(), DEADLINE).unwrap();
            let mut txids = Txids(Vec::new());
            reader.visit(&mut txids).unwrap();
            txids.0
        },
        |peer| {
            block_question(peer, block.hash());
            peer.send(block.clone());
        },
    );
    assert_eq!(txids.len(), 50);
}

#[test]
fn missing_block_is_not_found() {
    let (mut connection, mut peer) = connected(&config());
    let hash = mined(1).hash();
    let error = with_peer(
        &mut connection,
        &mut peer,
        |connection| connection.block_reader(hash, DEADLINE).unwrap_err(),
        |peer| {
            let marker = block_question(peer, hash);
            peer.send(not_found(&[marker]));
        },
    );
    assert!(matches!(error, Error::NotFound { hash: named, .. } if named == hash));
    let error = connection.block_reader(hash, Duration::from_millis(10));
    assert!(matches!(error, Err(Error::Timeout { .. })), "{error:?}");
}

#[test]
fn invalid_content_fails_last_read() {
    let (mut connection, mut peer) = connected(&config());
    let honest = block_of(2, 100);
    let mut bytes = honest.bytes().to_vec();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    let error = with_peer(
        &mut connection,
        &mut peer,
        |connection| {
            let mut reader = connection.block_reader(honest.hash(), DEADLINE).unwrap();
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            inner(&error).clone()
        },
        |peer| {
            block_question(peer, honest.hash());
            peer.send_bytes(&extended(&bytes));
        },
    );
    let Error::InvalidBlock { error, .. } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*error, InvalidBlock::Content(_)), "{error:?}");
    // The connection stays open.
    peer.send(message("others"));
    assert_eq!(connection.receive().unwrap(), message("others"));
}

#[test]
fn close_within_block_fails_read() {
    let (mut connection, mut peer) = connected(&config());
    let block = block_of(10, 100_000);
    let half = block.bytes().len() / 2;
    let (read, reason) = with_peer(
        &mut connection,
        &mut peer,
        |connection| {
            let mut reader = connection.block_reader(block.hash(), DEADLINE).unwrap();
            let mut bytes = Vec::new();
            let error = reader.read_to_end(&mut bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            (bytes.len(), reason_of::<()>(Err(inner(&error).clone())))
        },
        |peer| {
            block_question(peer, block.hash());
            let mut socket = peer.another_holder();
            let frame = extended(block.bytes());
            socket.write_all(&frame[..frame.len() - half]).unwrap();
            drop(socket);
            peer.close();
        },
    );
    assert_eq!(reason, DisconnectReason::ConnectionClosed);
    assert!(read <= block.bytes().len() - half, "{read}");
    let closed = connection.receive();
    assert_eq!(reason_of(closed), DisconnectReason::ConnectionClosed);
}

#[test]
fn dropped_reader_closes_connection() {
    let (mut connection, mut peer) = connected(&config());
    let block = block_of(100, 100_000);
    with_peer(
        &mut connection,
        &mut peer,
        |connection| {
            let mut reader = connection.block_reader(block.hash(), DEADLINE).unwrap();
            reader.read_exact(&mut [0; 80]).unwrap();
        },
        |peer| {
            block_question(peer, block.hash());
            // Fails when the connection is closed.
            let _ = peer.another_holder().write_all(&extended(block.bytes()));
        },
    );
    let closed = connection.receive();
    assert_eq!(reason_of(closed), DisconnectReason::BlockReaderAbandoned);
}
