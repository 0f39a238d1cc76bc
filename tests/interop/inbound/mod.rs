//! chain-gang dials bsv-p2p.

mod accepted;
mod local_node;
mod node_services;

use std::net::Ipv4Addr;

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{BlockHash, Txid};
use chain_gang::messages::{BlockLocator, Message, PROTOCOL_VERSION};
use chain_gang::util::Hash256;
use test_support::raw_peer::DEADLINE;

use crate::dialer::Dialer;
use crate::served_chain::their_hash;

fn local_node(chain: Chain) -> LocalNode {
    let any_port = (Ipv4Addr::LOCALHOST, 0).into();
    LocalNode::start_with(chain, any_port, LocalNode::default_config()).unwrap()
}

/// Returns a dialer that has connected to a node.
#[track_caller]
fn dialer_of(node: &LocalNode) -> Dialer {
    let dialer = Dialer::dial(node.address());
    dialer.wait_connected();
    assert!(node.wait_for_peers(1, DEADLINE));
    dialer
}

/// Returns the transaction that pays the reward of the last block.
fn reward_of_tip(node: &LocalNode) -> Txid {
    let block = node.block(node.tip()).unwrap();
    block.transactions().next().unwrap().txid()
}

fn locator(hashes: &[BlockHash], stop: Hash256) -> BlockLocator {
    BlockLocator {
        version: PROTOCOL_VERSION,
        block_locator_hashes: hashes.iter().copied().map(their_hash).collect(),
        hash_stop: stop,
    }
}

/// Returns the hashes of the headers that a node answers a request with.
#[track_caller]
fn request_headers(dialer: &Dialer, request: BlockLocator) -> Vec<Hash256> {
    dialer.send(Message::GetHeaders(request));
    dialer.expect(|message| match message {
        Message::Headers(headers) => Some(headers.headers.iter().map(|one| one.hash()).collect()),
        _ => None,
    })
}

/// Returns the hashes of a node's active chain.
fn hashes(node: &LocalNode, heights: std::ops::RangeInclusive<u32>) -> Vec<Hash256> {
    heights
        .map(|height| their_hash(node.block_hash(height).unwrap()))
        .collect()
}
