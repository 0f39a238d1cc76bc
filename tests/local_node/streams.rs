//! A client with two streams, between which messages have no order.

use std::thread;
use std::time::Instant;

use bsv_p2p::Error;
use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};

use crate::support::{DEADLINE, config};

/// The number of blocks that are requested at once.
const BLOCKS: u8 = 12;
/// The length of each block, in bytes. Several exceed the capacity of sockets.
const BLOCK: usize = 4 * 1024 * 1024;

/// Returns a transaction that fills a block.
fn large(number: u8) -> Transaction {
    Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([number; 32]),
                index: 0,
            },
            script: Vec::new(),
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: vec![number; BLOCK],
        }],
        lock_time: 0,
    }
}

/// Returns a connection to the node with both streams.
fn two_streams(node: &LocalNode) -> PeerConnectionHandle {
    let setup = PeerConnectionOptions::new(config());
    let peer = PeerConnectionActor::spawn_outbound(node.address(), setup).expect("a thread");
    let deadline = Instant::now() + DEADLINE;
    while peer.statistics().stream_policy.is_none() {
        assert!(Instant::now() < deadline, "no second stream");
        thread::yield_now();
    }
    peer
}

#[test]
fn concurrent_block_requests_separate_known_from_unknown() {
    let node = LocalNode::start().unwrap();
    let mut blocks = Vec::new();
    for number in 1..=BLOCKS {
        node.submit(&large(number)).unwrap();
        blocks.extend(node.mine(1).unwrap());
    }
    let peer = two_streams(&node);
    thread::scope(|scope| {
        for (number, there) in (1..).zip(&blocks) {
            let peer = &peer;
            let there = *there;
            scope.spawn(move || {
                let block = peer.block(there, DEADLINE).expect("a block");
                assert_eq!(block.hash(), there);
            });
            let unknown = BlockHash([number; 32]);
            scope.spawn(move || {
                let answer = peer.block(unknown, DEADLINE);
                assert!(
                    matches!(&answer, Err(Error::NotFound { hash, .. }) if *hash == unknown),
                    "{answer:?}"
                );
            });
        }
    });
}
