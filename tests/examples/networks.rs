//! Every tool on a network that a file defines, and ports of other networks.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::{ConnectionConfig, Network, NetworkParams};
use tempfile::TempDir;
use test_support::private_network::private_params;

use crate::broadcast::transaction;
use crate::tool::{DEADLINE, Ended, Tool, integer, object, run, text};

/// A file that defines a network, and a node of that network with five blocks.
struct PrivateNetwork {
    folder: TempDir,
    node: LocalNode,
    address: String,
}

impl PrivateNetwork {
    fn start() -> Self {
        let params = private_params("lab", 1);
        let folder = tempfile::tempdir().unwrap();
        let json = serde_json::to_vec_pretty(&params).unwrap();
        fs::write(folder.path().join("network.json"), json).unwrap();
        let config = ConnectionConfig {
            network: Network::custom(params).unwrap(),
            ..LocalNode::default_config()
        };
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let node = LocalNode::start_at(any_port, config).unwrap();
        node.mine(5).unwrap();
        let address = node.address().to_string();
        Self {
            folder,
            node,
            address,
        }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.into_os_string().into_string().unwrap()
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Tool {
        let file = self.path("network.json");
        Tool::start(name, &[arguments, &["--network", &file]].concat())
    }

    #[track_caller]
    fn run(&self, name: &str, arguments: &[&str]) -> Ended {
        let ended = self.tool(name, arguments).finish();
        ended.assert_success();
        ended
    }
}

#[test]
fn ping_reaches_private_network() {
    let network = PrivateNetwork::start();
    let ended = network.run("ping", &[&network.address, "--count", "1", "--json"]);
    assert_eq!(integer(&object(&ended.lines[0]), "height"), 5);
    // Regtest has another magic.
    let ended = run("ping", &[&network.address, "--network", "regtest"]);
    ended.assert_failure(1, &network.address);
}

#[test]
fn conform_checks_node_of_private_network() {
    let network = PrivateNetwork::start();
    let rules = ["ping-nonce", "getheaders-from-genesis", "getdata-block"];
    let rules = rules.map(|rule| ["--rule", rule]).concat();
    let ended = network.run("conform", &[&[&network.address[..]], &rules[..]].concat());
    let summary = ended.lines.last().unwrap();
    assert_eq!(summary, "pass 3, different 0, fail 0, skipped 0");
}

#[test]
fn headers_of_private_network_are_verified() {
    let network = PrivateNetwork::start();
    let (out, file) = (network.path("out"), network.path("headers"));
    let ended = network.run("headers", &[&network.address, "--out", &out]);
    let expected = ["height 5".to_owned(), format!("tip {}", network.node.tip())];
    assert_eq!(ended.lines, expected);
    let kept = [&network.address[..], "--headers", &file];
    network.tool("headers", &kept).finish().assert_status(0);
    let genesis = private_params("lab", 1).genesis_header.to_bytes();
    for path in [out, file] {
        let written = fs::read(path).unwrap();
        assert_eq!((written.len(), &written[..80]), (6 * 80, &genesis[..]));
    }
}

#[test]
fn block_of_private_network_is_downloaded() {
    let network = PrivateNetwork::start();
    let (out, tip) = (network.path("block"), network.node.tip());
    let hash = tip.to_string();
    network.run("block", &[&hash, "--peer", &network.address, "--out", &out]);
    let expected = network.node.block(tip).unwrap();
    assert!(fs::read(out).unwrap() == **expected.bytes());
}

#[test]
fn monitor_watches_private_network() {
    let network = PrivateNetwork::start();
    let store = network.path("peers");
    let arguments = ["--peer", &network.address, "--store", &store, "--json"];
    let monitor = network.tool("monitor", &arguments);
    let shaken = monitor.object(|_| (), |object| object["event"] == "HandshakeComplete");
    assert_eq!(integer(&shaken, "height"), 5);
    monitor.interrupt();
    monitor.finish().assert_success();
    // The file belongs to this network.
    let ended = run("monitor", &["--store", &store, "--network", "regtest"]);
    ended.assert_failure(1, "got lab 6c616201");
}

#[test]
fn follow_reports_blocks_of_private_network() {
    let network = PrivateNetwork::start();
    let arguments = ["--peer", &network.address, "--blocks", "1", "--json"];
    let follow = network.tool("follow", &arguments);
    let synced = follow.object(|_| (), |object| object["event"] == "Synced");
    assert_eq!(integer(&synced, "height"), 5);
    let tip = network.node.mine(1).unwrap()[0].to_string();
    let block = follow.object(|_| (), |object| object["event"] == "Block");
    assert_eq!(text(&block, "hash"), tip);
    follow.finish().assert_success();
}

#[test]
fn broadcast_reaches_private_network() {
    let network = PrivateNetwork::start();
    let (raw, txid) = transaction(1);
    network.run("broadcast", &[&raw, "--peer", &network.address]);
    assert!(network.node.wait_for_transaction(txid, DEADLINE));
}

#[test]
fn crawl_walks_private_network() {
    let network = PrivateNetwork::start();
    let second = LocalNode::start_at(
        (Ipv4Addr::LOCALHOST, 0).into(),
        ConnectionConfig {
            network: Network::custom(private_params("lab", 1)).unwrap(),
            ..LocalNode::default_config()
        },
    )
    .unwrap();
    network.node.connect(second.address()).unwrap();
    assert!(second.wait_for_peers(1, DEADLINE));
    let arguments = [
        "--peer",
        &network.address,
        "--max-nodes",
        "2",
        "--patience",
        "4",
        "--pause",
        "0",
        "--json",
    ];
    let ended = network.run("crawl", &arguments);
    let objects: Vec<_> = ended.lines.iter().map(|line| object(line)).collect();
    let nodes = objects.iter().filter(|object| object["event"] == "Node");
    assert_eq!(nodes.count(), 2, "{ended:#?}");
}

#[test]
fn listen_serves_private_network() {
    let network = PrivateNetwork::start();
    let listen = network.tool("listen", &["127.0.0.1:0", "--blocks", "4", "--json"]);
    let started = listen.object(|_| (), |object| object["event"] == "ListenerStarted");
    let ended = network.run("headers", &[text(&started, "address")]);
    assert_eq!(ended.lines[0], "height 4");
    listen.interrupt();
    listen.finish().assert_success();
}

#[test]
fn invalid_network_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.json");
    let name = path.to_str().unwrap();
    let fails = |text: &str| {
        let ended = run("ping", &["127.0.0.1:1", "--network", name]);
        ended.assert_failure(2, text);
        assert!(ended.errors.contains(name), "{ended:#?}");
    };
    fails("or a file");
    for (content, text) in [
        ("", "EOF"),
        ("[]", "the name of a network, or an object"),
        ("{}", "network parameter name"),
        (r#"{"name":"lab","port":0}"#, "network parameter port"),
        (r#"{"name":"lab","ports":1}"#, "unknown field `ports`"),
        (
            r#"{"name":"lab","magic":"e3e1f3e8"}"#,
            "network parameter magic",
        ),
    ] {
        fs::write(&path, content).unwrap();
        fails(text);
    }
    // A folder cannot be read.
    let ended = run(
        "ping",
        &["127.0.0.1:1", "--network", folder.path().to_str().unwrap()],
    );
    ended.assert_status(2);
}

#[test]
fn example_file_defines_a_network() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/network.json");
    let json = fs::read_to_string(path).unwrap();
    let params: NetworkParams = serde_json::from_str(&json).unwrap();
    let network: Network = serde_json::from_str(&json).unwrap();
    assert_eq!(network, Network::custom(params.clone()).unwrap());
    assert_eq!(network.name(), "lab");
    // It shows every field.
    let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut written = serde_json::to_value(&params).unwrap();
    written["genesis_header"]
        .as_object_mut()
        .unwrap()
        .remove("hash");
    assert_eq!(shown, written);
    let listen = Tool::start("listen", &["127.0.0.1:0", "--json", "--network", path]);
    listen.object(|_| (), |object| object["event"] == "ListenerStarted");
}

#[test]
fn port_of_another_network_needs_force() {
    let regtest = "127.0.0.1:18444";
    let expected = "127.0.0.1:18444: port 18444 is the default port of regtest, not of mainnet \
                    (use --force-port to connect anyway)";
    let (raw, _) = transaction(1);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("block");
    let block = ["0".repeat(63) + "1", out.to_str().unwrap().to_owned()];
    for (name, arguments) in [
        ("ping", &[regtest][..]),
        ("headers", &[regtest]),
        ("conform", &[regtest, "--i-operate-this-node"]),
        ("block", &[&block[0], "--out", &block[1], "--peer", regtest]),
        ("monitor", &["--peer", regtest]),
        ("follow", &["--peer", regtest]),
        ("broadcast", &[&raw, "--peer", regtest]),
        ("crawl", &["--peer", regtest]),
    ] {
        let ended = run(name, arguments);
        ended.assert_failure(1, expected);
        assert_eq!(ended.lines, [""; 0], "{name}");
    }
    // Nothing listens on this address of loopback, or it is not a node of mainnet.
    for (name, arguments) in [
        ("ping", &["127.0.0.78:18444", "--force-port"][..]),
        ("headers", &["127.0.0.78:18444", "--force-port"]),
        (
            "conform",
            &["127.0.0.78:18444", "--force-port", "--i-operate-this-node"],
        ),
        ("monitor", &["--peer", "127.0.0.78:18444", "--force-port"]),
        (
            "crawl",
            &[
                "--peer",
                "127.0.0.78:18444",
                "--force-port",
                "--timeout",
                "5",
            ],
        ),
    ] {
        let ended = run(name, arguments);
        ended.assert_status(1);
        assert!(!ended.errors.contains("default port"), "{ended:#?}");
    }
}
