//! Two streams between a local node and the node: chains and transactions, in both directions of
//! dialing.

use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput};
use serde_json::json;
use test_support::real_node::RealNode;

use super::{assert_two_streams, streams_of};
use crate::peer::{SOON, only_peer, tip};

const DEADLINE: Duration = Duration::from_secs(60);
/// The approximate length of the transaction, in bytes. All other traffic is much shorter.
const MUCH: u64 = 100_000;

/// Creates the node and a local node with two streams, without blocks.
#[track_caller]
fn connected(node_dials: bool) -> (RealNode, LocalNode) {
    let node = RealNode::start(&[]);
    let local = LocalNode::start().unwrap();
    if node_dials {
        node.add_node_onetry(local.address());
    } else {
        local.connect(node.address()).unwrap();
    }
    assert_two_streams(&node);
    assert_eq!(local.peer_count(), 1);
    (node, local)
}

#[track_caller]
fn assert_both_reach(node: &RealNode, local: &LocalNode, hash: BlockHash) {
    assert!(local.wait_for_tip(hash, DEADLINE), "{local:?}, not {hash}");
    node.wait_until("the node has the tip", DEADLINE, || tip(node) == hash);
}

/// Returns the bytes that the node has sent and received on `GENERAL` and on `DATA1`.
#[track_caller]
fn bytes(node: &RealNode) -> [(u64, u64); 2] {
    let streams = streams_of(&only_peer(node).expect("one peer"));
    let [(_, sent, received), (_, sent_too, received_too)] = streams[..] else {
        panic!("two streams: {streams:?}");
    };
    [(sent, received), (sent_too, received_too)]
}

/// Returns a payment of the reward, with much data.
fn long_payment(reward: OutPoint) -> Transaction {
    let output = |value, script| TransactionOutput { value, script };
    // OP_FALSE, OP_RETURN, and a push of this length.
    let mut data = vec![0x00, 0x6a, 0x4e];
    data.extend((MUCH as u32).to_le_bytes());
    data.resize(data.len() + MUCH as usize, 0x55);
    Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous: reward,
            script: Vec::new(),
            sequence: u32::MAX,
        }],
        outputs: vec![output(4_999_000_000, vec![0x51]), output(0, data)],
        lock_time: 0,
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn two_hundred_blocks_use_second_stream_each_way() {
    for node_dials in [true, false] {
        let (node, local) = connected(node_dials);
        let [general, data1] = bytes(&node);
        let mined = local.mine(200).unwrap();
        assert_both_reach(&node, &local, mined[199]);
        node.generate(200);
        assert_both_reach(&node, &local, tip(&node));
        assert_eq!((node.best_height(), local.height()), (400, 400));

        let len = |from: u32| -> u64 {
            let blocks = (from..from + 200).map(|height| local.block_hash(height).unwrap());
            let blocks = blocks.map(|hash| local.block(hash).unwrap().bytes().len() as u64);
            blocks.sum()
        };
        let [general, data1] = [general, data1]
            .into_iter()
            .zip(bytes(&node))
            .map(|((sent, received), now)| (now.0 - sent, now.1 - received))
            .collect::<Vec<_>>()[..]
        else {
            unreachable!()
        };
        let all = (len(201), len(1));
        assert!(data1.0 > all.0 && data1.1 > all.1, "{data1:?}, {all:?}");
        // The first stream carried none of it.
        let little = all.0.min(all.1) / 10;
        assert!(general.0 < little && general.1 < little, "{general:?}");
        assert_two_streams(&node);
        assert_eq!(local.peer_count(), 1);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn transaction_uses_first_stream_and_block_second() {
    for node_dials in [true, false] {
        let (node, local) = connected(node_dials);
        let first = local.mine(101).unwrap()[0];
        assert_both_reach(&node, &local, local.tip());
        let coinbase = local.block(first).unwrap();
        let txid = coinbase.transactions().next().expect("a coinbase").txid();
        let payment = long_payment(OutPoint { txid, index: 0 });

        let before = bytes(&node);
        local.submit(&payment).unwrap();
        let name = json!(payment.txid().to_string());
        node.wait_until("the node has the transaction", SOON, || {
            node.rpc("getrawmempool", json!([])) == json!([name])
        });
        let between = bytes(&node);
        assert!(between[0].1 - before[0].1 > MUCH, "{before:?} {between:?}");
        assert!(
            between[1].1 - before[1].1 < MUCH / 10,
            "{before:?} {between:?}"
        );

        let mined = local.mine(1).unwrap()[0];
        assert_both_reach(&node, &local, mined);
        let after = bytes(&node);
        assert!(
            after[0].1 - between[0].1 < MUCH / 10,
            "{between:?} {after:?}"
        );
        assert!(after[1].1 - between[1].1 > MUCH, "{between:?} {after:?}");
        assert_eq!(node.rpc("getrawmempool", json!([])), json!([]));
        assert_two_streams(&node);
    }
}
