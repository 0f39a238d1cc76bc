//! `monitor` with `--listen`, `--target`, `--max`, `--store` and `--seed`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, Inv, Inventory};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use serde_json::Value;
use tempfile::TempDir;

use crate::servers;
use crate::tool::{DEADLINE, Ended, Tool, integer, number, object, run, text};
use crate::usage::VERACK;
use test_support::with_sources::with_sources;

/// Starts a listening monitor on its own port. Returns its address, too.
fn listening(arguments: &[&str]) -> (Tool, String) {
    let arguments = [&["--listen", "127.0.0.1:0", "--json"], arguments].concat();
    let monitor = Tool::start("monitor", &arguments);
    let started = event(&monitor, "ListenerStarted");
    let address = text(&started, "address").to_owned();
    (monitor, address)
}

#[track_caller]
fn event(monitor: &Tool, name: &'static str) -> Value {
    monitor.object(|_| (), move |object| object["event"] == name)
}

/// Returns the peers of the summary at the end.
#[track_caller]
fn summary(ended: &Ended) -> Vec<Value> {
    let last = object(ended.lines.last().expect("a summary"));
    assert_eq!(last["event"], "Summary");
    last["peers"].as_array().expect("a list of peers").clone()
}

fn connect(address: &str) -> Connection {
    Connection::connect(address, &ConnectionConfig::new(Network::Regtest)).unwrap()
}

fn store() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peers.json");
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

/// It continues when all peers are gone.
#[test]
fn monitor_listens_and_keeps_peers_in_summary() {
    let (monitor, address) = listening(&["--network", "regtest"]);
    let mut names = Vec::new();
    for number in 1..=2 {
        let mut peer = connect(&address);
        let established = event(&monitor, "ConnectionEstablished");
        assert_eq!(text(&established, "direction"), "inbound");
        event(&monitor, "HandshakeComplete");
        names.push(text(&established, "peer").to_owned());
        // The tool requests announced objects.
        let hash = BlockHash([number; 32]);
        let announced = Inv::from(vec![Inventory::Block(hash)]);
        peer.send(announced).unwrap();
        let message = event(&monitor, "Message");
        assert_eq!(text(&message, "peer"), names[names.len() - 1]);
        loop {
            if let bsv_p2p::wire::Message::GetData(asked) = peer.receive().unwrap() {
                assert_eq!(asked.inventory, [Inventory::Block(hash)]);
                break;
            }
        }
        drop(peer);
        event(&monitor, "ConnectionLost");
    }
    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    let peers = summary(&ended);
    assert_eq!(peers.len(), 2);
    for (peer, name) in peers.iter().zip(names) {
        assert_eq!(text(peer, "peer"), name);
        assert_eq!(text(peer, "user_agent"), "/bsv-p2p:0.1.0(Bitcoin SV)/");
        assert!(integer(peer, "messages_received") >= 5, "{peer}");
    }
}

#[test]
fn listening_monitor_reconnects_lost_peer() {
    let node = LocalNode::start().unwrap();
    let address = node.address();
    let name = address.to_string();
    let (monitor, _) = listening(&["--network", "regtest", "--peer", &name]);
    // The order of the listener and the handshake events is not specified.
    assert!(node.wait_for_peers(1, DEADLINE));
    drop(node);
    let restarting = event(&monitor, "ConnectionRestarting");
    assert_eq!(text(&restarting, "peer"), name);
    assert_ne!(text(&restarting, "reason"), "");
    let node = LocalNode::start_at(address, LocalNode::default_config()).unwrap();
    event(&monitor, "HandshakeComplete");
    assert!(node.wait_for_peers(1, DEADLINE));
    node.mine(1).unwrap();
    monitor.object(|_| (), |object| object["command"] == "block");
    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    assert_eq!(summary(&ended).len(), 1);
}

#[test]
fn monitor_rejects_peer_for_capacity() {
    let (monitor, address) = listening(&["--network", "regtest", "--max", "1"]);
    let first = connect(&address);
    event(&monitor, "HandshakeComplete");
    let config = ConnectionConfig::new(Network::Regtest);
    let refused = Connection::connect(&address, &config).and_then(|mut peer| peer.receive());
    let refused = with_sources(&refused.unwrap_err());
    assert!(refused.contains("connection limit"), "{refused}");
    event(&monitor, "ConnectionRejectedCapacity");
    drop(first);
    event(&monitor, "ConnectionLost");
    drop(connect(&address));
}

#[test]
fn monitor_shows_ban_and_keeps_it_in_store() {
    let (_folder, file) = store();
    // On mainnet, where loopback addresses are treated like others.
    let (monitor, address) = listening(&["--store", &file]);
    let mut foreign = TcpStream::connect(&address).unwrap();
    let of_regtest = [b"\xda\xb5\xbf\xfa", &hex::decode(VERACK).unwrap()[4..]].concat();
    foreign.write_all(&of_regtest).unwrap();
    let banned = event(&monitor, "PeerBanned");
    assert_eq!(text(&banned, "subnet"), "127.0.0.1");
    assert_eq!(text(&banned, "reason"), "magic mismatch");
    assert_eq!(number(&banned, "duration_ms"), 24.0 * 3600.0 * 1000.0);
    let refused = |monitor: &Tool, address: &str| {
        let mut again = TcpStream::connect(address).unwrap();
        let rejected = event(monitor, "InboundConnectionRejected");
        let own = again.local_addr().unwrap().to_string();
        assert_eq!(text(&rejected, "peer"), own);
        assert!(text(&rejected, "reason").contains("banned"), "{rejected}");
        // The end of the stream, or a reset.
        assert!(matches!(again.read(&mut [0; 1]), Ok(0) | Err(_)));
    };
    refused(&monitor, &address);
    monitor.interrupt();
    monitor.finish().assert_success();
    let (monitor, address) = listening(&["--store", &file]);
    refused(&monitor, &address);
}

#[test]
fn monitor_dials_stored_peers_up_to_target() {
    let (_folder, file) = store();
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let names = nodes.each_ref().map(|node| node.address().to_string());
    let common = ["--network", "regtest", "--store", &file, "--json"];
    let first = ["--peer", &names[0], "--peer", &names[1]];
    let monitor = Tool::start("monitor", &[&common[..], &first].concat());
    for _ in 0..2 {
        event(&monitor, "HandshakeComplete");
    }
    monitor.interrupt();
    monitor.finish().assert_success();
    // The handshakes may be complete before the listener is reported.
    let monitor = Tool::start(
        "monitor",
        &[&common[..], &["--listen", "127.0.0.1:0"]].concat(),
    );
    for _ in 0..2 {
        let shaken = event(&monitor, "HandshakeComplete");
        assert!(names.contains(&text(&shaken, "peer").to_owned()));
    }
    drop(monitor);
    for (limit, count) in [("--target", "0"), ("--target", "1"), ("--max", "1")] {
        let limited = [limit, count, "--listen", "127.0.0.1:0", "--timeout", "1"];
        let ended = run("monitor", &[&common[..], &limited].concat());
        ended.assert_success();
        let reached = summary(&ended).len();
        assert_eq!(reached.to_string(), count, "{limit} {count}: {ended:#?}");
    }
}

/// A store of another network is rejected.
/// Runs `monitor` with text output, and interrupts it when it listens.
#[track_caller]
fn run_until_it_listens(arguments: &[&str]) -> Ended {
    let monitor = Tool::start("monitor", arguments);
    let line = monitor.line();
    assert!(line.starts_with("listening on "), "{line}");
    monitor.interrupt();
    monitor.finish()
}

#[test]
fn monitor_moves_corrupt_store_aside() {
    let (_folder, file) = store();
    std::fs::write(&file, "{").unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--store", &file];
    let ended = run_until_it_listens(&arguments);
    ended.assert_status(0);
    assert!(ended.errors.starts_with("warning: "), "{ended:#?}");
    assert!(ended.errors.contains("is corrupt"), "{ended:#?}");
    assert_eq!(ended.errors.lines().count(), 1, "{ended:#?}");
    assert!(Path::new(&format!("{file}.damaged")).is_file());
    run_until_it_listens(&arguments).assert_success();
    let written = std::fs::read(&file).unwrap();
    let ended = run("monitor", &[&arguments[..], &["--network", "stn"]].concat());
    ended.assert_failure(1, "expected network stn, got mainnet");
    assert_eq!(std::fs::read(&file).unwrap(), written);
    let nowhere = format!("{file}/nowhere");
    run("monitor", &["--store", &nowhere]).assert_failure(1, "nowhere");
}

#[test]
fn monitor_reports_occupied_port_and_retries() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let monitor = Tool::start("monitor", &["--listen", &address, "--json"]);
    let failed = event(&monitor, "ListenerBindFailed");
    assert_eq!(text(&failed, "address"), address);
    let error = TcpListener::bind(&address).unwrap_err();
    assert_eq!(text(&failed, "reason"), error.to_string());
    drop(taken);
    assert_eq!(
        text(&event(&monitor, "ListenerStarted"), "address"),
        address
    );
    monitor.interrupt();
    monitor.finish().assert_status(0);
}

#[test]
fn monitor_dials_no_more_peers_than_maximum() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let names = nodes.each_ref().map(|node| node.address().to_string());
    let peers = ["--peer", &names[0], "--peer", &names[1]];
    let monitor = [
        &peers[..],
        &["--network", "regtest", "--max", "1", "--json"],
    ];
    let monitor = Tool::start("monitor", &monitor.concat());
    let failed = event(&monitor, "ConnectionFailed");
    assert_eq!(text(&failed, "peer"), names[1]);
    assert!(
        text(&failed, "reason").contains("connection limit"),
        "{failed}"
    );
    let shaken = event(&monitor, "HandshakeComplete");
    assert_eq!(text(&shaken, "peer"), names[0]);
}

#[test]
fn monitor_watches_seed_nodes_and_their_addresses() {
    let nodes = [(); 3].map(|()| LocalNode::start().unwrap());
    // The first node knows the others.
    for other in &nodes[1..] {
        nodes[0].connect(other.address()).unwrap();
    }
    assert!(nodes[0].wait_for_peers(2, DEADLINE));
    let seed = servers::seed(nodes[0].address());
    let seeds = seed.each_ref().map(String::as_str);
    let common = ["--network", "regtest", "--json"];
    let monitor = Tool::start("monitor", &[&seeds[..], &common].concat());
    let mut reached = [(); 3].map(|()| {
        let shaken = event(&monitor, "HandshakeComplete");
        text(&shaken, "peer").to_owned()
    });
    reached.sort();
    let mut names = nodes.each_ref().map(|node| node.address().to_string());
    names.sort();
    assert_eq!(reached, names);
    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    assert_eq!(summary(&ended).len(), 3);
}

#[test]
fn monitor_without_seed_dials_no_other_peers() {
    let nodes = [(); 3].map(|()| LocalNode::start().unwrap());
    for other in &nodes[1..] {
        nodes[0].connect(other.address()).unwrap();
    }
    assert!(nodes[0].wait_for_peers(2, DEADLINE));
    let name = nodes[0].address().to_string();
    let (_folder, file) = store();
    let common = ["--network", "regtest", "--store", &file, "--json"];
    let peer = ["--peer", &name];
    let listen = ["--listen", "127.0.0.1:0"];
    // The last of these reads it from the file.
    for more in [&peer[..], &[peer, listen].concat(), &listen] {
        // The tool would dial an advertised address immediately.
        let ended = run("monitor", &[&common, more, &["--timeout", "1.5"]].concat());
        ended.assert_success();
        assert_eq!(summary(&ended).len(), 1, "{ended:#?}");
    }
}

#[test]
fn monitor_reports_failed_seed_lookup() {
    let (_closed, closed) = servers::closed_port();
    let arguments = [
        "--seed",
        "seed.test",
        "--dns",
        &closed,
        "--json",
        "--timeout",
        "20",
    ];
    let monitor = Tool::start("monitor", &arguments);
    let failed = event(&monitor, "DiscoveryFailed");
    assert!(failed.to_string().contains("seed.test"), "{failed}");
    monitor.interrupt();
    monitor.finish().assert_success();
}
