//! `follow`.

use std::fs;
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, BlockHeader, CompactTarget};
use serde_json::Value;
use test_support::header_server::{Answers, HeaderServer, HeaderServerOptions};

use crate::mining::{bytes_of, extended, genesis, mined_on, mined_with};
use crate::servers;
use crate::tool::{DEADLINE, Tool, integer, object, run, text};

/// Returns a node with three blocks, and its address.
fn node() -> (LocalNode, String) {
    let node = LocalNode::start().unwrap();
    node.mine(3).unwrap();
    let address = node.address().to_string();
    (node, address)
}

/// Follows regtest with these arguments, as JSON.
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
    assert_eq!(integer(block, "size_bytes"), expected.bytes().len() as i64);
    assert_eq!(integer(block, "transactions"), 1);
    assert_eq!(block["error"], Value::Null);
}

#[test]
fn follow_reports_each_new_block_once() {
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
        assert!(names.contains(&text(&block, "peer").to_owned()));
    }
    let ended = follow.finish();
    ended.assert_success();
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn follow_text_has_one_line_per_block() {
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
    let end = format!(" UTC, {bytes} bytes, 1 transaction, announced by {address}");
    assert!(line.ends_with(&end), "{line}");
    follow.interrupt();
    follow.finish().assert_success();
}

#[test]
fn follow_reports_reorganization_with_both_branches() {
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
    assert_eq!(text(&told, "event"), "Reorganization");
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
fn follow_timeout_fails_only_with_requested_blocks() {
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
    ended.assert_failure(1, "0 of 1 block arrived within 3s");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn follow_without_usable_peer_fails() {
    let (_closed, closed) = servers::closed_port();
    let common = ["--network", "regtest", "--timeout", "1", "--peer"];
    let ended = run("follow", &[&common[..], &[&closed]].concat());
    ended.assert_failure(1, "no peer was reached");
    ended.assert_failure(1, &closed);
    assert!(ended.lines.is_empty(), "{ended:#?}");
    let ended = run("follow", &[&common[..], &["127.0.0.1:port"]].concat());
    ended.assert_failure(1, "expected a port from 0 to 65535, got \"port\"");
}

/// Returns a header server of each hostile kind, which serves the same branch, with its name.
///
/// The trickling server has more headers than the others, so it never answers with an empty list,
/// which would confirm the branch while the honest peer is not connected yet.
fn hostile_servers() -> Vec<(&'static str, HeaderServer)> {
    let long_branch = &extended(&[genesis()], 26, 1)[..];
    let branch = &long_branch[..20];
    let parent = &branch[19];
    let with = |last: BlockHeader| [branch, &[last]].concat();
    let easy = mined_with(parent, |header| header.bits = CompactTarget(0x207f_fffe));
    let unlinked = mined_with(parent, |header| header.previous = BlockHash([7; 32]));
    let mut without_work = mined_on(parent, 1);
    while without_work.check_proof_of_work(&Network::Regtest).is_ok() {
        without_work.nonce += 1;
    }
    let server = |headers: &[BlockHeader], answers| {
        let options = HeaderServerOptions {
            claimed_height: 1_000_000,
            ..HeaderServerOptions::new(headers, answers)
        };
        options.listen()
    };
    let trickle = Answers::Trickle(Duration::from_secs(1));
    vec![
        ("wrong bits", server(&with(easy), Answers::Node)),
        (
            "no proof of work",
            server(&with(without_work), Answers::Node),
        ),
        ("not linked", server(&with(unlinked), Answers::Node)),
        ("trickle", server(long_branch, trickle)),
        ("silent", server(branch, Answers::Never)),
    ]
}

#[test]
fn honest_chain_is_followed_among_hostile_peers() {
    let (node, address) = node();
    // More blocks than the valid headers of each hostile server that sends all it has.
    node.mine(27).unwrap();
    let hostile = hostile_servers();
    let mut arguments = vec!["--blocks", "1", "--peer", &address];
    let names: Vec<_> = hostile
        .iter()
        .map(|one| one.1.address.to_string())
        .collect();
    arguments.extend(names.iter().flat_map(|name| ["--peer", name]));
    let follow = follow(&arguments);
    let synced = event(&follow, "Synced");
    assert_eq!(text(&synced, "tip"), node.tip().to_string());
    assert!(node.wait_for_peers(1, DEADLINE));
    let hash = node.mine(1).unwrap()[0];
    assert_block(&event(&follow, "Block"), hash, 31, &node);
    follow.finish().assert_success();
}

#[test]
fn hostile_peer_alone_is_a_failure() {
    let rules = [
        (
            "wrong bits",
            "is invalid: height 20: expected bits 207fffff, got 207ffffe",
        ),
        ("no proof of work", "is above the target of bits 207fffff"),
        ("not linked", "got 0707"),
        ("trickle", "timed out after 4s"),
        ("silent", "timed out after 4s"),
    ];
    let follows: Vec<_> = hostile_servers()
        .into_iter()
        .map(|(name, server)| {
            let address = server.address.to_string();
            let arguments = ["--timeout", "4", "--peer", &address];
            (name, follow(&arguments), server)
        })
        .collect();
    for ((name, follow, _server), (kind, rule)) in follows.into_iter().zip(rules) {
        assert_eq!(name, kind);
        let ended = follow.finish();
        ended.assert_failure(1, rule);
        assert!(ended.lines.is_empty(), "{name}: {ended:#?}");
    }
}

#[test]
fn every_honest_kind_of_server_is_followed() {
    let chain = extended(&[genesis()], 2_500, 0);
    let tip = chain[2_500].hash();
    for answers in [
        Answers::Node,
        Answers::AtMost(500),
        Answers::Inclusive,
        Answers::NothingAtTip,
    ] {
        let server = HeaderServerOptions {
            claimed_height: 1_000_000,
            ..HeaderServerOptions::new(&chain, answers)
        };
        let server = server.listen();
        let follow = follow(&["--peer", &server.address.to_string()]);
        let synced = object(&follow.line());
        assert_eq!(text(&synced, "tip"), tip.to_string(), "{answers:?}");
        follow.interrupt();
        follow.finish().assert_success();
    }
}

#[test]
fn second_run_continues_from_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 8_100, 0);
    let mut requests = Vec::new();
    for length in [8_001, 8_101] {
        let server = HeaderServerOptions::new(&chain[..length], Answers::AtMost(500)).listen();
        let follow = follow(&["--headers", path, "--peer", &server.address.to_string()]);
        let synced = object(&follow.line());
        assert_eq!(integer(&synced, "height"), length as i64 - 1);
        follow.interrupt();
        follow.finish().assert_success();
        requests.push(server.requests());
        assert!(fs::read(&file).unwrap() == bytes_of(&chain[..length]));
    }
    // 16 answers of 500 headers, then one of 100. Both runs also request at the tip.
    assert!(requests[0] > 16 && requests[1] < 8, "{requests:?}");
}

#[test]
fn damaged_header_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 30, 0);
    let whole = bytes_of(&chain);
    fs::write(&file, &whole[..80 * 20 + 5]).unwrap();
    let server = HeaderServerOptions::new(&chain, Answers::Node).listen();
    let follow = follow(&["--headers", path, "--peer", &server.address.to_string()]);
    let failed = event(&follow, "HeaderStoreFailed");
    assert!(
        text(&failed, "reason").contains("5 bytes from height 20 on"),
        "{failed}"
    );
    assert_eq!(integer(&event(&follow, "Synced"), "height"), 30);
    follow.interrupt();
    // The event is not repeated by a log record.
    follow.finish().assert_success();
    assert!(fs::read(&file).unwrap() == whole);
}

#[test]
fn header_file_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let bytes = BlockHeader::genesis(&Network::Mainnet).to_bytes();
    fs::write(&file, bytes).unwrap();
    let (_node, address) = node();
    let ended = follow(&["--headers", path, "--peer", &address]).finish();
    ended.assert_failure(1, path);
    ended.assert_failure(1, "of mainnet, expected ");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn follow_uses_nodes_of_seed() {
    let (node, address) = node();
    let seed = servers::seed(node.address());
    let seeds = seed.each_ref().map(String::as_str);
    let follow = follow(&[&seeds[..], &["--blocks", "1"]].concat());
    event(&follow, "Synced");
    assert!(node.wait_for_peers(1, DEADLINE));
    let hash = node.mine(1).unwrap()[0];
    let block = object(&follow.line());
    assert_block(&block, hash, 4, &node);
    assert_eq!(text(&block, "peer"), address);
    follow.finish().assert_success();
}
