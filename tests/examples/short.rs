//! The short examples: `connect`, `subscribe`, `manager`, `sync_headers` and `serve`.

use std::fs;
use std::path::Path;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Connection, ConnectionConfig, Network};
use test_support::payment::payment;

use crate::tool::{DEADLINE, Tool, run};

const NAMES: [&str; 5] = ["connect", "subscribe", "manager", "sync_headers", "serve"];

#[test]
fn short_examples_stand_alone_in_forty_lines() {
    for name in NAMES {
        let file = Path::new("examples").join(name).with_extension("rs");
        let source = fs::read_to_string(&file).unwrap();
        let lines = source.lines().count();
        assert!(lines <= 40, "{name} has {lines} lines");
        for line in source.lines().filter(|line| line.starts_with("use ")) {
            let own = ["use std::", "use bsv_p2p::"];
            assert!(own.iter().any(|path| line.starts_with(path)), "{line}");
        }
        assert!(!source.contains("mod "), "{name} has modules");
    }
}

#[test]
fn short_examples_fail_without_arguments() {
    for name in NAMES {
        let ended = run(name, &[]);
        ended.assert_status(1);
        let usage = format!("usage: {name} ");
        assert!(ended.errors.contains(&usage), "{ended:#?}");
    }
}

#[test]
fn connect_prints_version_and_round_trip() {
    let node = LocalNode::start().unwrap();
    node.mine(7).unwrap();
    let ended = run("connect", &[&node.address().to_string(), "regtest"]);
    ended.assert_success();
    let [agent, version, services, height, round_trip] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(agent, "user agent /bsv-p2p:0.1.0(Bitcoin SV)/");
    assert_eq!(version, "version 70016");
    assert_eq!(services, "services NETWORK");
    assert_eq!(height, "height 7");
    assert!(round_trip.starts_with("round trip "), "{round_trip}");
}

#[test]
fn subscribe_prints_announced_transactions() {
    let node = LocalNode::start().unwrap();
    let tool = Tool::start("subscribe", &[&node.address().to_string(), "regtest"]);
    tool.line_with("connected to ");
    assert!(node.wait_for_peers(1, DEADLINE));
    for number in 1..=2 {
        let transaction = payment(number);
        node.submit(&transaction).unwrap();
        let expected = format!("transaction {}: 62 bytes", transaction.txid());
        assert_eq!(tool.line(), expected);
    }
}

#[test]
fn manager_prints_new_tips() {
    let node = LocalNode::start().unwrap();
    node.mine(2).unwrap();
    let tool = Tool::start("manager", &["regtest", &node.address().to_string()]);
    let first = tool.line_with("height 2: ");
    assert_eq!(first, format!("height 2: {}, 1 connected", node.tip()));
    node.mine(1).unwrap();
    tool.line_with(&format!("height 3: {}", node.tip()));
}

#[test]
fn sync_headers_resumes_from_file() {
    let node = LocalNode::start().unwrap();
    node.mine(5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let arguments = [
        &node.address().to_string(),
        path.to_str().unwrap(),
        "regtest",
    ];
    for (start, end) in [(0, 5), (5, 8)] {
        node.mine(end - node.height() as usize).unwrap();
        let ended = run("sync_headers", &arguments);
        ended.assert_success();
        let expected = [
            format!("resuming at height {start}"),
            format!("height {end}: {}", node.tip()),
        ];
        assert_eq!(ended.lines, expected);
        // 80 bytes each, including genesis.
        assert_eq!(fs::metadata(&path).unwrap().len(), 80 * (end as u64 + 1));
    }
}

#[test]
fn serve_answers_requests_of_inbound_peers() {
    let tool = Tool::start("serve", &["127.0.0.1:0"]);
    let line = tool.line_with("listening on ");
    let address = line.strip_prefix("listening on ").unwrap();
    let config = ConnectionConfig::new(Network::Regtest);
    let mut connection = Connection::connect(address, &config).unwrap();
    let genesis = Network::Regtest.genesis_header().hash();
    let headers = connection.headers(&[genesis], BlockHash::ZERO, DEADLINE);
    let headers = headers.unwrap();
    assert_eq!(headers.len(), 10);
    let block = connection.block(headers[9].hash(), DEADLINE).unwrap();
    assert_eq!(block.hash(), headers[9].hash());
}
