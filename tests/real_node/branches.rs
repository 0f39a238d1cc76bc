//! The real node, `HeaderChain` and a manager follow the same branches.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{Block, BlockHash, BlockHeader, ChainTip, HeaderChain};
use bsv_p2p::{Manager, ManagerConfig, Network};
use serde_json::{Value, json};
use test_support::SeededRandom;
use test_support::real_node::RealNode;

use crate::following::OTHER_ADDRESS;
use crate::mining::now;
use crate::peer::{SOON, assert_good_standing, hash, tip};

/// The time in which a node verifies 1,000 small blocks on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Height, hash and branch length of a tip.
type Tip = (u32, BlockHash, u32);

/// Mines a chain from genesis. Each branch number results in other blocks.
fn mine_chain(blocks: usize, branch: u64) -> (Chain, Vec<BlockHeader>) {
    let (mut chain, now) = (Chain::new(), now());
    let mine = |_| {
        let block = chain.template(now, branch).mine();
        chain.accept(&block, now).expect("a valid block");
        block.header()
    };
    let headers = (0..blocks).map(mine).collect();
    (chain, headers)
}

fn serve(chain: Chain) -> LocalNode {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    LocalNode::start_with(chain, any_port, LocalNode::default_config()).expect("a local node")
}

fn tips_of_node(node: &RealNode) -> BTreeSet<Tip> {
    let tips = node.rpc("getchaintips", json!([]));
    let number = |tip: &Value, name: &str| tip[name].as_u64().expect("a number") as u32;
    let tips = tips.as_array().expect("a list of tips").iter();
    tips.map(|tip| {
        let (height, branch_len) = (number(tip, "height"), number(tip, "branchlen"));
        (height, hash(&tip["hash"]), branch_len)
    })
    .collect()
}

fn tips_of_chain(chain: &HeaderChain) -> BTreeSet<Tip> {
    let tip = |tip: ChainTip| (tip.height, tip.hash, tip.branch_len);
    chain.tips().into_iter().map(tip).collect()
}

fn tips_of_manager(manager: &Manager) -> BTreeSet<Tip> {
    manager.with_chain(tips_of_chain).expect("a followed chain")
}

fn best_tip(tips: &BTreeSet<Tip>) -> (u32, BlockHash) {
    let (height, hash, _) = *tips.iter().find(|tip| tip.2 == 0).expect("an active tip");
    (height, hash)
}

/// Waits until the manager has the same tips as the node.
#[track_caller]
fn wait_for_tips_of_node(manager: &Manager, node: &RealNode) {
    node.wait_until("the manager has the tips of the node", LONG, || {
        tips_of_manager(manager) == tips_of_node(node)
    });
    let best = best_tip(&tips_of_node(node));
    assert_eq!(manager.sync_headers(3 * SOON), Ok(best));
    assert_eq!(best.1, tip(node));
}

/// Two branches of different length from genesis, in both orders.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_and_manager_prefer_longer_branch() {
    let branches = [mine_chain(300, 1), mine_chain(1_000, 2)];
    let longest = branches[1].1[999].hash();
    for order in [[0, 1], [1, 0]] {
        let node = RealNode::start(&[]);
        let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
        let from_genesis = HeaderChain::new(Network::Regtest);
        manager.follow_chain(from_genesis).unwrap();
        manager.start_fixed([""; 0]).unwrap();
        let mut chain = HeaderChain::new(Network::Regtest);
        let mut servers = Vec::new();
        for branch in order {
            let (blocks, headers) = &branches[branch];
            let server = serve(blocks.clone());
            node.add_node_onetry(server.address());
            manager.connect(server.address()).unwrap();
            chain.extend(headers, now()).unwrap();
            servers.push(server);
            let expected = tips_of_chain(&chain);
            node.wait_until("the node has the tips", LONG, || {
                tips_of_node(&node) == expected && tip(&node) == chain.tip().1
            });
            wait_for_tips_of_node(&manager, &node);
        }
        assert_eq!(chain.tip(), (1_000, longest));
        assert_eq!(tips_of_chain(&chain).len(), 2);
        assert_good_standing(&node);
    }
}

/// Branches that fork from each other, in an order in which the active chain changes often.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn tips_of_block_tree_match_node() {
    let node = RealNode::start(&[]);
    let now = now();
    let mut blocks = Chain::new();
    let mut chain = HeaderChain::new(Network::Regtest);
    let mut known = vec![chain.tip().1];
    let mut reorganizations = 0;
    let mut random = SeededRandom::new(1);
    for step in 0..60 {
        // One of the latest blocks, so that branches compete with each other.
        let back = random.below(known.len().min(12));
        let mut parent = known[known.len() - 1 - back];
        let count = 1 + random.below(5);
        let mut branch: Vec<Block> = Vec::new();
        for _ in 0..count {
            let block = blocks.template_on(&parent, now, step).unwrap().mine();
            blocks.accept(&block, now).unwrap();
            parent = block.hash();
            known.push(parent);
            branch.push(block);
        }
        let params = branch
            .iter()
            .map(|block| json!([hex::encode(block.bytes())]));
        node.rpc_batch("submitblock", params);
        let headers: Vec<BlockHeader> = branch.iter().map(Block::header).collect();
        let before = chain.tip().1;
        chain.extend(&headers, now).unwrap();
        reorganizations += u32::from(!chain.is_active(&before));
        assert_eq!(tips_of_chain(&chain), tips_of_node(&node), "step {step}");
        assert_eq!(chain.tip().1, tip(&node), "step {step}");
    }
    assert!(reorganizations > 5, "{reorganizations} reorganizations");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn manager_follows_deep_reorganizations_of_node() {
    let node = RealNode::start(&[]);
    let mined = node.generate(2_600);
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    let updates = manager.subscribe_blocks().unwrap();
    manager.start_fixed([node.address()]).unwrap();
    wait_for_tips_of_node(&manager, &node);

    let first_of_old = &mined[2_300];
    node.rpc("invalidateblock", json!([first_of_old]));
    let others = node.rpc("generatetoaddress", json!([301, OTHER_ADDRESS]));
    wait_for_tips_of_node(&manager, &node);
    assert_eq!(manager.with_chain(|chain| chain.tip().0), Some(2_601));

    // The node is on the old branch again; the manager follows when that has more work.
    node.rpc("reconsiderblock", json!([first_of_old]));
    node.rpc("invalidateblock", json!([others[0]]));
    assert_eq!(node.best_height(), 2_600);
    node.generate(2);
    wait_for_tips_of_node(&manager, &node);

    let disconnected: Vec<usize> = updates
        .try_iter()
        .map(Result::unwrap)
        .map(|update| update.disconnected.len())
        .filter(|count| *count > 0)
        .collect();
    assert_eq!(disconnected, [300, 301]);
    assert_good_standing(&node);
}
