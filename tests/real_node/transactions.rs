//! Transactions that a manager hands to nodes.

use bsv_p2p::manager::TransactionBroadcast;
use bsv_p2p::wire::{RejectCode, Transaction, Tx};
use bsv_p2p::{Manager, ManagerConfig, Network};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::peer::{SOON, assert_good_standing};
use crate::support::RealNode;

/// A signed payment of `amount` from a coin of the node, which nobody else knows.
fn signed(node: &RealNode, amount: f64) -> Tx {
    let coin = node.rpc("listunspent", json!([]))[0].clone();
    let address = node.rpc("getnewaddress", json!([]));
    let mut outputs = serde_json::Map::new();
    outputs.insert(address.as_str().unwrap().into(), amount.into());
    let inputs = json!([{ "txid": coin["txid"], "vout": coin["vout"] }]);
    let raw = node.rpc(
        "createrawtransaction",
        json!([inputs, Value::Object(outputs)]),
    );
    let signed = node.rpc("signrawtransaction", json!([raw]));
    let bytes = hex::decode(signed["hex"].as_str().unwrap()).unwrap();
    Tx::from_payload(Bytes::from(bytes)).unwrap()
}

fn pool(node: &RealNode) -> Value {
    node.rpc("getrawmempool", json!([]))
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_transaction_reaches_two_nodes_that_do_not_know_each_other_and_a_worse_one_is_rejected() {
    let [one, other] = [RealNode::start(&[]), RealNode::start(&[])];
    let address = one.rpc("getnewaddress", json!([]));
    one.rpc("generatetoaddress", json!([101, address]));
    other.add_node_onetry(one.address());
    other.wait_until("the other node has the blocks", SOON, || {
        other.best_height() == 101
    });
    other.rpc("disconnectnode", json!([one.address().to_string()]));
    other.wait_until("they have parted", SOON, || {
        other.peer_info().is_empty() && one.peer_info().is_empty()
    });

    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    manager
        .start_fixed(&[one.address(), other.address()])
        .unwrap();
    assert_eq!(manager.wait_for_peers(2, SOON), Ok(2));
    let transaction = signed(&one, 49.9999);
    let broadcast = manager.broadcast_transaction(transaction.clone()).unwrap();
    let report = broadcast.wait_for(2, SOON);
    assert_eq!((report.told, report.asked_by.len()), (2, 2), "{report:?}");
    let expected = json!([transaction.txid().to_string()]);
    for node in [&one, &other] {
        node.wait_until("it is in the pool", SOON, || pool(node) == expected);
    }
    assert_eq!(broadcast.report().rejected_by, []);
    assert_good_standing(&one);
    assert_good_standing(&other);

    // Its output pays less than nothing.
    let mut worse = Transaction::from(transaction.view());
    worse.outputs[0].value = -1;
    let worse: TransactionBroadcast = manager.broadcast_transaction(Tx::from(&worse)).unwrap();
    assert_eq!(worse.wait_for(2, SOON).asked_by.len(), 2);
    one.wait_until("both have rejected it", SOON, || {
        worse.report().rejected_by.len() == 2
    });
    let rejection = &worse.report().rejected_by[0];
    assert_eq!(rejection.code, RejectCode::INVALID, "{rejection:?}");
}
