//! Transactions with unknown parents.

use bsv_p2p::local_node::{BlockTemplate, LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{GetData, Inv, Inventory, OutPoint, TransactionInput, Tx, Txid};
use test_support::payment::payment;

use crate::raw::{answers, connected, sent};

fn node() -> LocalNode {
    let config = LocalNodeConfig {
        keep_orphans: true,
        ..LocalNodeConfig::default()
    };
    LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap()
}

/// Returns a transaction that spends the first outputs of others.
fn spend(parents: &[Txid]) -> Tx {
    let mut transaction = payment(0);
    let input = transaction.inputs[0].clone();
    let inputs = parents.iter().map(|txid| TransactionInput {
        previous: OutPoint {
            txid: *txid,
            index: 0,
        },
        ..input.clone()
    });
    transaction.inputs = inputs.collect();
    Tx::from(&transaction)
}

fn request_of(txids: &[Txid]) -> bsv_p2p::wire::Message {
    let entries = txids.iter().copied().map(Inventory::Tx).collect::<Vec<_>>();
    GetData::from(entries).into()
}

/// Returns a node with a mined block, and the txid of its coinbase.
fn node_with_coins() -> (LocalNode, Txid) {
    let node = node();
    let block = node.block(node.mine(1).unwrap()[0]).unwrap();
    let coinbase = block.transactions().next().unwrap().txid();
    (node, coinbase)
}

#[test]
fn orphan_is_accepted_when_its_parent_arrives() {
    let (node, coinbase) = node_with_coins();
    let parent = spend(&[coinbase]);
    let child = spend(&[parent.txid(), coinbase]);
    let grandchild = spend(&[child.txid(), parent.txid()]);
    let (mut peer, mut watcher) = (connected(&node), connected(&node));
    let missing = request_of(&[child.txid(), parent.txid()]);
    assert_eq!(answers(&mut peer, grandchild.clone()), [missing]);
    let missing = request_of(&[parent.txid()]);
    assert_eq!(answers(&mut peer, child.clone()), [missing]);
    // A known orphan is not requested again.
    let inv = Inv::from(vec![Inventory::Tx(grandchild.txid())]);
    assert_eq!(answers(&mut peer, inv), []);
    assert_eq!(answers(&mut peer, grandchild.clone()), []);
    assert_eq!(sent(&mut watcher), []);
    assert_eq!(answers(&mut peer, parent.clone()), []);
    let announced = [&parent, &child, &grandchild];
    let announced = announced.map(|tx| Inv::from(vec![Inventory::Tx(tx.txid())]).into());
    assert_eq!(sent(&mut watcher), announced);
    let block = node.block(node.mine(1).unwrap()[0]).unwrap();
    assert_eq!(block.transaction_count(), 4);
}

#[test]
fn orphan_is_accepted_when_its_parent_is_mined() {
    let (node, coinbase) = node_with_coins();
    let parent = spend(&[coinbase]);
    let child = spend(&[parent.txid()]);
    let mut peer = connected(&node);
    assert_eq!(answers(&mut peer, child.clone()).len(), 1);
    // The block is the first that the node hears of the parent.
    let tip = node.block(node.tip()).unwrap();
    let time = tip.header().time + 1;
    let mut template = BlockTemplate::new(node.tip(), node.height() + 1, time, 7);
    template.transactions.push(parent.clone());
    let block = template.mine();
    peer.send(block.clone());
    assert!(node.wait_for_tip(block.header().hash(), crate::support::DEADLINE));
    assert!(node.wait_for_transaction(child.txid(), crate::support::DEADLINE));
    assert_eq!(node.pooled_transaction(parent.txid()), None);
    assert_eq!(node.pooled_transaction(child.txid()), Some(child));
}

#[test]
fn orphans_of_a_peer_end_with_its_connection() {
    let (node, coinbase) = node_with_coins();
    let parent = spend(&[coinbase]);
    let child = spend(&[parent.txid()]);
    let mut peer = connected(&node);
    let mut other = connected(&node);
    assert_eq!(answers(&mut peer, child.clone()).len(), 1);
    peer.close();
    test_support::raw_peer::wait_until("the node has noticed the end", || node.peer_count() == 1);
    assert_eq!(answers(&mut other, parent), []);
    assert_eq!(node.pooled_transaction(child.txid()), None);
    // The transaction is unknown again.
    let inv = Inv::from(vec![Inventory::Tx(child.txid())]);
    assert_eq!(answers(&mut other, inv), [request_of(&[child.txid()])]);
}

#[test]
fn invalid_orphan_is_rejected() {
    let (node, _) = node_with_coins();
    let mut transaction = payment(1);
    transaction.outputs.clear();
    let mut peer = connected(&node);
    peer.send(Tx::from(&transaction));
    let reject = test_support::node_rules::next_reject(&mut peer);
    assert_eq!(reject.reason, "bad-txns-vout-empty");
    assert_eq!(sent(&mut peer), []);
}

#[test]
fn submitted_transaction_needs_no_parent() {
    let (node, _) = node_with_coins();
    let mut peer = connected(&node);
    let child = spend(&[payment(1).txid()]);
    assert_eq!(answers(&mut peer, child.clone()).len(), 1);
    node.submit(&payment(1)).unwrap();
    assert_eq!(node.pooled_transaction(child.txid()), Some(child));
}

#[test]
fn parents_do_not_matter_by_default() {
    let node = LocalNode::start().unwrap();
    let mut peer = connected(&node);
    let tx = Tx::from(&payment(1));
    assert_eq!(answers(&mut peer, tx.clone()), []);
    assert_eq!(node.pooled_transaction(tx.txid()), Some(tx));
}
