//! A program that requests the chain of a local node through the proxy.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{Block, Headers};

use crate::asker::{self, Chain};
use crate::fault_proxy::{FaultPlan, FaultProxy};
use crate::messages::transaction;
use crate::seeds::{AT_ONCE, for_each_seed};
use crate::side::{self, DEADLINE};
use crate::two_streams::noticed_plans;

/// Returns a node with a chain of short and long blocks, and the chain.
fn node_with_chain() -> (LocalNode, Chain) {
    let mut config = LocalNode::default_config();
    // Shorter than the timeout of the peer.
    config.session.handshake_timeout = Duration::from_secs(3);
    config.session.ping_interval = Duration::from_millis(50);
    config.session.ping_timeout = Duration::from_secs(3);
    config.read_stall_timeout = Duration::from_secs(3);
    config.write_timeout = Duration::from_secs(3);
    let node = LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap();
    node.mine(5).unwrap();
    for (height, script) in [1_000, 100_000, 600_000].into_iter().enumerate() {
        let transaction = transaction(height as u64, script).view().into();
        node.submit(&transaction).unwrap();
        node.mine(1).unwrap();
    }
    let blocks = (1..=node.height()).map(|height| {
        let hash = node.block_hash(height).expect("a height of the chain");
        node.block(hash).expect("a block of the chain")
    });
    let blocks: Vec<Block> = blocks.collect();
    let headers = Headers {
        headers: blocks.iter().map(|block| block.header()).collect(),
    };
    (node, Chain { headers, blocks })
}

#[test]
fn local_node_serves_chain_despite_faults() {
    let (node, chain) = node_with_chain();
    for_each_seed(24, AT_ONCE, |_, plan: &FaultPlan| {
        let plan_of_all = plan.clone();
        let proxy = FaultProxy::start(node.address(), move |_| plan_of_all.clone());
        asker::run(&proxy, &side::config(plan.harm()), &chain)
    });
    expect_alone(&node);
}

#[test]
fn local_node_serves_second_stream_despite_faults() {
    let (node, chain) = node_with_chain();
    for_each_seed(24, AT_ONCE, |seed, plan: &FaultPlan| {
        let plans = noticed_plans(seed, plan);
        let proxy = FaultProxy::start(node.address(), move |number| {
            plans.get(number).cloned().unwrap_or_default()
        });
        let mut config = side::config(plan.harm());
        config.session.multistreams = true;
        asker::run(&proxy, &config, &chain)
    });
    expect_alone(&node);
}

fn expect_alone(node: &LocalNode) {
    // No connection is left at the node either.
    let deadline = Instant::now() + DEADLINE;
    while node.peer_count() > 0 {
        assert!(
            Instant::now() < deadline,
            "{} peers are left",
            node.peer_count()
        );
        thread::park_timeout(Duration::from_millis(10));
    }
}
