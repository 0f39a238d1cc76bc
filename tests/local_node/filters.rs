//! Bloom filters at a local node that serves them.

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{
    BloomFilter, BloomFlags, FilterAdd, Inv, Inventory, Message, Services, Transaction, Txid,
    Version,
};
use test_support::node_rules::{client_version, getdata};
use test_support::payment::payment;
use test_support::raw_peer::RawPeer;

use crate::raw::{answers, connected, sent};

fn node() -> LocalNode {
    let config = LocalNodeConfig::default().with_filters();
    LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap()
}

/// Returns a filter of transactions, by their hashes.
fn filter_of(transactions: &[Transaction]) -> BloomFilter {
    let mut filter = BloomFilter::new(100, 0.000_001, 7, BloomFlags::NONE).unwrap();
    for transaction in transactions {
        filter.insert(transaction.txid().as_bytes());
    }
    filter
}

fn announced(messages: Vec<Message>) -> Vec<Txid> {
    let invs = messages.into_iter().flat_map(|message| match message {
        Message::Inv(Inv { inventory }) => inventory,
        other => panic!("{other:?}"),
    });
    let txids = invs.map(|entry| match entry {
        Inventory::Tx(txid) => txid,
        other => panic!("{other:?}"),
    });
    txids.collect()
}

#[test]
fn node_with_filters_announces_the_service() {
    let node = node();
    let client = crate::support::client(&node);
    assert!(client.peer_info().services.contains(Services::BLOOM));
}

#[test]
fn only_matching_transactions_are_announced() {
    let node = node();
    let [first, second, third] = [1, 2, 3].map(payment);
    let mut peer = connected(&node);
    let mut without = connected(&node);
    peer.send(filter_of(std::slice::from_ref(&first)));
    let element = FilterAdd {
        data: third.txid().as_bytes().to_vec(),
    };
    assert_eq!(answers(&mut peer, element), []);
    for transaction in [&first, &second, &third] {
        node.submit(transaction).unwrap();
    }
    assert_eq!(announced(sent(&mut peer)), [first.txid(), third.txid()]);
    assert_eq!(announced(sent(&mut without)).len(), 3);
    assert_eq!(answers(&mut peer, Message::FilterClear), []);
    node.submit(&payment(4)).unwrap();
    assert_eq!(announced(sent(&mut peer)), [payment(4).txid()]);
}

#[test]
fn filters_turn_announcements_of_transactions_on() {
    let node = node();
    let mut peers = [(); 3].map(|()| {
        let mut peer = RawPeer::dial(node.address());
        peer.shake_hands_as(Version {
            relay: Some(false),
            ..client_version()
        });
        peer
    });
    let [silent, load, clear] = &mut peers;
    assert_eq!(sent(silent), []);
    assert_eq!(answers(load, filter_of(&[payment(1)])), []);
    assert_eq!(answers(clear, Message::FilterClear), []);
    node.submit(&payment(1)).unwrap();
    node.submit(&payment(2)).unwrap();
    assert_eq!(announced(sent(silent)), []);
    assert_eq!(announced(sent(load)), [payment(1).txid()]);
    assert_eq!(announced(sent(clear)).len(), 2);
}

#[test]
fn filtered_block_is_followed_by_matching_transactions() {
    let node = node();
    let payments: Vec<_> = (0..5).map(payment).collect();
    for payment in &payments {
        node.submit(payment).unwrap();
    }
    let block = node.mine(1).unwrap()[0];
    let mut peer = connected(&node);
    for matching in [&payments[1..2], &payments[2..5], &[]] {
        peer.send(filter_of(matching));
        let answers = answers(&mut peer, getdata(Inventory::FilteredBlock(block)));
        let Some((Message::MerkleBlock(merkle), transactions)) = answers.split_first() else {
            panic!("{answers:?}");
        };
        let expected: Vec<_> = matching.iter().map(Transaction::txid).collect();
        let matched = merkle.verify().unwrap();
        let proven = matched.iter().map(|matched| matched.txid);
        assert_eq!(merkle.header.hash(), block);
        assert_eq!(proven.collect::<Vec<_>>(), expected);
        let txids = transactions.iter().map(|message| match message {
            Message::Tx(tx) => tx.txid(),
            other => panic!("{other:?}"),
        });
        assert_eq!(txids.collect::<Vec<_>>(), expected);
    }
    // Without a filter all transactions match.
    peer.send(Message::FilterClear);
    let answers = answers(&mut peer, getdata(Inventory::FilteredBlock(block)));
    assert_eq!(answers.len(), 1 + 6);
}
