//! A local node and the real node as peers: one chain, whichever side dials and mines.

use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

const DEADLINE: Duration = Duration::from_secs(60);

fn best_hash(node: &RealNode) -> BlockHash {
    let hash = node.rpc("getbestblockhash", json!([]));
    hash.as_str().expect("a hash").parse().expect("a hash")
}

/// Waits until both have this tip.
#[track_caller]
fn assert_both_reach(node: &RealNode, local: &LocalNode, tip: BlockHash) {
    assert!(local.wait_for_tip(tip, DEADLINE), "{local:?}, not {tip}");
    node.wait_until("the node has the tip", DEADLINE, || best_hash(node) == tip);
    assert_eq!(node.best_height(), local.height());
}

/// Asserts that blocks mined on either side, one by one and in a burst, reach the other.
#[track_caller]
fn assert_they_follow_each_other(node: &RealNode, local: &LocalNode) {
    for blocks in [1, 1, 20] {
        local.mine(blocks as usize).unwrap();
        assert_both_reach(node, local, local.tip());
        node.generate(blocks);
        assert_both_reach(node, local, best_hash(node));
    }
    let [peer] = &node.peer_info()[..] else {
        panic!("one peer is expected: {:?}", node.peer_info());
    };
    assert_eq!(peer["banscore"], json!(0), "{peer}");
    assert_eq!(
        peer["subver"],
        json!("/bsv-p2p:0.1.0(Bitcoin SV)/"),
        "{peer}"
    );
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_syncs_from_local_node_it_dials() {
    let node = RealNode::start(&[]);
    let local = LocalNode::start().unwrap();
    let mined = local.mine(200).unwrap();
    node.add_node_onetry(local.address());
    assert_both_reach(&node, &local, mined[199]);
    let block = local.block(mined[99]).unwrap();
    assert_eq!(
        node.block_hex(&mined[99].to_string()),
        hex::encode(block.bytes())
    );
    assert_they_follow_each_other(&node, &local);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn local_node_syncs_from_node_it_dials() {
    let node = RealNode::start(&[]);
    node.generate(200);
    let local = LocalNode::start().unwrap();
    local.connect(node.address()).unwrap();
    assert_both_reach(&node, &local, best_hash(&node));
    assert_they_follow_each_other(&node, &local);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn longer_chain_wins_on_both_sides() {
    for (theirs, ours) in [(12, 9), (9, 12)] {
        let node = RealNode::start(&[]);
        node.generate(theirs);
        let local = LocalNode::start().unwrap();
        local.mine(ours).unwrap();
        let winner = if theirs > ours as u32 {
            best_hash(&node)
        } else {
            local.tip()
        };
        local.connect(node.address()).unwrap();
        assert_both_reach(&node, &local, winner);
        assert_they_follow_each_other(&node, &local);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn wallet_transaction_is_mined_by_local_node() {
    let node = RealNode::start(&[]);
    let address = node.rpc("getnewaddress", json!([]));
    node.rpc("generatetoaddress", json!([101, address]));
    let local = LocalNode::start().unwrap();
    local.connect(node.address()).unwrap();
    assert_both_reach(&node, &local, best_hash(&node));

    let name = node.rpc("sendtoaddress", json!([address, 1]));
    let txid: Txid = name.as_str().expect("a name").parse().expect("a name");
    assert!(local.wait_for_transaction(txid, DEADLINE));
    let raw = node.rpc("getrawtransaction", json!([name]));
    let tx = local.pooled_transaction(txid).unwrap();
    assert_eq!(json!(hex::encode(tx.bytes())), raw);

    let mined = local.mine(1).unwrap()[0];
    assert_both_reach(&node, &local, mined);
    let transaction = node.rpc("gettransaction", json!([name]));
    assert_eq!(transaction["confirmations"], json!(1));
    assert_eq!(transaction["blockhash"], json!(mined.to_string()));
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn transaction_of_local_node_is_mined_by_node() {
    let node = RealNode::start(&[]);
    let local = LocalNode::start().unwrap();
    let first = local.mine(101).unwrap()[0];
    node.add_node_onetry(local.address());
    assert_both_reach(&node, &local, local.tip());

    let reward = local.block(first).unwrap();
    let reward = reward.transactions().next().expect("a coinbase").txid();
    let spend = Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: reward,
                index: 0,
            },
            script: Vec::new(),
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value: 4_999_990_000,
            script: vec![0x51],
        }],
        lock_time: 0,
    };
    local.submit(&spend).unwrap();
    let name = json!(spend.txid().to_string());
    node.wait_until("the node has the transaction", DEADLINE, || {
        node.rpc("getrawmempool", json!([])) == json!([name])
    });
    let hash = node.generate(1).remove(0);
    assert_both_reach(&node, &local, best_hash(&node));
    let block: Value = node.rpc("getblock", json!([hash, 1]));
    assert_eq!(block["tx"][1], name);
    assert_eq!(local.pooled_transaction(spend.txid()), None);
}
