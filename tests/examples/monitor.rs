//! `monitor`.

use std::net::TcpListener;

use bsv_p2p::local_node::LocalNode;
use serde_json::Value;
use test_support::payment::payment;

use crate::servers;
use crate::tool::{DEADLINE, Ended, Tool, integer, number, object, run, text};

/// Asserts that an object has the required fields of its kind.
#[track_caller]
fn check(object: &Value) {
    let event = text(object, "event");
    if event != "Summary" {
        let peer = text(object, "peer");
        assert!(
            peer.rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        );
    }
    match event {
        "ConnectionEstablished" => assert_eq!(text(object, "direction"), "outbound"),
        "HandshakeComplete" => {
            text(object, "user_agent");
            for field in ["version", "services", "height"] {
                integer(object, field);
            }
        }
        "StreamOpened" => {
            assert_eq!(text(object, "stream"), "DATA1");
            assert_eq!(text(object, "policy"), "BlockPriority");
        }
        "ConnectionFailed" | "ConnectionLost" | "StreamRefused" => {
            assert_ne!(text(object, "reason"), "")
        }
        "Message" => {
            assert_ne!(text(object, "command"), "");
            assert!(integer(object, "size_bytes") >= 0);
        }
        "Summary" => {
            for peer in object["peers"].as_array().expect("a list of peers") {
                text(peer, "peer");
                for field in [
                    "messages_received",
                    "messages_sent",
                    "bytes_received",
                    "bytes_sent",
                ] {
                    assert!(integer(peer, field) >= 0);
                }
                // Unknown values are null.
                for field in ["user_agent", "version", "height", "rtt_ms"] {
                    assert!(peer.get(field).is_some(), "{field} is missing in {peer}");
                }
            }
        }
        other => panic!("{other} is not expected: {object}"),
    }
}

/// Asserts that a peer of the summary was connected successfully.
#[track_caller]
fn check_reached(peer: &Value, height: i64) {
    assert_eq!(text(peer, "user_agent"), "/bsv-p2p:0.1.0(Bitcoin SV)/");
    assert_eq!(integer(peer, "version"), 70016);
    assert_eq!(integer(peer, "height"), height);
    assert!(number(peer, "rtt_ms") > 0.0);
    // version, verack, protoconf, sendheaders, ping or pong in each direction.
    for field in ["messages_received", "messages_sent"] {
        assert!(integer(peer, field) >= 5, "{peer}");
    }
    for field in ["bytes_received", "bytes_sent"] {
        assert!(integer(peer, field) >= 5 * 24, "{peer}");
    }
}

#[test]
fn its_own_network_as_text() {
    let ended = run("monitor", &["--timeout", "3"]);
    ended.assert_success();
    let empty = ended
        .lines
        .iter()
        .position(String::is_empty)
        .expect("a gap before the summary");
    let (events, summary) = ended.lines.split_at(empty);
    let count = |text: &str| events.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        count("handshake complete with /bsv-p2p:0.1.0(Bitcoin SV)/"),
        3,
        "{events:#?}"
    );
    let blocks = count("sends block ");
    assert!((1..=3).contains(&blocks), "about one a second: {events:#?}");
    // By `inv`: the monitor exchanges no headers with the nodes.
    assert!(count("announces block") >= blocks, "{events:#?}");
    let [_, header, peers @ ..] = summary else {
        panic!("{summary:#?}");
    };
    let (streams, peers): (Vec<_>, Vec<_>) = peers.iter().partition(|row| row.starts_with("  "));
    assert_eq!(peers.len(), 3);
    for stream in ["  GENERAL ", "  DATA1 "] {
        let rows = streams.iter().filter(|row| row.starts_with(stream));
        assert_eq!(rows.count(), 3, "{summary:#?}");
    }
    for title in [
        "user agent",
        "version",
        "height",
        "rtt ms",
        "msgs in/out",
        "bytes in/out",
    ] {
        assert!(header.contains(title), "{title} is not in {header:?}");
    }
    for peer in peers {
        assert!(
            peer.starts_with("127.0.0.1:") && peer.contains(" /bsv-p2p:0.1.0(Bitc… "),
            "{peer}"
        );
        assert_eq!(
            peer.chars().count(),
            header.chars().count(),
            "a table: {summary:#?}"
        );
        assert!(peer.chars().count() <= 100, "{summary:#?}");
    }
}

#[test]
fn its_own_network_as_json() {
    let ended = run(
        "monitor",
        &["--timeout", "3.5", "--json", "--network", "regtest"],
    );
    ended.assert_success();
    let objects: Vec<Value> = ended.lines.iter().map(|line| object(line)).collect();
    objects.iter().for_each(check);
    let count = |event: &str| {
        objects
            .iter()
            .filter(|object| object["event"] == event)
            .count()
    };
    assert_eq!(count("ConnectionEstablished"), 3);
    assert_eq!(count("HandshakeComplete"), 3);
    assert_eq!(count("Summary"), 1);
    let block = |object: &&Value| object["command"] == "block";
    let blocks = objects.iter().filter(block).count();
    assert!((1..=3).contains(&blocks), "{objects:#?}");
    let last = objects.last().unwrap();
    let peers = last["peers"].as_array().expect("the Summary at the end");
    assert_eq!(peers.len(), 3);
    peers.iter().for_each(|peer| check_reached(peer, 0));
    assert_eq!(count("StreamOpened"), 3);
    for peer in peers {
        let streams = peer["streams"].as_array().expect("two streams");
        let names: Vec<_> = streams.iter().map(|one| text(one, "stream")).collect();
        assert_eq!(names, ["GENERAL", "DATA1"]);
        for field in [
            "messages_received",
            "messages_sent",
            "bytes_received",
            "bytes_sent",
        ] {
            let each = streams.iter().map(|one| integer(one, field));
            let each: Vec<_> = each.collect();
            assert!(each.iter().all(|number| *number > 0), "{field}: {peer}");
            assert_eq!(each.iter().sum::<i64>(), integer(peer, field));
        }
    }
}

#[test]
fn monitor_prints_lines_immediately_and_summary_at_interrupt() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    nodes[0].mine(3).unwrap();
    let addresses = [0, 1].map(|at| nodes[at].address().to_string());
    let [one, other] = &addresses;
    let monitor = Tool::start(
        "monitor",
        &[
            "--peer",
            one,
            "--peer",
            other,
            "--network",
            "regtest",
            "--json",
        ],
    );
    for _ in 0..2 {
        let shaken = monitor.object(check, |object| object["event"] == "HandshakeComplete");
        let height = if text(&shaken, "peer") == one { 3 } else { 0 };
        assert_eq!(integer(&shaken, "height"), height);
    }
    assert!(nodes.iter().all(|node| node.wait_for_peers(1, DEADLINE)));
    let message = |command: &'static str, from: &str| {
        let from = from.to_owned();
        monitor.object(check, move |object| {
            object["command"] == command && object["peer"] == from[..]
        })
    };
    let hash = nodes[0].mine(1).unwrap()[0];
    let block = message("block", one);
    let len = nodes[0].block(hash).unwrap().bytes().len();
    assert_eq!(integer(&block, "size_bytes"), len as i64);
    assert_eq!(text(&block, "hash"), hash.to_string());
    nodes[1].submit(&payment(0)).unwrap();
    assert_eq!(integer(&message("inv", other), "size_bytes"), 1 + 36);
    nodes[1].mine(1).unwrap();
    assert_eq!(integer(&message("block", other), "transactions"), 2);

    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    let objects: Vec<Value> = ended.lines.iter().map(|line| object(line)).collect();
    objects.iter().for_each(check);
    let last = objects.last().expect("the Summary at the end");
    assert_eq!(last["event"], "Summary");
    let peers = last["peers"].as_array().unwrap();
    assert_eq!([&peers[0]["peer"], &peers[1]["peer"]], addresses.each_ref());
    check_reached(&peers[0], 3);
    check_reached(&peers[1], 0);
}

#[test]
fn ctrl_c_ends_a_text_as_well() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let monitor = Tool::start("monitor", &["--peer", &address, "--network", "regtest"]);
    monitor.line_with("handshake complete");
    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    // Below it there are rows for its streams, if there was time for two.
    let mut rows = ended.lines.iter().rev();
    let peer = rows.find(|row| !row.starts_with("  ")).unwrap();
    assert!(peer.starts_with(&address), "{ended:#?}");
}

#[test]
fn monitor_without_time_limit_fails_after_last_peer() {
    let [one, other] = [(); 2].map(|()| LocalNode::start().unwrap());
    let addresses = [one.address().to_string(), other.address().to_string()];
    let monitor = Tool::start(
        "monitor",
        &[
            "--peer",
            &addresses[0],
            "--peer",
            &addresses[1],
            "--network",
            "regtest",
            "--json",
        ],
    );
    for _ in 0..2 {
        monitor.object(check, |object| object["event"] == "HandshakeComplete");
    }
    // A node answers in order: with a block from it, the first ping is answered, too.
    for (node, address) in [(&one, &addresses[0]), (&other, &addresses[1])] {
        assert!(node.wait_for_peers(1, DEADLINE));
        node.mine(1).unwrap();
        monitor.object(check, |object| {
            object["command"] == "block" && object["peer"] == address[..]
        });
    }
    drop(one);
    let lost = monitor.object(check, |object| object["event"] == "ConnectionLost");
    assert_eq!(text(&lost, "peer"), addresses[0]);
    // The other peer is still connected.
    other.mine(1).unwrap();
    monitor.object(check, |object| object["command"] == "block");
    drop(other);
    let ended = monitor.finish();
    ended.assert_failure(1, "no peer is left");
    let [.., lost, summary] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(object(lost)["event"], "ConnectionLost");
    let summary = object(summary);
    check(&summary);
    for peer in summary["peers"].as_array().unwrap() {
        check_reached(peer, 0);
    }
}

/// Watches a peer for half a second.
fn watched_briefly(peer: &str) -> Ended {
    run(
        "monitor",
        &[
            "--peer",
            peer,
            "--network",
            "regtest",
            "--timeout",
            "0.5",
            "--json",
        ],
    )
}

#[test]
fn monitor_with_time_limit_tolerates_unreachable_peers() {
    let (_closed, closed) = servers::closed_port();
    let peers = [closed, servers::http(), "no-such-name.invalid:1".to_owned()];
    for peer in &peers {
        let ended = watched_briefly(peer);
        ended.assert_success();
        let objects: Vec<Value> = ended.lines.iter().map(|line| object(line)).collect();
        objects.iter().for_each(check);
        let [.., failed, summary] = &objects[..] else {
            panic!("{ended:#?}");
        };
        assert_eq!(text(failed, "event"), "ConnectionFailed");
        assert_eq!(text(failed, "peer"), peer);
        let peers = summary["peers"].as_array().unwrap();
        assert_eq!(peers.len(), 1);
        assert_eq!(text(&peers[0], "peer"), peer);
        assert_eq!(peers[0]["user_agent"], Value::Null);
    }
}

#[test]
fn monitor_with_time_limit_tolerates_silent_peer() {
    // The connection is established, but the peer never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = watched_briefly(&address);
    ended.assert_success();
    let [established, summary] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(object(established)["event"], "ConnectionEstablished");
    check(&object(summary));
}

#[test]
fn monitor_tries_each_address_of_a_name() {
    // If localhost is ::1 as well, the node does not listen there.
    let node = LocalNode::start().unwrap();
    let name = format!("localhost:{}", node.address().port());
    let monitor = Tool::start(
        "monitor",
        &["--peer", &name, "--network", "regtest", "--json"],
    );
    let shaken = monitor.object(check, |object| object["event"] == "HandshakeComplete");
    assert_eq!(text(&shaken, "peer"), node.address().to_string());
    assert!(node.wait_for_peers(1, DEADLINE));
    node.mine(1).unwrap();
    monitor.object(check, |object| object["command"] == "block");
    monitor.interrupt();
    let ended = monitor.finish();
    ended.assert_success();
    let summary = object(ended.lines.last().unwrap());
    assert_eq!(summary["peers"].as_array().unwrap().len(), 1);
    check_reached(&summary["peers"][0], 0);
}
