//! Rules of the real node. `tests/local_node/node_rules.rs` checks them at the local node.

use test_support::node_rules;
use test_support::real_node::RealNode;

fn node() -> RealNode {
    RealNode::start(&[])
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn headers_announcements_need_exchanged_headers() {
    node_rules::headers_announcements_need_exchanged_headers(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn inv_announcements_need_no_request() {
    node_rules::inv_announcements_need_no_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn announcement_form_follows_requests() {
    node_rules::announcement_form_follows_requests(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn getblocks_lists_blocks_after_fork() {
    node_rules::getblocks_lists_blocks_after_fork(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn getblocks_continues_after_500_blocks() {
    node_rules::getblocks_continues_after_500_blocks(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn compact_blocks_are_sent_on_request() {
    node_rules::compact_blocks_are_sent_on_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn block_transactions_are_sent_on_request() {
    node_rules::block_transactions_are_sent_on_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn gethdrsen_is_answered_with_coinbases() {
    node_rules::gethdrsen_is_answered_with_coinbases(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn enriched_headers_need_protoconf() {
    node_rules::enriched_headers_need_protoconf(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn mempool_request_closes_connection() {
    node_rules::mempool_request_closes_connection(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn filtered_blocks_are_sent_without_filter() {
    node_rules::filtered_blocks_are_sent_without_filter(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_transactions_are_rejected() {
    node_rules::invalid_transactions_are_rejected(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_blocks_are_rejected() {
    node_rules::invalid_blocks_are_rejected(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_headers_are_scored() {
    node_rules::invalid_headers_are_scored(&node());
}
