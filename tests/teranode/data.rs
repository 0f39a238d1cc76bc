//! Blocks, transactions and addresses, requested from and announced by a Teranode.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::BitcoinMessageEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, Inventory, Message, RejectCode, Tx, Txid};
use test_support::client::ClientKind;
use test_support::payment::payment;
use test_support::teranode::{JoinOrder, Punishment, Teranode, TeranodeConfig, TxVerdict};

use crate::harness::*;

fn transaction(number: u32) -> Tx {
    Tx::from(&payment(number))
}

#[test]
fn blocks_are_received_or_not_found() {
    for_each(
        |config| config.with_blocks(5),
        |teranode, client| {
            let pruned = teranode.hash_at(2);
            teranode.prune(pruned);
            for height in [1, 5, 0] {
                let hash = teranode.hash_at(height);
                assert_eq!(client.block(hash, LIMIT).unwrap().hash(), hash);
            }
            for missing in [pruned, BlockHash([7; 32])] {
                let result = client.block(missing, LIMIT);
                assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
            }
            client.ping(LIMIT).unwrap();
        },
    );
}

#[test]
fn transactions_are_received_in_requested_order() {
    for_each(
        |config| config,
        |teranode, client| {
            let (one, other) = (transaction(1), transaction(2));
            teranode.add_transaction(&one);
            teranode.add_transaction(&other);
            let missing = Txid([7; 32]);
            let requested = [other.txid(), missing, one.txid()];
            let found = client.transactions(&requested, LIMIT).unwrap();
            assert_eq!(found, [Some(other), None, Some(one)]);
        },
    );
}

/// The score that bans is reached by two lists of 50,000 entries within a minute.
#[test]
fn large_request_for_transactions_is_not_scored() {
    const COUNT: u32 = 60_000;
    for kind in ClientKind::ALL {
        let teranode = Teranode::start(TeranodeConfig::v2());
        let mut client = connected(&teranode, TeranodeRole::Server, kind);
        let txids: Vec<_> = (0..COUNT).map(numbered_txid).collect();
        let found = client.transactions(&txids, LIMIT).unwrap();
        assert!(found.len() == txids.len() && found.iter().all(Option::is_none));
        teranode.assert_no_punishment();
    }
}

fn numbered_txid(number: u32) -> Txid {
    let mut txid = [7; 32];
    txid[..4].copy_from_slice(&number.to_le_bytes());
    Txid(txid)
}

#[test]
fn addresses_are_received_once() {
    let known: Vec<SocketAddr> = (1..=100)
        .map(|host| SocketAddr::from(([203, 0, 113, host], 8333)))
        .collect();
    let own = SocketAddr::from(([198, 51, 100, 1], 8333));
    for config in versions() {
        for kind in ClientKind::ALL {
            let teranode = Teranode::start(TeranodeConfig {
                known_addresses: known.clone(),
                own_address: Some(own),
                ..config.clone()
            });
            let mut client = connected(&teranode, TeranodeRole::Server, kind);
            let found = client.addresses(LIMIT).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|one| one.address.socket_address())
                .collect();
            assert_eq!(found[..23], known[..23]);
            assert_eq!(found[23..], [own]);
            teranode.assert_no_punishment();
        }
    }
}

fn next_message(
    messages: &EventReceiver<BitcoinMessageEvent>,
    wanted: impl Fn(&Message) -> bool,
) -> Message {
    let deadline = Instant::now() + LIMIT;
    loop {
        let event = messages.recv_deadline(deadline).expect("a message");
        if wanted(&event.message) {
            return (*event.message).clone();
        }
    }
}

#[test]
fn announced_blocks_become_tips() {
    for config in versions() {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(config.clone().with_blocks(3));
            let manager = connected_manager(&teranode, role);
            let tips = manager.subscribe_blocks().unwrap();
            assert_eq!(manager.sync_headers(LIMIT), Ok(teranode.tip()));
            teranode.wait_for_messages("sendheaders", 1);
            let hash = teranode.mine(&[transaction(1)]);
            let tip = loop {
                let tip = tips.recv_timeout(LIMIT).expect("a tip");
                if tip.height == 4 {
                    break tip;
                }
            };
            assert_eq!(tip.hash, hash);
            let block = manager.fetch_block(hash, LIMIT).unwrap();
            assert_eq!(Some(block), teranode.block(hash));
            manager.shutdown().unwrap();
            teranode.assert_no_punishment();
        }
    }
}

#[test]
fn announced_transactions_arrive() {
    for config in versions() {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(config.clone());
            let manager = connected_manager(&teranode, role);
            let messages = manager.subscribe_messages();
            let one = transaction(1);
            teranode.relay(&one);
            let inv = next_message(&messages, |message| matches!(message, Message::Inv(_)));
            let Message::Inv(inv) = inv else {
                unreachable!()
            };
            assert_eq!(inv.inventory, [Inventory::Tx(one.txid())]);
            let peer = manager.connections()[0].peer_id;
            let found = manager.transactions(peer, &[one.txid()], LIMIT).unwrap();
            assert_eq!(found, [Some(one)]);
            // The longest list that it sends.
            let many: Vec<_> = (0..50_000).map(numbered_txid).collect();
            teranode.announce_transactions(&many);
            let inv = next_message(&messages, |message| matches!(message, Message::Inv(_)));
            let Message::Inv(inv) = inv else {
                unreachable!()
            };
            assert_eq!(inv.inventory.len(), 50_000);
            manager.shutdown().unwrap();
            teranode.assert_no_punishment();
        }
    }
}

#[test]
fn broadcast_transaction_is_requested() {
    for config in versions() {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(config.clone());
            let manager = connected_manager(&teranode, role);
            let one = transaction(1);
            let broadcast = manager.broadcast_transaction(one.clone()).unwrap();
            assert_eq!(broadcast.wait_for(1, LIMIT).requested_by.len(), 1);
            teranode.wait_for_transaction(one.txid());
            manager.shutdown().unwrap();
            teranode.assert_no_punishment();
        }
    }
}

#[test]
fn rejected_transaction_is_reported() {
    let teranode = Teranode::start(TeranodeConfig {
        judge_tx: |_| TxVerdict::Rejected,
        ..TeranodeConfig::v3(JoinOrder::VerackFirst)
    });
    let manager = connected_manager(&teranode, TeranodeRole::Server);
    let broadcast = manager.broadcast_transaction(transaction(1)).unwrap();
    assert_eq!(
        teranode.wait_for_punishment().punishment,
        Punishment::Rejected
    );
    let deadline = Instant::now() + LIMIT;
    while broadcast.report().rejected_by.is_empty() {
        assert!(Instant::now() < deadline, "no rejection");
        std::thread::yield_now();
    }
    let report = broadcast.report();
    assert_eq!(report.rejected_by[0].code, RejectCode::INVALID);
    assert_eq!(report.rejected_by[0].reason, "rejected");
    assert_eq!(manager.connected_count(), 1);
}

/// Blocks-only mode closes connections that announce a transaction.
#[test]
fn blocks_only_teranode_receives_no_transaction_announcements() {
    let teranode = Teranode::start(TeranodeConfig {
        blocks_only: true,
        ..TeranodeConfig::v2()
    });
    let manager = connected_manager(&teranode, TeranodeRole::Server);
    let broadcast = manager.broadcast_transaction(transaction(1)).unwrap();
    let report = broadcast.wait_for(1, Duration::from_millis(200));
    assert_eq!((report.announced_to, report.requested_by.len()), (0, 0));
    manager
        .ping(manager.connections()[0].peer_id, LIMIT)
        .unwrap();
    teranode.assert_no_punishment();
}

/// A node downloads only from peers that serve all blocks, and V2 does not announce this.
#[test]
fn local_node_downloads_blocks_of_teranode() {
    for order in [JoinOrder::VerackFirst, JoinOrder::AckFirst] {
        let teranode = Teranode::start(TeranodeConfig::v3(order).with_blocks(7));
        let node = LocalNode::start().unwrap();
        node.connect(teranode.address()).unwrap();
        assert!(node.wait_for_tip(teranode.tip().1, LIMIT));
        teranode.wait_for_messages("sendheaders", 1);
        let hash = teranode.mine(&[]);
        assert!(node.wait_for_tip(hash, LIMIT));
        teranode.assert_no_punishment();
    }
}

/// A Teranode with fewer blocks requests them by `getblocks`. Later ones are announced by `inv`.
#[test]
fn teranode_downloads_blocks_of_local_node() {
    for config in versions() {
        for role in TeranodeRole::ALL {
            let teranode = Teranode::start(config.clone());
            let node = LocalNode::start().unwrap();
            node.mine(3).unwrap();
            match role {
                TeranodeRole::Server => node.connect(teranode.address()).unwrap(),
                TeranodeRole::Dialer => teranode.dial(node.address()),
            }
            teranode.wait_for_tip(node.tip());
            let hash = node.mine(1).unwrap()[0];
            teranode.wait_for_tip(hash);
            teranode.assert_no_punishment();
        }
    }
}

#[test]
fn local_node_relays_transactions_of_teranode() {
    let (one, other) = (
        Teranode::start(TeranodeConfig::v2()),
        Teranode::start(TeranodeConfig::v3(JoinOrder::AckFirst)),
    );
    let node = LocalNode::start().unwrap();
    node.connect(one.address()).unwrap();
    other.dial(node.address());
    assert!(node.wait_for_peers(2, LIMIT));
    one.wait_for_peers(1);
    other.wait_for_peers(1);
    let tx = transaction(1);
    one.relay(&tx);
    other.wait_for_transaction(tx.txid());
    one.assert_no_punishment();
    other.assert_no_punishment();
}
