//! Rules of the real node. `tests/local_node/node_rules.rs` checks them at the local node.

use std::net::SocketAddr;

use bsv_p2p::wire::BlockHash;
use serde_json::json;

use crate::peer::hash;
use crate::rules::{self, MiningNode};
use crate::support::RealNode;

impl MiningNode for RealNode {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn mine(&self, blocks: usize) -> Vec<BlockHash> {
        let hashes = self.generate(blocks as u32);
        hashes.iter().map(|text| hash(&json!(text))).collect()
    }
}

fn node() -> RealNode {
    RealNode::start(&[])
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn headers_announcements_need_exchanged_headers() {
    rules::headers_announcements_need_exchanged_headers(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn inv_announcements_need_no_request() {
    rules::inv_announcements_need_no_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn announcement_form_follows_requests() {
    rules::announcement_form_follows_requests(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn getblocks_lists_blocks_after_fork() {
    rules::getblocks_lists_blocks_after_fork(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn getblocks_continues_after_500_blocks() {
    rules::getblocks_continues_after_500_blocks(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn compact_blocks_are_sent_on_request() {
    rules::compact_blocks_are_sent_on_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn block_transactions_are_sent_on_request() {
    rules::block_transactions_are_sent_on_request(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn gethdrsen_is_answered_with_coinbases() {
    rules::gethdrsen_is_answered_with_coinbases(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn enriched_headers_need_protoconf() {
    rules::enriched_headers_need_protoconf(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn mempool_request_closes_connection() {
    rules::mempool_request_closes_connection(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn filtered_blocks_are_sent_without_filter() {
    rules::filtered_blocks_are_sent_without_filter(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_transactions_are_rejected() {
    rules::invalid_transactions_are_rejected(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_blocks_are_rejected() {
    rules::invalid_blocks_are_rejected(&node());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_headers_are_scored() {
    rules::invalid_headers_are_scored(&node());
}
