//! The local node follows the rules of the real node. `tests/real_node/node_rules.rs` checks them
//! there.

use bsv_p2p::local_node::LocalNode;
use test_support::node_rules;

fn node() -> LocalNode {
    LocalNode::start().unwrap()
}

#[test]
fn headers_announcements_need_exchanged_headers() {
    node_rules::headers_announcements_need_exchanged_headers(&node());
}

#[test]
fn inv_announcements_need_no_request() {
    node_rules::inv_announcements_need_no_request(&node());
}

#[test]
fn announcement_form_follows_requests() {
    node_rules::announcement_form_follows_requests(&node());
}

#[test]
fn getblocks_lists_blocks_after_fork() {
    node_rules::getblocks_lists_blocks_after_fork(&node());
}

#[test]
fn getblocks_continues_after_500_blocks() {
    node_rules::getblocks_continues_after_500_blocks(&node());
}

#[test]
fn compact_blocks_are_sent_on_request() {
    node_rules::compact_blocks_are_sent_on_request(&node());
}

#[test]
fn block_transactions_are_sent_on_request() {
    node_rules::block_transactions_are_sent_on_request(&node());
}

#[test]
fn gethdrsen_is_answered_with_coinbases() {
    node_rules::gethdrsen_is_answered_with_coinbases(&node());
}

#[test]
fn enriched_headers_need_protoconf() {
    node_rules::enriched_headers_need_protoconf(&node());
}

#[test]
fn mempool_request_closes_connection() {
    node_rules::mempool_request_closes_connection(&node());
}

#[test]
fn filtered_blocks_are_sent_without_filter() {
    node_rules::filtered_blocks_are_sent_without_filter(&node());
}

#[test]
fn invalid_transactions_are_rejected() {
    node_rules::invalid_transactions_are_rejected(&node());
}

#[test]
fn invalid_blocks_are_rejected() {
    node_rules::invalid_blocks_are_rejected(&node());
}

#[test]
fn invalid_headers_are_scored() {
    node_rules::invalid_headers_are_scored(&node());
}
