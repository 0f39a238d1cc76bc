//! The tools against scripted Teranodes.

use std::net::SocketAddr;

use bsv_p2p::wire::{BlockHash, Tx};
use serde_json::Value;
use test_support::payment::payment;
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig};

use crate::tool::{Tool, integer, object, run, text};

const REGTEST: [&str; 2] = ["--network", "regtest"];

/// Returns one Teranode of each version, with a chain of blocks.
fn teranodes() -> [Teranode; 3] {
    [
        TeranodeConfig::v2(),
        TeranodeConfig::v3(JoinOrder::VerackFirst),
        TeranodeConfig::v3(JoinOrder::AckFirst),
    ]
    .map(|config| Teranode::start(config.with_blocks(5)))
}

/// Starts a tool on regtest.
fn start(tool: &str, arguments: &[&str]) -> Tool {
    Tool::start(tool, &[arguments, &REGTEST].concat())
}

#[track_caller]
fn event(tool: &Tool, name: &'static str) -> Value {
    tool.object(|_| (), move |object| object["event"] == name)
}

/// Calls `test` with each Teranode and its address.
fn for_each(mut test: impl FnMut(&Teranode, &str)) {
    for teranode in teranodes() {
        test(&teranode, &teranode.address().to_string());
        teranode.assert_no_punishment();
    }
}

#[test]
fn ping_shows_teranode() {
    for_each(|_, address| {
        let arguments = [address, "--network", "regtest", "--count", "2", "--json"];
        let ended = run("ping", &arguments);
        let object = object(&ended.assert_success().lines[0]);
        assert!(text(&object, "user_agent").starts_with("/teranode-legacy-p2p:"));
        assert_eq!(integer(&object, "height"), 5);
    });
}

#[test]
fn headers_downloads_chain() {
    for_each(|teranode, address| {
        let ended = run("headers", &[address, "--network", "regtest"]);
        let tip = format!("tip {}", teranode.tip().1);
        assert_eq!(ended.assert_success().lines, ["height 5", &tip]);
    });
}

#[test]
fn block_is_downloaded_or_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block");
    let out = path.to_str().unwrap();
    for_each(|teranode, address| {
        let download = |hash: BlockHash| {
            let hash = hash.to_string();
            start("block", &[&hash, "--out", out, "--peer", address]).finish()
        };
        let hash = teranode.tip().1;
        download(hash).assert_success();
        let block = teranode.block(hash).unwrap();
        assert!(std::fs::read(&path).unwrap() == block.bytes()[..]);
        std::fs::remove_file(&path).unwrap();
        download(BlockHash([7; 32])).assert_status(1);
        assert!(!path.exists());
    });
}

#[test]
fn monitor_reports_messages_of_both_streams() {
    for_each(|teranode, address| {
        let monitor = start("monitor", &["--peer", address, "--json"]);
        event(&monitor, "HandshakeComplete");
        if teranode.has_streams() {
            assert_eq!(text(&event(&monitor, "StreamOpened"), "stream"), "DATA1");
        }
        teranode.wait_for_messages("sendheaders", 1);
        let hash = teranode.mine(&[]);
        let block = monitor.object(|_| (), |object| object["command"] == "block");
        assert_eq!(text(&block, "hash"), hash.to_string());
        teranode.relay(&Tx::from(&payment(1)));
        monitor.object(|_| (), |object| object["command"] == "inv");
        monitor.interrupt();
        let ended = monitor.finish();
        ended.assert_success();
        let summary = object(ended.lines.last().unwrap());
        assert_eq!(summary["peers"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn monitor_accepts_teranode() {
    for teranode in teranodes() {
        let monitor = start("monitor", &["--listen", "127.0.0.1:0", "--json"]);
        let started = event(&monitor, "ListenerStarted");
        teranode.dial(text(&started, "address").parse().unwrap());
        event(&monitor, "HandshakeComplete");
        if teranode.has_streams() {
            event(&monitor, "StreamOpened");
        }
        monitor.interrupt();
        monitor.finish().assert_success();
        teranode.assert_no_punishment();
    }
}

#[test]
fn follow_reports_announced_blocks() {
    for_each(|teranode, address| {
        let follow = start("follow", &["--peer", address, "--blocks", "2", "--json"]);
        let synced = event(&follow, "Synced");
        assert_eq!(integer(&synced, "height"), 5);
        teranode.wait_for_messages("sendheaders", 1);
        for height in 6..=7 {
            let hash = teranode.mine(&[]);
            let block = event(&follow, "Block");
            assert_eq!(text(&block, "hash"), hash.to_string());
            assert_eq!(integer(&block, "height"), height);
            assert_eq!(block["error"], Value::Null);
        }
        follow.finish().assert_success();
    });
}

#[test]
fn broadcast_reaches_teranode() {
    for_each(|teranode, address| {
        let tx = Tx::from(&payment(1));
        let ended = start("broadcast", &[&hex::encode(tx.bytes()), "--peer", address]).finish();
        ended.assert_success();
        teranode.wait_for_transaction(tx.txid());
    });
}

/// Returns a Teranode that sends two of these addresses.
fn with_addresses(config: TeranodeConfig, addresses: &[SocketAddr]) -> Teranode {
    // A node sends 23 percent of its addresses.
    let known_addresses = addresses.iter().cycle().take(9).copied().collect();
    Teranode::start(TeranodeConfig {
        known_addresses,
        ..config
    })
}

#[test]
fn crawl_visits_addresses_of_teranode() {
    let others = teranodes();
    let known = [others[0].address(), others[2].address()];
    let first = with_addresses(TeranodeConfig::v3(JoinOrder::VerackFirst), &known);
    let address = first.address().to_string();
    let arguments = [
        "--peer",
        &address,
        "--pause",
        "0",
        "--max-nodes",
        "3",
        "--json",
    ];
    let ended = start("crawl", &[&arguments[..], &["--patience", "2"]].concat()).finish();
    ended.assert_success();
    let summary = object(ended.lines.last().unwrap());
    assert_eq!(integer(&summary, "reached"), 3, "{ended:#?}");
    first.assert_no_punishment();
    others.iter().for_each(Teranode::assert_no_punishment);
}

#[test]
fn listen_serves_blocks_to_teranode() {
    for config in [
        TeranodeConfig::v2(),
        TeranodeConfig::v3(JoinOrder::VerackFirst),
        TeranodeConfig::v3(JoinOrder::AckFirst),
    ] {
        let teranode = Teranode::start(config);
        // More than one response to `getblocks` contains.
        let listen = Tool::start("listen", &["127.0.0.1:0", "--json", "--blocks", "1203"]);
        let started = event(&listen, "ListenerStarted");
        teranode.dial(text(&started, "address").parse().unwrap());
        let shaken = event(&listen, "HandshakeComplete");
        assert!(text(&shaken, "user_agent").starts_with("/teranode-legacy-p2p:"));
        teranode.wait_for_height(1_203);
        listen.interrupt();
        listen.finish().assert_success();
        teranode.assert_no_punishment();
    }
}
