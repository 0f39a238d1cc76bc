//! Long lists are split at the limits of both sides without loss.

use std::collections::HashSet;

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{
    GetData, Inv, Inventory, LEGACY_MAX_RECEIVE_PAYLOAD, Message, Pong, Protoconf, Txid,
    inventory_limit,
};
use test_support::node_rules::client_version;
use test_support::payment::payment;
use test_support::raw_peer::RawPeer;

use crate::raw::sent;

const ENTRIES: usize = 60_000;

/// The number of entries in one message to a peer without a `protoconf`, or with the minimum one.
const SMALL: usize = inventory_limit(LEGACY_MAX_RECEIVE_PAYLOAD);

fn entries() -> Vec<Inventory> {
    let entry = |number: usize| {
        let mut txid = Txid([1; 32]);
        txid.0[..8].copy_from_slice(&number.to_le_bytes());
        Inventory::Tx(txid)
    };
    (0..ENTRIES).map(entry).collect()
}

/// Connects a peer that announces a receive limit in bytes, or none.
fn peer_with_limit(node: &LocalNode, limit: Option<u32>) -> RawPeer {
    let mut peer = RawPeer::dial(node.address());
    peer.send(client_version());
    peer.send(Message::Verack);
    if let Some(max_receive_payload) = limit {
        peer.send(Protoconf {
            max_receive_payload,
            stream_policies: Some("Default".into()),
        });
    }
    let nonce = peer.expect_ping();
    peer.send(Pong::new(nonce));
    peer
}

fn node_with_large_pool() -> LocalNode {
    let config = LocalNodeConfig {
        max_pool_transactions: ENTRIES,
        ..LocalNodeConfig::default()
    };
    LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap()
}

/// Receives lists of one command until all entries have arrived. Returns them and their lengths.
fn receive_lists(peer: &mut RawPeer, command: &str) -> (Vec<Inventory>, Vec<usize>) {
    let (mut all, mut lengths) = (Vec::new(), Vec::new());
    while all.len() < ENTRIES {
        let list = match peer.expect(command) {
            Message::GetData(list) => list.inventory,
            Message::NotFound(list) => list.inventory,
            other => panic!("{other:?}"),
        };
        lengths.push(list.len());
        all.extend(list);
    }
    (all, lengths)
}

/// Returns the lengths of the parts of lists that arrive in parts of `arriving` and leave in parts
/// of `limit`.
fn parts(arriving: usize, limit: usize) -> Vec<usize> {
    let list = [(); ENTRIES];
    let parts = list.chunks(arriving).flat_map(|list| list.chunks(limit));
    parts.map(<[()]>::len).collect()
}

/// Returns the limits of peers, and the number of entries that the node sends them in one message:
/// its own limit is 2 MiB.
fn limits() -> [(Option<u32>, usize); 4] {
    let own = inventory_limit(2 * 1024 * 1024);
    [
        (None, SMALL),
        (Some(LEGACY_MAX_RECEIVE_PAYLOAD), SMALL),
        (Some(2 * 1024 * 1024), own),
        (Some(100_000_000), own),
    ]
}

#[test]
fn all_announced_transactions_are_requested() {
    for (limit, expected) in limits() {
        let node = LocalNode::start().unwrap();
        let mut peer = peer_with_limit(&node, limit);
        let entries = entries();
        let arriving = 2 * SMALL;
        Inv::split(&entries, arriving).for_each(|inv| peer.send(inv));
        let (requested, lengths) = receive_lists(&mut peer, "getdata");
        assert!(requested == entries, "{limit:?}");
        assert_eq!(lengths, parts(arriving, expected), "{limit:?}");
    }
}

#[test]
fn all_missing_transactions_are_reported() {
    for (limit, expected) in limits() {
        let node = LocalNode::start().unwrap();
        let mut peer = peer_with_limit(&node, limit);
        let entries = entries();
        let arriving = 2 * SMALL;
        GetData::split(&entries, arriving).for_each(|request| peer.send(request));
        let (missing, lengths) = receive_lists(&mut peer, "notfound");
        assert!(missing == entries, "{limit:?}");
        assert_eq!(lengths, parts(arriving, expected), "{limit:?}");
    }
}

#[test]
fn peer_with_small_limit_sends_60_000_transactions() {
    let node = node_with_large_pool();
    let mut peer = peer_with_limit(&node, Some(LEGACY_MAX_RECEIVE_PAYLOAD));
    let payments: Vec<_> = (0..ENTRIES as u32).map(payment).collect();
    let txids: Vec<_> = payments
        .iter()
        .map(|payment| Inventory::Tx(payment.txid()))
        .collect();
    Inv::split(&txids, SMALL).for_each(|inv| peer.send(inv));
    let (requested, _) = receive_lists(&mut peer, "getdata");
    assert!(requested == txids);
    for payment in &payments {
        peer.send(bsv_p2p::wire::Tx::from(payment));
    }
    let last = payments[ENTRIES - 1].txid();
    assert!(node.wait_for_transaction(last, crate::support::DEADLINE));
    let block = node.block(node.mine(1).unwrap()[0]).unwrap();
    assert_eq!(block.transaction_count(), 1 + ENTRIES);
}

#[test]
fn peer_with_small_limit_receives_60_000_transactions() {
    let node = node_with_large_pool();
    let mut peer = peer_with_limit(&node, Some(LEGACY_MAX_RECEIVE_PAYLOAD));
    assert_eq!(sent(&mut peer), []);
    let mut expected = HashSet::new();
    for number in 0..ENTRIES as u32 {
        expected.insert(payment(number).txid());
        node.submit(&payment(number)).unwrap();
        // Half of them are announced one by one while the peer reads nothing.
        if number % 30_000 != 29_999 {
            continue;
        }
        let mut announced = Vec::new();
        while announced.len() < 30_000 {
            let Message::Inv(inv) = peer.expect("inv") else {
                unreachable!("an inv");
            };
            announced.extend(inv.inventory);
        }
        GetData::split(&announced, SMALL).for_each(|request| peer.send(request));
        for _ in 0..30_000 {
            let Message::Tx(tx) = peer.expect("tx") else {
                unreachable!("a transaction");
            };
            assert!(expected.remove(&tx.txid()));
        }
    }
    assert!(expected.is_empty());
}
