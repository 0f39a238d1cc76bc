//! Many concurrent clients, and misbehaving clients, which are disconnected without affecting
//! others.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, GetData, Inventory, Message, OutPoint, Transaction,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use test_support::payment::payment;

use crate::support::{DEADLINE, announced_block, client, client_with, config, expect};

#[test]
fn fifty_clients_at_once() {
    const CLIENTS: usize = 50;
    let node = LocalNode::start().unwrap();
    let first = node.mine(3).unwrap();
    let genesis = BlockHeader::genesis(&Network::Regtest).hash();
    let all_are_there = Barrier::new(CLIENTS + 1);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (node, first, all_are_there) = (&node, &first, &all_are_there);
            scope.spawn(move || {
                let mut client = client(node);
                let headers = client
                    .headers(&[genesis], BlockHash::ZERO, DEADLINE)
                    .unwrap();
                assert!(
                    headers
                        .iter()
                        .map(BlockHeader::hash)
                        .eq(first.iter().copied())
                );
                all_are_there.wait();
                // A new block is announced to each client, and each downloads it.
                let new = expect(&mut client, |message| match message {
                    Message::Headers(headers) => headers.headers.last().map(BlockHeader::hash),
                    message => match announced_block(&message) {
                        Some(Inventory::Block(hash)) => Some(hash),
                        _ => None,
                    },
                });
                let block = client.block(new, DEADLINE).unwrap();
                assert_eq!(block.header().previous, first[2]);
                node.submit(&payment(number as u32)).unwrap();
            });
        }
        all_are_there.wait();
        assert!(node.wait_for_peers(CLIENTS, DEADLINE));
        node.mine(1).unwrap();
    });
    let block = node.block(node.mine(1).unwrap()[0]).unwrap();
    assert_eq!(block.transaction_count(), 1 + CLIENTS);
}

#[test]
fn client_with_invalid_block_is_disconnected_alone() {
    let node = LocalNode::start().unwrap();
    let tip = node.mine(2).unwrap()[1];
    let valid = node.block(tip).unwrap();
    let transactions: Vec<Transaction> = valid.transactions().map(Into::into).collect();
    let mut doubled = transactions.clone();
    doubled.push(transactions[0].clone());
    let mut spent = transactions.clone();
    spent[0].inputs[0].previous = OutPoint {
        index: 1,
        ..OutPoint::NULL
    };
    let mut good = client(&node);
    for (what, block) in [
        (
            "its header commits to other transactions",
            Block::new(&work(valid.header(), tip), &doubled),
        ),
        (
            "its first transaction is no coinbase",
            Block::new(&work(valid.header(), tip), &spent),
        ),
    ] {
        let mut bad = client(&node);
        bad.send_unchecked(block).unwrap();
        let end = Instant::now() + DEADLINE;
        let ended = loop {
            match bad.receive_timeout(DEADLINE) {
                Ok(_) => assert!(Instant::now() < end, "{what}: not dropped"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(ended, Error::Disconnected { .. }),
            "{what}: {ended}"
        );
        assert_eq!(node.tip(), tip, "{what}");
    }
    // Blocks that are only useless are no misbehavior.
    let mut behind = work(valid.header(), tip);
    behind.previous = BlockHash([7; 32]);
    for block in [
        valid,
        Block::new(&work(behind, behind.previous), &transactions),
    ] {
        good.send(block).unwrap();
    }
    good.ping(DEADLINE).unwrap();
    let next = node.mine(1).unwrap()[0];
    assert_eq!(good.block(next, DEADLINE).unwrap().hash(), next);
}

/// Returns the header on top of another block, with a valid nonce.
fn work(mut header: BlockHeader, previous: BlockHash) -> BlockHeader {
    header.previous = previous;
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

#[test]
fn blocked_client_is_disconnected_at_full_outbox() {
    let mut config = LocalNode::default_config();
    config.max_send_queue_bytes = 256 * 1024;
    // The write timeout is far from expired.
    config.write_timeout = 10 * DEADLINE;
    a_client_that_never_reads_is_dropped_alone(config);
}

#[test]
fn blocked_client_is_disconnected_at_write_timeout() {
    let mut config = LocalNode::default_config();
    config.write_timeout = Duration::from_millis(500);
    a_client_that_never_reads_is_dropped_alone(config);
}

#[track_caller]
fn a_client_that_never_reads_is_dropped_alone(config: ConnectionConfig) {
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    let node = LocalNode::start_at(address, config).unwrap();
    // A block of about 300 KB, requested more often than system buffers hold without a reader.
    for number in 0..30 {
        let mut big = payment(number);
        big.outputs[0].script = vec![0x6a; 10_000];
        node.submit(&big).unwrap();
    }
    let block = node.mine(1).unwrap()[0];
    let mut good = client(&node);
    let mut stuck = client_with(&node, &crate::support::config());
    assert!(node.wait_for_peers(2, DEADLINE));
    stuck
        .send(GetData::from(vec![Inventory::Block(block); 200]))
        .unwrap();
    let end = Instant::now() + DEADLINE;
    while node.peer_count() == 2 {
        assert!(
            Instant::now() < end,
            "the client that does not read is not dropped"
        );
        // The other client is served in this time.
        good.ping(DEADLINE).unwrap();
    }
    assert_eq!(good.block(block, DEADLINE).unwrap().hash(), block);
    let next = node.mine(1).unwrap()[0];
    assert_eq!(good.block(next, DEADLINE).unwrap().hash(), next);
    assert_eq!(node.peer_count(), 1);
}

#[test]
fn returning_client_is_served_again() {
    let node = LocalNode::start().unwrap();
    for height in 1..=10 {
        node.mine(1).unwrap();
        let client = Connection::connect(node.address().to_string(), &config()).unwrap();
        assert_eq!(client.peer_info().start_height, height);
    }
}
