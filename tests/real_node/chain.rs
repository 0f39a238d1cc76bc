//! Headers from a real node: the choice by locator, and agreement with its chain.

use bsv_p2p::wire::{BlockHash, BlockHeader, MAX_HEADERS};
use bsv_p2p::{Connection, Network};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::peer::{SOON, UNKNOWN, assert_good_standing, config, dial, genesis};

/// Requests all headers of the node after `locator`.
fn headers(connection: &mut Connection, locator: &[BlockHash]) -> Vec<BlockHeader> {
    let headers = connection.headers(locator, BlockHash::ZERO, SOON);
    headers.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn headers_to_the_tip_match_the_node() {
    let node = RealNode::start(&[]);
    let hashes = node.generate(2_500);
    let mut connection = dial(&node, &config());

    let mut chain: Vec<BlockHeader> = Vec::new();
    let mut steps = Vec::new();
    loop {
        let last = chain.last().map_or(genesis(), BlockHeader::hash);
        let more = headers(&mut connection, &[last]);
        steps.push(more.len());
        if more.is_empty() {
            break;
        }
        chain.extend(more);
    }
    assert_eq!(steps, [MAX_HEADERS, 500, 0]);

    let raw = node.rpc_batch(
        "getblockheader",
        hashes.iter().map(|hash| json!([hash, false])),
    );
    let mut previous = genesis();
    for ((header, hash), raw) in chain.iter().zip(&hashes).zip(raw) {
        assert_eq!(header.hash().to_string(), *hash);
        assert_eq!(Value::from(hex::encode(header.to_bytes())), raw);
        assert_eq!(header.previous, previous);
        assert_eq!(header.check_proof_of_work(&Network::Regtest), Ok(()));
        previous = header.hash();
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn first_known_locator_block_decides_where_headers_start() {
    let node = RealNode::start(&[]);
    let hashes = node.generate(10);
    let hashes: Vec<BlockHash> = hashes.iter().map(|hash| hash.parse().unwrap()).collect();
    let tip = hashes[9];
    let mut connection = dial(&node, &config());
    let mut found = |locator: &[BlockHash]| -> Vec<BlockHash> {
        let headers = headers(&mut connection, locator);
        headers.iter().map(BlockHeader::hash).collect()
    };
    assert_eq!(found(&[hashes[3]]), hashes[4..]);
    assert_eq!(found(&[UNKNOWN, hashes[3], genesis()]), hashes[4..]);
    assert_eq!(found(&[tip]), []);
    // The locator is unknown: the headers start after genesis.
    assert_eq!(found(&[UNKNOWN]), hashes);
    assert_good_standing(&node);
}

/// Without a locator, the header of the stop hash is the only one.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn headers_end_at_the_stop_hash() {
    let node = RealNode::start(&[]);
    let hashes = node.generate(10);
    let hashes: Vec<BlockHash> = hashes.iter().map(|hash| hash.parse().unwrap()).collect();
    let mut connection = dial(&node, &config());
    let mut found = |locator: &[BlockHash], stop| -> Vec<BlockHash> {
        let headers = connection.headers(locator, stop, SOON);
        headers
            .expect("headers")
            .iter()
            .map(BlockHeader::hash)
            .collect()
    };
    assert_eq!(found(&[hashes[3]], hashes[6]), hashes[4..=6]);
    assert_eq!(found(&[hashes[3]], UNKNOWN), hashes[4..]);
    assert_eq!(found(&[], hashes[6]), [hashes[6]]);
    assert_eq!(found(&[], genesis()), [genesis()]);
    assert_good_standing(&node);
}
