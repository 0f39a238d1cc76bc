//! Transactions that a manager broadcasts to nodes.

use bsv_p2p::local_node::Chain;
use bsv_p2p::manager::TransactionBroadcast;
use bsv_p2p::wire::{OutPoint, RejectCode, Transaction, Tx, Txid};
use bsv_p2p::{Error, Manager, ManagerConfig, Network};
use bytes::Bytes;
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::mining::spend;
use crate::objects::spendable;
use crate::peer::{SOON, assert_good_standing};

/// Returns a signed payment of `amount` from a coin of the node, which no other node has.
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
fn broadcast_reaches_unconnected_nodes_and_reports_reject() {
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
        .start_fixed([one.address(), other.address()])
        .unwrap();
    assert_eq!(manager.wait_for_peers(2, SOON), Ok(2));
    let transaction = signed(&one, 49.9999);
    let broadcast = manager.broadcast_transaction(transaction.clone()).unwrap();
    let report = broadcast.wait_for(2, SOON);
    assert_eq!(
        (report.announced_to, report.requested_by.len()),
        (2, 2),
        "{report:?}"
    );
    let expected = json!([transaction.txid().to_string()]);
    for node in [&one, &other] {
        node.wait_until("it is in the pool", SOON, || pool(node) == expected);
    }
    assert_eq!(broadcast.report().rejected_by, []);
    assert_good_standing(&one);
    assert_good_standing(&other);

    // Every node rejects it, so it is not announced.
    let mut worse = Transaction::from(transaction.view());
    worse.outputs[0].value = -1;
    let refused = manager.broadcast_transaction(Tx::from(&worse));
    assert!(matches!(refused, Err(Error::InvalidTransaction { .. })));

    // Its output exceeds its input, which no other transaction spends.
    let output = OutPoint {
        txid: transaction.txid(),
        index: 0,
    };
    let worse = spend(output, 60 * 100_000_000);
    let worse: TransactionBroadcast = manager.broadcast_transaction(worse).unwrap();
    assert_eq!(worse.wait_for(2, SOON).requested_by.len(), 2);
    one.wait_until("both have rejected it", SOON, || {
        worse.report().rejected_by.len() == 2
    });
    let rejection = &worse.report().rejected_by[0];
    assert_eq!(rejection.code, RejectCode::INVALID, "{rejection:?}");
}

/// Unknown inputs get no reject either.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn conflict_gets_no_reject_but_bad_signature_disconnects() {
    let node = RealNode::start(&[]);
    let money = spendable(&node, &mut Chain::new());
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    manager.start_fixed([node.address()]).unwrap();
    assert_eq!(manager.wait_for_peers(1, SOON), Ok(1));
    let broadcast = |tx: &Tx| manager.broadcast_transaction(tx.clone()).unwrap();

    // Its output requires a signature of this key: the generator of the curve.
    let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let mut paying = Transaction::from(spend(money, 4_999_000_000).view());
    paying.outputs[0].script = hex::decode(format!("21{key}ac")).unwrap();
    let paying = Tx::from(&paying);
    broadcast(&paying);
    let expected = json!([paying.txid().to_string()]);
    node.wait_until("it is in the pool", SOON, || pool(&node) == expected);

    let conflicting = broadcast(&spend(money, 4_998_000_000));
    let unknown = OutPoint {
        txid: Txid([9; 32]),
        index: 0,
    };
    let orphan = broadcast(&spend(unknown, 1));
    for silent in [&conflicting, &orphan] {
        assert_eq!(silent.wait_for(1, SOON).requested_by.len(), 1);
    }
    assert_good_standing(&node);

    let output = OutPoint {
        txid: paying.txid(),
        index: 0,
    };
    let mut badly_signed = Transaction::from(spend(output, 4_998_000_000).view());
    badly_signed.inputs[0].script = hex::decode("09300602010102010141").unwrap();
    let refused = broadcast(&Tx::from(&badly_signed));
    let rejection = node.wait_until("the node refuses it", 2 * SOON, || {
        refused.report().rejected_by.pop()
    });
    assert_eq!(rejection.code, RejectCode::INVALID);
    let reason = rejection.reason.to_string();
    assert!(
        reason.starts_with("mandatory-script-verify-flag-failed"),
        "{reason}"
    );
    node.wait_until("the node has ended the connection", 2 * SOON, || {
        manager.metrics().connections_lost == 1
    });
    // The node processed these before that one.
    for silent in [conflicting, orphan] {
        assert_eq!(silent.report().rejected_by, []);
    }
}
