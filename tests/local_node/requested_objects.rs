//! The order in which requested objects are sent.

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{
    BloomFilter, BloomFlags, FeeFilter, GetData, Inventory, Message, NotFound, Txid,
};
use test_support::node_rules::{genesis, getheaders};
use test_support::payment::payment;
use test_support::raw_peer::RawPeer;

use crate::raw::{answers, connected, sent};

const MISSING: Inventory = Inventory::Tx(Txid([7; 32]));

#[test]
fn messages_after_getdata_wait_for_its_answers() {
    let node = LocalNode::start().unwrap();
    let mined = node.mine(2).unwrap();
    let mut peer = connected(&node);
    let blocks = mined.iter().map(|hash| Inventory::Block(*hash));
    let request: Vec<_> = blocks.cycle().take(20).chain([MISSING]).collect();
    peer.send(GetData::from(request));
    peer.send(getheaders(&[genesis()]));
    peer.send(GetData::from(vec![Inventory::Block(mined[0])]));
    peer.send(getheaders(&[mined[0]]));
    let names = sent(&mut peer).into_iter().map(|message| match message {
        Message::Block(_) => 'b',
        Message::NotFound(_) => 'n',
        Message::Headers(list) if list.headers.len() == 2 => 'H',
        Message::Headers(_) => 'h',
        other => panic!("{other:?}"),
    });
    let expected = "b".repeat(20) + "nHbh";
    assert_eq!(names.collect::<String>(), expected);
}

#[test]
fn missing_transactions_are_reported_after_each_block() {
    let node = LocalNode::start().unwrap();
    let mined = node.mine(1).unwrap()[0];
    let mut peer = connected(&node);
    let block = Message::from(node.block(mined).unwrap());
    let missing = Message::from(NotFound::from(vec![MISSING]));
    let request = GetData::from(vec![MISSING, Inventory::Block(mined), MISSING]);
    assert_eq!(
        answers(&mut peer, request),
        [block, missing.clone(), missing]
    );
}

/// Returns a peer that keeps the node busy for minutes: each of the filtered blocks that it
/// requests has thousands of transactions.
fn busy_peer(node: &LocalNode) -> RawPeer {
    for number in 0..3_000 {
        node.submit(&payment(number)).unwrap();
    }
    let block = node.mine(1).unwrap()[0];
    let mut peer = connected(node);
    let mut filter = BloomFilter::new(1, 0.000_001, 7, BloomFlags::NONE).unwrap();
    filter.insert(b"nothing");
    assert_eq!(answers(&mut peer, filter), []);
    let request = vec![Inventory::FilteredBlock(block); 50_000];
    peer.send(GetData::from(request));
    assert_eq!(peer.expect("merkleblock").command().name(), "merkleblock");
    peer
}

fn node_with_filters() -> LocalNode {
    let config = LocalNodeConfig::default().with_filters();
    LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap()
}

#[test]
fn large_request_does_not_delay_other_peers() {
    let node = node_with_filters();
    let _busy = busy_peer(&node);
    let mut other = connected(&node);
    let headers = answers(&mut other, getheaders(&[genesis()]));
    assert!(matches!(&headers[..], [Message::Headers(_)]));
    node.mine(1).unwrap();
    assert_eq!(sent(&mut other).len(), 1);
}

#[test]
fn peer_with_too_many_waiting_messages_is_closed() {
    let node = node_with_filters();
    let mut busy = busy_peer(&node);
    while busy.try_send(FeeFilter { rate: 1 }) {}
    busy.rest();
}
