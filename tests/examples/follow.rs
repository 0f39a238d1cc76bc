//! `follow`.

use std::time::{Duration, Instant};

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::BlockHash;
use serde_json::Value;

use crate::servers;
use crate::tool::{DEADLINE, Tool, integer, object, run, text};

/// A node with three blocks, and its address.
fn node() -> (LocalNode, String) {
    let node = LocalNode::start().unwrap();
    node.mine(3).unwrap();
    let address = node.address().to_string();
    (node, address)
}

/// Follows regtest with this, as JSON.
fn follow(arguments: &[&str]) -> Tool {
    let common = ["--network", "regtest", "--json"];
    Tool::start("follow", &[&common, arguments].concat())
}

#[track_caller]
fn event(follow: &Tool, name: &'static str) -> Value {
    follow.object(|_| (), move |object| object["event"] == name)
}

#[track_caller]
fn assert_block(block: &Value, hash: BlockHash, height: i64, node: &LocalNode) {
    assert_eq!(text(block, "event"), "Block");
    assert_eq!(text(block, "hash"), hash.to_string());
    assert_eq!(integer(block, "height"), height);
    let expected = node.block(hash).unwrap();
    assert_eq!(integer(block, "time"), i64::from(expected.header().time));
    assert_eq!(integer(block, "bytes"), expected.bytes().len() as i64);
    assert_eq!(integer(block, "transactions"), 1);
    assert_eq!(block["error"], Value::Null);
}

#[test]
fn each_new_block_is_told_once_whoever_announces_it() {
    let (node, address) = node();
    let second = LocalNode::start().unwrap();
    second.connect(node.address()).unwrap();
    assert!(second.wait_for_tip(node.tip(), DEADLINE));
    let names = [address, second.address().to_string()];
    let peers = ["--peer", &names[0], "--peer", &names[1]];
    let follow = follow(&[&peers[..], &["--blocks", "3"]].concat());
    let synced = event(&follow, "Synced");
    assert_eq!(integer(&synced, "height"), 3);
    assert_eq!(text(&synced, "tip"), node.tip().to_string());
    assert!(node.wait_for_peers(2, DEADLINE) && second.wait_for_peers(2, DEADLINE));
    for height in 4..=6 {
        let hash = node.mine(1).unwrap()[0];
        let block = object(&follow.line());
        assert_block(&block, hash, height, &node);
        assert!(names.contains(&text(&block, "announced_by").to_owned()));
    }
    let ended = follow.finish();
    ended.assert_success();
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn as_text_a_block_is_a_line() {
    let (node, address) = node();
    let arguments = ["--network", "regtest", "--peer", &address];
    let follow = Tool::start("follow", &arguments);
    assert_eq!(follow.line(), format!("height 3, tip {}", node.tip()));
    assert!(node.wait_for_peers(1, DEADLINE));
    let hash = node.mine(1).unwrap()[0];
    let bytes = node.block(hash).unwrap().bytes().len();
    let line = follow.line();
    let begin = format!("block {hash}: height 4, 20");
    assert!(line.starts_with(&begin), "{line}");
    let end = format!(" UTC, {bytes} bytes, 1 transactions, announced by {address}");
    assert!(line.ends_with(&end), "{line}");
    follow.interrupt();
    follow.finish().assert_success();
}

#[test]
fn a_reorganisation_is_told_with_the_blocks_that_are_gone_and_those_in_their_place() {
    let (node, address) = node();
    let longer = LocalNode::start().unwrap();
    longer.mine(5).unwrap();
    let follow = follow(&["--peer", &address]);
    event(&follow, "Synced");
    assert!(node.wait_for_peers(1, DEADLINE));
    let mut gone: Vec<_> = (1..=3)
        .filter_map(|height| node.block_hash(height))
        .collect();
    gone.reverse();
    node.connect(longer.address()).unwrap();
    let told = object(&follow.line());
    assert_eq!(text(&told, "event"), "Reorganisation");
    assert_eq!(integer(&told, "height"), 1);
    let disconnected = told["disconnected"].as_array().unwrap();
    let disconnected: Vec<_> = disconnected.iter().filter_map(Value::as_str).collect();
    assert_eq!(
        disconnected,
        gone.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    for height in 1..=5 {
        let block = event(&follow, "Block");
        let hash = longer.block_hash(height).unwrap();
        assert_block(&block, hash, height.into(), &longer);
    }
}

#[test]
fn the_time_holds_and_too_few_blocks_are_a_failure_only_if_some_were_wanted() {
    let (_node, address) = node();
    let common = [
        "--network",
        "regtest",
        "--json",
        "--peer",
        &address,
        "--timeout",
        "3",
    ];
    let begin = Instant::now();
    let ended = run("follow", &common);
    ended.assert_success();
    assert_eq!(ended.lines.len(), 1, "{ended:#?}");
    let ended = run("follow", &[&common[..], &["--blocks", "1"]].concat());
    ended.assert_failure(1, "0 of 1 blocks have come within 3s");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn peers_that_are_not_there_or_have_no_chain_are_a_failure() {
    let (_closed, closed) = servers::closed_port();
    let common = ["--network", "regtest", "--timeout", "1", "--peer"];
    let ended = run("follow", &[&common[..], &[&closed]].concat());
    ended.assert_failure(1, "no peer was reached");
    ended.assert_failure(1, &closed);
    assert!(ended.lines.is_empty(), "{ended:#?}");
    let ended = run("follow", &[&common[..], &["127.0.0.1:port"]].concat());
    ended.assert_failure(1, "could not be resolved");
}

#[test]
fn headers_without_proof_of_work_are_not_followed() {
    let mut chain = Chain::new();
    let headers = (0..5).map(|_| {
        let block = chain.template(1_700_000_000, 0).mine();
        chain.accept(&block, 1_700_000_000).unwrap();
        block.header()
    });
    let mut headers: Vec<_> = headers.collect();
    while headers[4]
        .check_proof_of_work(bsv_p2p::Network::Regtest)
        .is_ok()
    {
        headers[4].nonce += 1;
    }
    let liar = servers::repeated_headers(headers);
    let (node, address) = node();
    // More than the four valid headers of the liar.
    node.mine(3).unwrap();
    let follow = follow(&["--peer", &liar, "--peer", &address, "--blocks", "1"]);
    let synced = event(&follow, "Synced");
    assert_eq!(text(&synced, "tip"), node.tip().to_string());
    assert!(node.wait_for_peers(1, DEADLINE));
    let hash = node.mine(1).unwrap()[0];
    assert_block(&object(&follow.line()), hash, 7, &node);
    follow.finish().assert_success();
}

#[test]
fn the_nodes_of_a_seed_are_followed() {
    let (node, address) = node();
    let seed = servers::seed(node.address());
    let seeds = seed.each_ref().map(String::as_str);
    let follow = follow(&[&seeds[..], &["--blocks", "1"]].concat());
    event(&follow, "Synced");
    assert!(node.wait_for_peers(1, DEADLINE));
    let hash = node.mine(1).unwrap()[0];
    let block = object(&follow.line());
    assert_block(&block, hash, 4, &node);
    assert_eq!(text(&block, "announced_by"), address);
    follow.finish().assert_success();
}
