//! A manager that follows the chain of real nodes.

use std::time::{Duration, Instant};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Manager, ManagerConfig, Network};
use serde_json::json;
use test_support::real_node::RealNode;

use crate::peer::{SOON, assert_good_standing, tip};

/// The time limit of a node for thousands of blocks.
const LONG: Duration = Duration::from_secs(120);
/// Not the address of other test blocks, to avoid equal blocks after an invalidation. Nobody has
/// the key (its hash is 01 twenty times).
pub(crate) const OTHER_ADDRESS: &str = "mfcGAzvis9JQAb6avB6WBGiGrgWzLxuGaC";

fn hashes(text: &[String]) -> Vec<BlockHash> {
    text.iter().map(|hash| hash.parse().unwrap()).collect()
}

fn manager() -> Manager {
    Manager::new(ManagerConfig::new(Network::Regtest)).unwrap()
}

/// Returns the updates until the chain has this height.
#[track_caller]
fn tips_until(tips: &EventReceiver<TipUpdate>, height: u32) -> Vec<TipUpdate> {
    let mut told = Vec::new();
    loop {
        let tip = tips.recv_timeout(3 * SOON).expect("a new tip");
        let is_last = tip.height == height;
        told.push(tip);
        if is_last {
            return told;
        }
    }
}

fn connected(told: &[TipUpdate]) -> Vec<BlockHash> {
    told.iter().flat_map(|tip| tip.connected.clone()).collect()
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn manager_follows_chain_while_one_node_stalls() {
    let [one, other] = [RealNode::start(&[]), RealNode::start(&[])];
    let mined = hashes(&one.generate(5_000));
    other.add_node_onetry(one.address());
    other.wait_until("the other node has the blocks", LONG, || {
        other.best_height() == 5_000
    });
    let manager = manager();
    let tips = manager.subscribe_blocks().unwrap();
    manager
        .start_fixed([one.address(), other.address()])
        .unwrap();
    assert_eq!(manager.wait_for_peers(2, SOON), Ok(2));
    other.stop_process();
    let synced = manager.sync_headers(3 * SOON);
    assert_eq!(synced, Ok((5_000, mined[4_999])));
    let told = tips_until(&tips, 5_000);
    assert_eq!(connected(&told), mined);
    assert_eq!(told.len(), 3);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for part in mined[..200].chunks(50) {
            let manager = &manager;
            scope.spawn(move || {
                for hash in part {
                    let block = manager.fetch_block(*hash, 3 * SOON).unwrap();
                    assert_eq!(block.hash(), *hash);
                }
            });
        }
    });
    println!("200 blocks fetched in {:?}", began.elapsed());

    let began = Instant::now();
    let mined = hashes(&one.generate(200));
    let told = tips_until(&tips, 5_200);
    println!("200 blocks in {:?}, {} tips", began.elapsed(), told.len());
    assert_eq!(connected(&told), mined);
    assert!(told.iter().all(|tip| tip.disconnected.is_empty()));
    let last = mined[199];
    let block = manager.fetch_block(last, 3 * SOON).unwrap();
    assert_eq!(block.hash(), last);

    other.continue_process();
    other.wait_until("the other node has caught up", LONG, || {
        other.best_height() == 5_200
    });
    let mined = hashes(&other.generate(1));
    let told = tips_until(&tips, 5_201);
    assert_eq!(connected(&told), mined, "and nothing was told twice");
    assert_eq!(manager.sync_headers(3 * SOON), Ok((5_201, tip(&other))));
    [&one, &other].into_iter().for_each(assert_good_standing);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn reorganization_of_node_is_reported() {
    let node = RealNode::start(&[]);
    let mined = hashes(&node.generate(10));
    let manager = manager();
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([node.address()]).unwrap();
    assert_eq!(connected(&tips_until(&tips, 10)), mined);
    node.rpc("invalidateblock", json!([mined[7].to_string()]));
    let others = node.rpc("generatetoaddress", json!([5, OTHER_ADDRESS]));
    let others: Vec<String> = serde_json::from_value(others).unwrap();
    let told = tips_until(&tips, 12);
    assert_eq!(told[0].disconnected, [mined[9], mined[8], mined[7]]);
    assert!(told[1..].iter().all(|tip| tip.disconnected.is_empty()));
    assert_eq!(connected(&told), hashes(&others));
    assert_eq!(told.last().map(|tip| tip.hash), Some(tip(&node)));
    assert_good_standing(&node);
}
