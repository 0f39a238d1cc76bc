//! Tests against a real Bitcoin SV node on regtest.
//!
//! They need the environment variable `BSV_NODE` and are ignored by default:
//! `BSV_NODE=$(.ci/fetch-real-node target/node) cargo test --test real_node -- --include-ignored`.

mod announcements;
mod branches;
mod chain;
mod chain_rules;
mod compact_blocks;
mod following;
mod handshake;
mod liveness;
mod local_node;
mod manager;
mod manners;
mod matrix;
mod mining;
mod node_rules;
mod objects;
mod peer;
mod requests;
mod restarts;
mod streams;
mod transactions;

use test_support::real_node::RealNode;

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_keeps_its_chain_after_restart() {
    let node = RealNode::start(&[]);
    assert_eq!(node.generate(3).len(), 3);
    assert_eq!(node.best_height(), 3);
    let address = node.address();
    node.restart();
    assert_eq!(node.best_height(), 3);
    assert_eq!(node.address(), address);
}
