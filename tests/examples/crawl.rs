//! `crawl`.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use serde_json::{Value, json};

use crate::servers;
use crate::tool::{DEADLINE, Ended, Tool, integer, number, object, run, text};

/// Crawls regtest with these arguments, and parses the JSON output.
fn crawl(arguments: &[&str]) -> (Ended, Vec<Value>) {
    let common = ["--network", "regtest", "--pause", "0", "--json"];
    let ended = run("crawl", &[&common, arguments].concat());
    let objects = ended.lines.iter().map(|line| object(line)).collect();
    (ended, objects)
}

/// Returns the objects with this event, by their peers.
fn by_peer<'a>(objects: &'a [Value], event: &str) -> BTreeMap<&'a str, &'a Value> {
    let mut found = BTreeMap::new();
    for object in objects.iter().filter(|object| object["event"] == event) {
        let twice = found.insert(text(object, "peer"), object);
        assert_eq!(twice, None, "each node is visited once");
    }
    found
}

/// Returns the values of a property with their counts, and checks their shares.
fn shares(summary: &Value, of: &str) -> Vec<(Value, i64)> {
    let shares = summary[of].as_array().expect("shares");
    let all: i64 = shares.iter().map(|share| integer(share, "count")).sum();
    let shares = shares.iter().map(|share| {
        let count = integer(share, "count");
        assert_eq!(number(share, "share"), count as f64 / all as f64);
        (share["value"].clone(), count)
    });
    shares.collect()
}

fn addresses(names: &[&str]) -> Vec<SocketAddr> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn crawl_visits_each_discovered_node_once() {
    // The first knows the second and third, which know each other and the first.
    let nodes = [(); 3].map(|()| LocalNode::start().unwrap());
    nodes[1].mine(2).unwrap();
    nodes[0].connect(nodes[1].address()).unwrap();
    nodes[0].connect(nodes[2].address()).unwrap();
    for node in &nodes {
        assert!(node.wait_for_peers(1, DEADLINE));
        assert!(node.wait_for_tip(nodes[1].tip(), DEADLINE));
    }
    let names = nodes.each_ref().map(|node| node.address().to_string());
    let (ended, objects) = crawl(&["--peer", &names[0], "--patience", "4", "--max-nodes", "3"]);
    ended.assert_success();
    let found = by_peer(&objects, "Node");
    assert_eq!(found.len(), 3);
    for name in &names {
        let node = found[&name[..]];
        assert_eq!(text(node, "user_agent"), "/bsv-p2p:0.1.0(Bitcoin SV)/");
        assert_eq!(integer(node, "version"), 70016);
        assert_eq!(integer(node, "services"), 1);
        assert_eq!(integer(node, "height"), 2);
        assert!(number(node, "rtt_ms") > 0.0);
    }
    assert_eq!(integer(found[&names[0][..]], "addresses"), 3);
    let summary = objects.last().unwrap();
    assert_eq!(text(summary, "event"), "Summary");
    assert_eq!(integer(summary, "known"), 3);
    assert_eq!(integer(summary, "reached"), 3);
    assert_eq!(integer(summary, "not_reached"), 0);
    assert_eq!(
        shares(summary, "user_agents"),
        [(json!("/bsv-p2p:0.1.0(Bitcoin SV)/"), 3)]
    );
    assert_eq!(shares(summary, "services"), [(json!(1), 3)]);
    assert_eq!(shares(summary, "heights"), [(json!(2), 3)]);
    assert!(number(summary, "duration_ms") > 0.0);
    let times = &summary["round_trips_ms"];
    assert_eq!(integer(times, "count"), 3);
    let [min, median, p90, max] = ["min", "median", "p90", "max"].map(|mark| number(times, mark));
    assert!(
        0.0 < min && min <= median && median <= p90 && p90 <= max,
        "{times}"
    );
}

/// The most frequent value comes first.
#[test]
fn crawl_counts_shares_and_reports_unreachable_nodes() {
    let (_closed, closed) = servers::closed_port();
    let hangs_up = servers::hangs_up();
    let others = [
        servers::node("/knuth:1/", (70015, 5), Vec::new()),
        servers::node("/most:1/", (70016, 7), Vec::new()),
        servers::node("/most:1/", (70016, 7), Vec::new()),
    ];
    let known: Vec<_> = others
        .iter()
        .chain([&closed, &hangs_up])
        .map(|name| &name[..])
        .collect();
    let first = servers::node("/most:1/", (70015, 7), addresses(&known));
    let (ended, objects) = crawl(&["--peer", &first, "--patience", "3"]);
    ended.assert_success();
    assert_eq!(by_peer(&objects, "Node").len(), 4);
    let failed = by_peer(&objects, "NotReached");
    assert_eq!(failed.len(), 2);
    assert_eq!(text(failed[&closed[..]], "reason"), "connection refused");
    assert!(text(failed[&hangs_up[..]], "reason").contains("connection closed by peer"));
    let summary = objects.last().unwrap();
    assert_eq!(integer(summary, "known"), 6);
    assert_eq!(integer(summary, "reached"), 4);
    assert_eq!(integer(summary, "not_reached"), 2);
    assert_eq!(integer(summary, "sent_addresses"), 1);
    let expected = [("/most:1/", 3), ("/knuth:1/", 1)];
    assert_eq!(
        shares(summary, "user_agents"),
        expected.map(|(value, count)| (json!(value), count))
    );
    assert_eq!(
        shares(summary, "versions"),
        [(json!(70016), 2), (json!(70015), 2)]
    );
    assert_eq!(shares(summary, "heights"), [(json!(7), 3), (json!(5), 1)]);
    assert_eq!(shares(summary, "failures").len(), 2);
}

/// Returns the words of the first line that starts with `begin`.
#[track_caller]
fn words<'a>(ended: &'a Ended, begin: &str) -> Vec<&'a str> {
    let mut lines = ended.lines.iter();
    let line = lines.find(|line| line.starts_with(begin));
    let line = line.unwrap_or_else(|| panic!("no {begin} in {ended:#?}"));
    line.split_whitespace().collect()
}

#[test]
fn crawl_text_is_a_table() {
    let node = servers::node("/one:1/", (70016, 7), Vec::new());
    let arguments = ["--network", "regtest", "--patience", "2", "--peer", &node];
    let ended = run("crawl", &arguments);
    ended.assert_success();
    assert_eq!(words(&ended, "nodes reached"), ["nodes", "reached", "1"]);
    assert_eq!(words(&ended, "/one:1/"), ["/one:1/", "1", "100.0%"]);
    assert_eq!(words(&ended, "70016"), ["70016", "1", "100.0%"]);
    let times = words(&ended, "round trips: ");
    for mark in ["min", "median", "p90", "max"] {
        assert!(times.contains(&mark), "{times:?}");
    }
}

#[test]
fn crawl_sorts_heights_as_numbers() {
    let heights = [9, 112, 50, 112, 2_000, 118];
    let others = heights.map(|height| servers::node("/some:1/", (70016, height), Vec::new()));
    let known: Vec<_> = others.iter().map(|name| &name[..]).collect();
    let first = servers::node("/some:1/", (70016, 10), addresses(&known));
    let arguments = ["--peer", &first, "--patience", "1"];
    let (ended, objects) = crawl(&arguments);
    ended.assert_success();
    let sorted = [(2_000, 1), (118, 1), (112, 2), (50, 1), (10, 1), (9, 1)];
    assert_eq!(
        shares(objects.last().unwrap(), "heights"),
        sorted.map(|(height, count)| (json!(height), count))
    );

    let ended = run(
        "crawl",
        &[&arguments[..], &["--network", "regtest"]].concat(),
    );
    ended.assert_success();
    let lines = ended.lines.iter();
    let ranges: Vec<_> = lines
        .skip_while(|line| !line.starts_with("best height"))
        .skip(1)
        .map(|line| line.split("  ").next().unwrap())
        .take(7)
        .collect();
    let expected = [
        "more than 1008 blocks ahead",
        "145 to 1008 blocks ahead",
        "7 to 144 blocks ahead",
        "1 to 6 blocks ahead",
        "at height 112",
        "1 to 6 blocks behind",
        "7 to 144 blocks behind",
    ];
    assert_eq!(ranges, expected, "{ended:#?}");
    let note = "heights: most common 112, lowest 9, highest 2000";
    assert!(ended.lines.iter().any(|line| line == note), "{ended:#?}");
}

/// Standard error is no terminal here, so there is no progress display.
#[test]
fn crawl_text_names_failures_in_standard_terms() {
    let (_closed, closed) = servers::closed_port();
    let node = servers::node("/one:1/", (70016, 7), addresses(&[&closed]));
    let arguments = ["--network", "regtest", "--patience", "1", "--peer", &node];
    let ended = run("crawl", &arguments);
    ended.assert_success();
    let sent = ["nodes", "that", "sent", "addr", "1"];
    assert_eq!(words(&ended, "nodes that sent addr"), sent);
    let refused = ["connection", "refused", "1", "100.0%"];
    assert_eq!(words(&ended, "connection refused"), refused);
}

#[test]
fn crawl_stops_at_maximum_number_of_nodes() {
    let others = [(); 5].map(|()| servers::node("/other:1/", (70016, 1), Vec::new()));
    let known: Vec<_> = others.iter().map(|name| &name[..]).collect();
    let first = servers::node("/first:1/", (70016, 1), addresses(&known));
    let arguments = [
        "--peer",
        &first,
        "--max-nodes",
        "3",
        "--patience",
        "60",
        "--parallel",
        "2",
    ];
    let begin = Instant::now();
    let (ended, objects) = crawl(&arguments);
    ended.assert_success();
    // The tool would wait for the others.
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(by_peer(&objects, "Node").len(), 3);
    let summary = objects.last().unwrap();
    assert_eq!(integer(summary, "reached"), 3);
    assert_eq!(integer(summary, "known"), 6);
}

#[test]
fn crawl_ignores_unroutable_addresses_outside_regtest() {
    let (_closed, closed) = servers::closed_port();
    let told = addresses(&[
        &closed,
        "192.0.2.1:8333",
        "0.0.0.0:1",
        "[2001:db8::1]:8333",
        "255.255.255.255:1",
        "127.0.0.1:0",
    ]);
    let node = servers::node("/liar:1/", (70016, 1), told.clone());
    let (ended, objects) = crawl(&["--peer", &node, "--patience", "3"]);
    ended.assert_success();
    // On regtest, loopback addresses are valid nodes.
    let failed = by_peer(&objects, "NotReached");
    assert_eq!(failed.into_keys().collect::<Vec<_>>(), [&closed[..]]);
    assert_eq!(integer(objects.last().unwrap(), "known"), 2);

    let node = servers::node_of(bsv_p2p::Network::Mainnet, "/liar:1/", (70016, 1), told);
    let ended = run("crawl", &["--peer", &node, "--patience", "3", "--json"]);
    ended.assert_success();
    assert_eq!(ended.lines.len(), 2, "{ended:#?}");
    assert_eq!(integer(&object(&ended.lines[1]), "known"), 1);
}

#[test]
fn crawl_page_is_self_contained_and_escaped() {
    let agent = r#"/<script>alert("1")</script>&'\u{1b}[2J/"#;
    let node = servers::node(agent, (70016, 7), Vec::new());
    let folder = tempfile::tempdir().unwrap();
    for name in ["network.svg", "network.html"] {
        let file = folder.path().join(name);
        let out = file.to_str().unwrap();
        let invalid = "evil\u{202e}<b>.test";
        let seed = ["--seed", invalid, "--patience", "0.2"];
        let (ended, objects) = crawl(&[&["--peer", &node, "--out", out][..], &seed].concat());
        ended.assert_success();
        assert_eq!(
            by_peer(&objects, "Node").into_keys().next(),
            Some(&node[..])
        );
        let picture = fs::read_to_string(&file).unwrap();
        let is_hidden = |char: char| char.is_control() && char != '\n' || char == '\u{202e}';
        assert!(!picture.contains(is_hidden), "{picture}");
        assert!(!picture.contains("<script"), "{picture}");
        assert!(picture.contains("/&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;"));
        for wanted in [
            "Crawl of Bitcoin SV regtest",
            "nodes reached",
            "User agents",
            "Best heights",
            "Round-trip times",
            "Failed connections",
            "Parameters of the crawl",
            "nodes, % of 1",
            "all known addresses visited",
            concat!(
                "Generated by bsv-p2p ",
                env!("CARGO_PKG_VERSION"),
                ", crawl"
            ),
            "70016",
            // A name with an invisible character that reverses the order of the following ones.
            r"evil\u{202e}&lt;b&gt;.test",
        ] {
            assert!(picture.contains(wanted), "{wanted} is not in {picture}");
        }
        // The page loads nothing.
        for foreign in ["href", "src=", "url(", "@import"] {
            assert!(!picture.contains(foreign), "{foreign} is in {picture}");
        }
        let is_page = name.ends_with(".html");
        assert_eq!(picture.starts_with("<!DOCTYPE html>"), is_page);
        assert_eq!(picture.starts_with("<svg xmlns="), !is_page);
        for tag in ["<svg ", "</svg>"] {
            assert_eq!(picture.matches(tag).count(), usize::from(!is_page));
        }
    }
    let nowhere = folder.path().join("nowhere").join("network.svg");
    let nowhere = nowhere.to_str().unwrap();
    let ended = run(
        "crawl",
        &["--network", "regtest", "--peer", &node, "--out", nowhere],
    );
    ended.assert_failure(1, nowhere);
}

#[test]
fn crawl_stops_at_timeout_or_interrupt() {
    // Neither sends addresses: the tool waits for them.
    let nodes = [(); 2].map(|()| servers::node("/silent:1/", (70016, 1), Vec::new()));
    let peers = ["--peer", &nodes[0], "--peer", &nodes[1]];
    let begin = Instant::now();
    let (ended, objects) = crawl(&[&peers[..], &["--timeout", "4"]].concat());
    ended.assert_success();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(integer(objects.last().unwrap(), "reached"), 2);

    let (_closed, closed) = servers::closed_port();
    let arguments = ["--peer", &closed, "--network", "regtest", "--json"];
    let tool = Tool::start("crawl", &[&arguments[..], &peers].concat());
    // The others are being visited by then, or never will be.
    tool.line_with("NotReached");
    let begin = Instant::now();
    tool.interrupt();
    let ended = tool.finish();
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    let summary = object(ended.lines.last().unwrap());
    assert_eq!(text(&summary, "event"), "Summary");
}

#[test]
fn crawl_without_reachable_node_fails() {
    let (_closed, closed) = servers::closed_port();
    let (ended, objects) = crawl(&["--peer", &closed]);
    ended.assert_failure(1, "no node was reached");
    assert_eq!(integer(objects.last().unwrap(), "not_reached"), 1);
    // A host that accepts connections without a response does not block the tool.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let begin = Instant::now();
    let (ended, objects) = crawl(&["--peer", &silent, "--timeout", "1"]);
    ended.assert_failure(1, "no node was reached");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(text(&objects[0], "reason"), "handshake timed out");
}

#[test]
fn crawl_starts_at_seed_nodes() {
    let node = LocalNode::start().unwrap();
    let seed = servers::seed(node.address());
    let seeds = seed.each_ref().map(String::as_str);
    let (ended, objects) = crawl(&[&seeds[..], &["--patience", "0.2"]].concat());
    ended.assert_success();
    assert_eq!(text(&objects[0], "peer"), node.address().to_string());
}
