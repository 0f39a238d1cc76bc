//! `conform`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{Message, NotFound, Ping, Version};
use serde_json::{Value, json};
use test_support::raw_peer::{RawListener, RawPeer, USER_AGENT, protoconf, version};
use test_support::real_node::RealNode;
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig, TxVerdict};

use crate::servers;
use crate::tool::{Ended, object, run, text};

/// The number of blocks with which no rule is skipped for want of blocks.
const BLOCKS: u32 = 2_010;

/// The rules that [`LocalNode`] does not keep; the documentation of `conform` gives the reasons.
const LOCAL_NODE: &[&str] = &[
    "features-by-version",
    "inv-block",
    "tx-orphan",
    "createstrm-data2-to-data4",
];

/// The rules that SV Node 1.0.13 does not keep; the documentation of `conform` gives the reasons.
const NODE_1_0_13: &[&str] = &["inv-invalid-type"];

/// The rules whose messages get the sender's address banned.
const BANS: &[&str] = &[
    "user-agent-banned",
    "filterload-refused",
    "filteradd-refused",
    "block-merkle-root",
    "protoconf-too-long",
    "payload-too-long",
    "magic-mismatched",
];

/// Returns the rules that are not run against a node without bloom filters.
fn skipped() -> Vec<&'static str> {
    [&["filter-applies"], BANS].concat()
}

/// Runs the tool on a regtest node, fast.
#[track_caller]
fn conform(address: &str, options: &[&str]) -> Ended {
    let mut arguments = vec![address, "--network", "regtest", "--rate", "1000", "--json"];
    arguments.extend(options);
    run("conform", &arguments)
}

/// Returns the objects of the rules, and the summary.
#[track_caller]
fn results(ended: &Ended) -> (Vec<Value>, Value) {
    let mut objects: Vec<_> = ended.lines.iter().map(|line| object(line)).collect();
    let summary = objects.pop().expect("a summary");
    assert_eq!(text(&summary, "event"), "Summary");
    assert!(objects.iter().all(|object| text(object, "event") == "Rule"));
    (objects, summary)
}

/// Returns the ids of the rules with this result, in order.
fn ids<'a>(rules: &'a [Value], result: &str) -> Vec<&'a str> {
    let rules = rules.iter().filter(|rule| text(rule, "result") == result);
    rules.map(|rule| text(rule, "rule")).collect()
}

/// Returns the received data for each rule with this result.
fn received(rules: &[Value], result: &str) -> Vec<String> {
    let rules = rules.iter().filter(|rule| text(rule, "result") == result);
    rules
        .map(|rule| format!("{}: {}", text(rule, "rule"), text(rule, "received")))
        .collect()
}

#[test]
fn local_node_breaks_the_documented_rules_only() {
    let node = LocalNode::start().unwrap();
    node.mine(BLOCKS as usize).unwrap();
    let ended = conform(&node.address().to_string(), &["--mine", "--timeout", "5"]);
    let (rules, summary) = results(&ended);
    let broken = received(&rules, "fail");
    assert_eq!(ids(&rules, "fail"), LOCAL_NODE, "{broken:#?}");
    assert_eq!(ids(&rules, "different"), [""; 0]);
    assert_eq!(ids(&rules, "skipped"), skipped());
    assert_eq!(summary["fail"], json!(LOCAL_NODE));
    assert_eq!(summary["pass"], ids(&rules, "pass").len());
    ended.assert_status(i32::from(!LOCAL_NODE.is_empty()));
}

#[test]
fn local_node_with_options_keeps_more_rules() {
    let config = LocalNodeConfig {
        keep_orphans: true,
        ..LocalNodeConfig::default().with_filters()
    };
    let node = LocalNode::start_at(([127, 0, 0, 1], 0).into(), config).unwrap();
    node.mine(1).unwrap();
    let options = ["--rule", "tx-orphan", "--rule", "filter-applies"];
    let ended = conform(&node.address().to_string(), &options);
    ended.assert_success();
    let (rules, _) = results(&ended);
    let pass = ids(&rules, "pass");
    assert_eq!(pass, ["filter-applies", "tx-orphan"], "{rules:#?}");
}

#[test]
fn local_teranode_differs_only_as_documented() {
    let any_port = ([127, 0, 0, 1], 0).into();
    let node = LocalNode::start_at(any_port, LocalNodeConfig::teranode()).unwrap();
    node.mine(BLOCKS as usize).unwrap();
    let ended = conform(&node.address().to_string(), &["--timeout", "3"]);
    let (rules, _) = results(&ended);
    assert_eq!(received(&rules, "fail"), [""; 0]);
    let different = ids(&rules, "different");
    for rule in ["command-unknown", "getheaders-from-genesis", "inv-block"] {
        assert!(different.contains(&rule), "{different:?}");
    }
    ended.assert_success();
}

#[test]
fn ban_rules_run_last_when_included() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let mut options = vec!["--include-bans", "--rule", "ping-nonce"];
    BANS.iter()
        .rev()
        .for_each(|rule| options.extend(["--rule", rule]));
    let ended = conform(&address, &options);
    let (rules, _) = results(&ended);
    let order: Vec<_> = rules.iter().map(|rule| text(rule, "rule")).collect();
    assert_eq!(order[0], "ping-nonce");
    assert_eq!(order[1..], *BANS);
    assert!(
        ended.errors.contains("warning: --include-bans"),
        "{ended:#?}"
    );
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_differs_in_the_documented_rules_only() {
    let node = RealNode::start(&[]);
    node.generate(BLOCKS);
    let address = node.address().to_string();
    let ended = conform(&address, &["--mine"]);
    ended.assert_success();
    let (rules, summary) = results(&ended);
    let different = received(&rules, "different");
    assert_eq!(ids(&rules, "different"), NODE_1_0_13, "{different:#?}");
    assert_eq!(ids(&rules, "skipped"), skipped());
    assert_eq!(summary["fail"], json!([]));
    for different in rules.iter().filter(|rule| rule["result"] == "different") {
        assert!(text(different, "note").contains("1.0.13 ignores"));
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_bans_for_each_ban_rule() {
    let node = RealNode::start(&[]);
    node.generate(1);
    let address = node.address().to_string();
    for rule in BANS {
        let ended = conform(&address, &["--include-bans", "--rule", rule]);
        let (rules, _) = results(&ended);
        assert_eq!(ids(&rules, "pass"), [*rule], "{rules:#?}");
        ended.assert_status(0);
        // By a score, this node bans no address of this machine.
        let banned = node.rpc("listbanned", json!([]));
        let is_banned = banned[0]["address"] == "127.0.0.1/32";
        let at_once = ["protoconf-too-long", "payload-too-long", "magic-mismatched"];
        assert_eq!(is_banned, at_once.contains(rule), "{rule}: {banned}");
        let note = text(&rules[0], "note");
        assert_eq!(
            note.contains("banned, or the node is full"),
            is_banned,
            "{note}"
        );
        node.rpc("clearbanned", json!([]));
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn run_stops_at_ban_with_explanation() {
    let node = RealNode::start(&[]);
    node.generate(1);
    let options = [
        "--include-bans",
        "--rule",
        "payload-too-long",
        "--rule",
        "magic-mismatched",
    ];
    let (rules, _) = results(&conform(&node.address().to_string(), &options));
    assert_eq!(ids(&rules, "pass"), ["payload-too-long"]);
    assert_eq!(ids(&rules, "skipped"), ["magic-mismatched"]);
    let reason = text(&rules[1], "received");
    assert!(
        reason.contains("closes new connections without an answer since rule payload-too-long")
    );
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_without_blocks_skips_block_rules() {
    let node = RealNode::start(&[]);
    let ended = conform(&node.address().to_string(), &[]);
    ended.assert_success();
    let (rules, _) = results(&ended);
    let skipped = ids(&rules, "skipped");
    assert!(skipped.contains(&"getheaders-from-genesis"), "{skipped:?}");
    assert!(!ids(&rules, "pass").is_empty());
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_with_bloom_filters_applies_them() {
    let node = RealNode::start(&["-peerbloomfilters=1"]);
    node.generate(1);
    let bans = [
        "--include-bans",
        "--rule",
        "filterload-refused",
        "--rule",
        "filteradd-refused",
    ];
    let options = [&["--rule", "filter-applies"], &bans[..]].concat();
    let ended = conform(&node.address().to_string(), &options);
    let (rules, _) = results(&ended);
    assert_eq!(ids(&rules, "pass"), ["filter-applies"], "{rules:#?}");
    assert_eq!(
        ids(&rules, "skipped"),
        ["filterload-refused", "filteradd-refused"]
    );
}

#[test]
fn rules_extend_the_chain_only_if_allowed() {
    let node = LocalNode::start().unwrap();
    node.mine(1).unwrap();
    let address = node.address().to_string();
    let rule = ["--rule", "announce-by-inv"];
    let (rules, _) = results(&conform(&address, &rule));
    assert_eq!(ids(&rules, "skipped"), ["announce-by-inv"]);
    assert_eq!(node.height(), 1);
    let (rules, _) = results(&conform(&address, &[&rule[..], &["--mine"]].concat()));
    assert_eq!(ids(&rules, "pass"), ["announce-by-inv"], "{rules:#?}");
    assert_eq!(node.height(), 2);
}

#[test]
fn public_networks_need_confirmation() {
    let (_closed, closed) = servers::closed_port();
    for network in ["mainnet", "testnet", "stn", "teratestnet", "tstn"] {
        let arguments = [&closed, "--network", network];
        run("conform", &arguments).assert_failure(2, "--i-operate-this-node");
        let confirmed = [&arguments[..], &["--i-operate-this-node"]].concat();
        run("conform", &confirmed).assert_failure(1, "refused");
    }
}

#[test]
fn list_describes_every_rule_once() {
    let ended = run("conform", &["--list", "--json"]);
    ended.assert_success();
    let rules: Vec<_> = ended.lines.iter().map(|line| object(line)).collect();
    let ids: BTreeSet<_> = rules.iter().map(|rule| text(rule, "rule")).collect();
    assert_eq!(ids.len(), rules.len(), "an id stands twice");
    assert!(BANS.iter().all(|rule| ids.contains(rule)));
    for rule in &rules {
        for field in ["rule", "text", "source", "expected"] {
            assert!(!text(rule, field).is_empty(), "{rule}");
        }
    }
    let table = run("conform", &["--list"]);
    table.assert_success();
    for id in ids {
        let row = format!("{id} ");
        assert!(
            table.lines.iter().any(|line| line.starts_with(&row)),
            "{id}"
        );
    }
}

#[test]
fn table_shows_expected_and_received() {
    let node = LocalNode::start().unwrap();
    node.mine(1).unwrap();
    let address = node.address().to_string();
    let arguments = [
        &address,
        "--network",
        "regtest",
        "--rule",
        "ping-nonce",
        "--rule",
        "getheaders-limit",
    ];
    let ended = run("conform", &arguments);
    ended.assert_success();
    let rest = |line: &str| line.trim_start().to_owned();
    let [who, _, pass, expected, received, skipped, reason, summary] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert!(who.starts_with(&format!("{address}: /bsv-p2p")), "{who}");
    assert!(pass.starts_with("pass      ping-nonce "), "{pass}");
    assert_eq!(rest(expected), "expected: pong with the nonce of the ping");
    assert_eq!(rest(received), "received: pong with the nonce of the ping");
    assert!(
        skipped.starts_with("skipped   getheaders-limit "),
        "{skipped}"
    );
    assert!(rest(reason).starts_with("reason: node serves fewer than 2001 headers"));
    assert_eq!(summary, "pass 1, different 0, fail 0, skipped 1");
}

#[test]
fn rate_limits_new_connections() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let arguments = [
        &address,
        "--network",
        "regtest",
        "--rate",
        "2",
        "--rule",
        "ping-nonce",
        "--rule",
        "ping-order",
    ];
    let started = Instant::now();
    run("conform", &arguments).assert_success();
    // Three connections, with half a second between each.
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn node_that_stops_accepting_ends_the_run() {
    let listener = RawListener::new();
    let address = listener.address().to_string();
    let server = thread::spawn(move || {
        serve(&mut listener.accept());
        // The rule, and the connection that checks for a ban.
        drop(listener.accept());
        drop(listener.accept());
    });
    let ended = conform(&address, &["--rule", "ping-nonce", "--rule", "ping-order"]);
    server.join().unwrap();
    ended.assert_failure(1, "violates: ping-nonce");
    let (rules, _) = results(&ended);
    assert_eq!(ids(&rules, "fail"), ["ping-nonce"]);
    assert!(text(&rules[0], "note").contains("this address is banned, or"));
    assert_eq!(ids(&rules, "skipped"), ["ping-order"]);
    assert!(text(&rules[1], "received").contains("since rule ping-nonce"));
}

#[test]
fn known_difference_that_ends_the_node_fails() {
    let listener = RawListener::new();
    let address = listener.address().to_string();
    let server = thread::spawn(move || {
        serve_as(&mut listener.accept(), "/Bitcoin SV:1.0.13/");
        serve_as(&mut listener.accept(), "/Bitcoin SV:1.0.13/");
        drop(listener.accept());
    });
    let ended = conform(&address, &["--rule", "inv-invalid-type"]);
    server.join().unwrap();
    ended.assert_failure(1, "violates: inv-invalid-type");
    let (rules, _) = results(&ended);
    let note = text(&rules[0], "note");
    let has_both = note.contains("1.0.13 ignores") && note.contains("closes new connections");
    assert!(has_both, "{note}");
}

#[test]
fn node_that_closes_at_once_is_explained() {
    let address = servers::hangs_up();
    conform(&address, &[]).assert_failure(1, "this address is banned, the node is full");
}

#[test]
fn flood_of_messages_fails_the_rule() {
    let listener = RawListener::new();
    let address = listener.address().to_string();
    let server = thread::spawn(move || {
        serve(&mut listener.accept());
        let flooded = listener.accept();
        while flooded.try_send(Ping::new(1)) {}
        serve(&mut listener.accept());
    });
    let ended = conform(&address, &["--rule", "ping-nonce"]);
    server.join().unwrap();
    let (rules, _) = results(&ended);
    assert!(
        text(&rules[0], "received").contains("more messages than"),
        "{rules:#?}"
    );
    ended.assert_status(1);
}

#[test]
fn silent_server_fails_within_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ended = conform(&address, &["--timeout", "1"]);
    ended.assert_failure(1, "no answer within 1s");
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

/// Answers as a node until the other side closes the connection.
fn serve(peer: &mut RawPeer) {
    serve_as(peer, USER_AGENT);
}

/// Like [`serve`], with another user agent.
fn serve_as(peer: &mut RawPeer, user_agent: &str) {
    let version = Version {
        user_agent: Some(user_agent.into()),
        ..version()
    };
    let mut is_open = true;
    while is_open && let Some(message) = peer.next() {
        is_open = match message {
            Message::Version(_) => {
                peer.try_send(version.clone())
                    && peer.try_send(Message::Verack)
                    && peer.try_send(protoconf())
            }
            Message::GetData(request) => peer.try_send(NotFound::from(request.inventory)),
            _ => true,
        };
    }
}

#[test]
fn teranode_differs_only_as_documented() {
    for config in [
        TeranodeConfig::v1(),
        TeranodeConfig::v3(JoinOrder::VerackFirst),
    ] {
        let teranode = Teranode::start(TeranodeConfig {
            judge_tx: |_| TxVerdict::Rejected,
            ..config.with_blocks(BLOCKS)
        });
        let ended = conform(&teranode.address().to_string(), &["--timeout", "3"]);
        let (rules, _) = results(&ended);
        assert_eq!(received(&rules, "fail"), [""; 0]);
        let different = ids(&rules, "different");
        for rule in [
            "command-unknown",
            "getheaders-from-genesis",
            "version-second",
        ] {
            assert!(different.contains(&rule), "{different:?}");
        }
        let pass = ids(&rules, "pass");
        for rule in ["version-answered", "ping-nonce", "inv-tx"] {
            assert!(pass.contains(&rule), "{pass:?}");
        }
        // The rules for which only a Teranode bans are not run either.
        let skipped = ids(&rules, "skipped");
        assert!(skipped.contains(&"user-agent-empty") && skipped.contains(&"version-shortest"));
        assert!(!teranode.is_banned(teranode.address().ip()));
    }
}
