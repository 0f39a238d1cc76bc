//! A real node at the other end of the proxy, dialed by us and dialing us.

use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bsv_p2p::Network;
use bsv_p2p::connection::ConnectionSlots;
use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::wire::{Block, Headers};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::acceptor::Acceptor;
use crate::asker::{self, Chain};
use crate::fault_proxy::{FaultPlan, FaultProxy};
use crate::seeds::for_each_seed;
use crate::side::{self, accept};
use crate::stream_table::QUESTION;
use crate::two_streams::noticed_plans;

/// Starts a node with a chain of short and long blocks. It bans nobody for faults of the proxy.
fn node_with_chain() -> (RealNode, Chain) {
    let node = RealNode::start(&["-whitelist=127.0.0.1", "-banscore=1000000000"]);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut previous = Block::genesis(&Network::Regtest).hash();
    let mut blocks = Vec::new();
    for (height, len) in (1..).zip([1, 1, 1, 2_000, 50_000, 400_000, 1]) {
        let mut template = BlockTemplate::new(previous, height, now as u32 + height, 1);
        template.reward_script = vec![0x51; len];
        let block = template.mine();
        let answer = node.rpc("submitblock", json!([hex::encode(block.bytes())]));
        assert_eq!(answer, Value::Null, "block {height}");
        previous = block.hash();
        blocks.push(block);
    }
    let headers = Headers {
        headers: blocks.iter().map(|block| block.header()).collect(),
    };
    (node, Chain { headers, blocks })
}

// One run at a time: an action of the node about one connection can affect others of the same
// address.

/// Waits until the node has dropped every connection. It checks closed connections within moments.
fn expect_alone(node: &RealNode) {
    node.wait_until("the node has no peers", Duration::from_secs(120), || {
        node.peer_info().is_empty()
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_serves_chain_despite_faults() {
    let (node, chain) = node_with_chain();
    for_each_seed(48, 1, |_, plan: &FaultPlan| {
        let plan_of_all = plan.clone();
        let proxy = FaultProxy::start(node.address(), move |_| plan_of_all.clone());
        asker::run(&proxy, &side::config(plan.harm()), &chain)
    });
    expect_alone(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_serves_second_stream_despite_faults() {
    let (node, chain) = node_with_chain();
    for_each_seed(48, 1, |seed, plan: &FaultPlan| {
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

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_real_node_serves_chain_despite_faults() {
    let (node, chain) = node_with_chain();
    for_each_seed(48, 1, |_, plan: &FaultPlan| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan_of_all = plan.clone();
        let target = listener.local_addr().unwrap();
        let proxy = FaultProxy::start(target, move |_| plan_of_all.clone());
        node.add_node_onetry(proxy.address());
        let config = side::config(plan.harm());
        asker::run_inbound(&proxy, accept(&listener), &config, &chain)
    });
    expect_alone(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_real_node_survives_faults_on_second_stream() {
    for_each_seed(12, 2, |_, plan: &FaultPlan| {
        // One node per run: a node opens about eight second streams in its lifetime.
        let (node, chain) = node_with_chain();
        let mut plan_of_second = plan.clone();
        for fault in &mut plan_of_second.to_target {
            fault.at += QUESTION;
        }
        let mut config = side::config(plan.harm());
        config.session.multistreams = true;
        let acceptor = Acceptor::new(&config, &ConnectionSlots::new(4));
        let target = acceptor.listener.local_addr().unwrap();
        let proxy = FaultProxy::start(target, move |number| match number {
            0 => FaultPlan::default(),
            _ => plan_of_second.clone(),
        });
        node.add_node_onetry(proxy.address());
        let ends = asker::run_inbound_with_two(&proxy, &acceptor, &chain);
        expect_alone(&node);
        ends
    });
}
