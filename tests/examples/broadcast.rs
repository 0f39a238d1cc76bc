//! `broadcast`.

use std::io::{Seek, Write};
use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{Tx, Txid};
use serde_json::{Value, json};
use test_support::payment::payment;

use crate::servers;
use crate::tool::{DEADLINE, Ended, Tool, command, integer, object, run, text};

/// Returns a transaction that nodes accept, in hexadecimal, and its txid.
pub(crate) fn transaction(number: u32) -> (String, Txid) {
    let tx = Tx::from(&payment(number));
    (hex::encode(tx.bytes()), tx.txid())
}

/// Broadcasts a transaction on regtest.
fn broadcast(raw: &str, arguments: &[&str]) -> Ended {
    let common = [raw, "--network", "regtest"];
    run("broadcast", &[&common, arguments].concat())
}

/// Returns the events of this kind, and the summary.
fn events(ended: &Ended, event: &str) -> (Vec<Value>, Value) {
    let mut objects: Vec<_> = ended.lines.iter().map(|line| object(line)).collect();
    let summary = objects.pop().unwrap();
    assert_eq!(text(&summary, "event"), "Summary");
    objects.retain(|object| object["event"] == event);
    (objects, summary)
}

#[test]
fn broadcast_transaction_reaches_requesting_node() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let (raw, txid) = transaction(1);
    let ended = broadcast(&raw, &["--peer", &address]);
    ended.assert_success();
    let expected = [
        format!("transaction {txid}"),
        format!("{address}: requested the transaction"),
        "announced to 1, requested by 1, relayed by 0, rejected by 0".to_owned(),
    ];
    assert_eq!(ended.lines, expected);
    assert!(node.wait_for_transaction(txid, DEADLINE));
    assert_eq!(
        hex::encode(node.pooled_transaction(txid).unwrap().bytes()),
        raw
    );
}

#[test]
fn broadcast_reports_echo_of_unannounced_peer() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    nodes[0].connect(nodes[1].address()).unwrap();
    assert!(nodes[1].wait_for_peers(1, DEADLINE));
    let names = nodes.each_ref().map(|node| node.address().to_string());
    let (raw, txid) = transaction(2);
    let peers = ["--peer", &names[0], "--peer", &names[1], "--json"];
    let ended = broadcast(&raw, &peers);
    ended.assert_success();
    let (requested, summary) = events(&ended, "Requested");
    let [requested] = &requested[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(text(&summary, "txid"), txid.to_string());
    // Half of the peers, selected at random, received the announcement.
    let (first, second) = match text(requested, "peer") == names[0] {
        true => (&names[0], &names[1]),
        false => (&names[1], &names[0]),
    };
    assert_eq!(summary["announced_to"], 1);
    assert_eq!(summary["requested_by"], json!([first]));
    assert_eq!(summary["rejected_by"], json!([]));
    assert_eq!(summary["relayed_by"], json!([second]));
    let (relayed, _) = events(&ended, "Relayed");
    assert_eq!(text(&relayed[0], "peer"), second);
}

#[test]
fn broadcast_reports_reject_and_fails() {
    let peer = servers::wallet(|client, txid| {
        servers::ask(client, txid);
        servers::reject(client, txid);
    });
    let (raw, txid) = transaction(3);
    let ended = broadcast(&raw, &["--peer", &peer, "--json"]);
    ended.assert_failure(
        1,
        &format!("transaction {txid} rejected by every peer that requested it"),
    );
    let (rejected, summary) = events(&ended, "Rejected");
    let [rejected] = &rejected[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(text(rejected, "peer"), peer);
    assert_eq!(integer(rejected, "code"), 0x42);
    assert_eq!(text(rejected, "reason"), r"too\nlittle");
    assert_eq!(integer(&summary["rejected_by"][0], "code"), 0x42);

    let ended = broadcast(&raw, &["--peer", &peer]);
    ended.assert_failure(1, "rejected by every peer");
    let said = format!(r"{peer}: transaction rejected (0x42 insufficient fee): too\nlittle");
    assert!(ended.lines.contains(&said), "{ended:#?}");
}

#[test]
fn broadcast_ignores_messages_about_other_transactions() {
    let peer = servers::wallet(|_, _| {});
    let (raw, txid) = transaction(4);
    let begin = Instant::now();
    let ended = broadcast(&raw, &["--peer", &peer, "--json", "--timeout", "4"]);
    ended.assert_failure(
        1,
        &format!("transaction {txid} not requested by any peer within 4s"),
    );
    ended.assert_failure(1, "peers may already have it");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    let (_, summary) = events(&ended, "");
    assert_eq!(summary["announced_to"], 1);
    assert_eq!(summary["requested_by"], json!([]));
    // A peer that rejects the unseen transaction has not requested it.
    let peer = servers::wallet(servers::reject);
    let ended = broadcast(&raw, &["--peer", &peer, "--json", "--timeout", "4"]);
    ended.assert_failure(1, "not requested by any peer");
    let (rejected, summary) = events(&ended, "Rejected");
    assert_eq!(text(&rejected[0], "peer"), peer);
    assert_eq!(summary["requested_by"], json!([]));
}

#[test]
fn broadcast_reads_transaction_from_standard_input() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let (raw, txid) = transaction(5);
    let mut file = tempfile::tempfile().unwrap();
    writeln!(file, " {}\n{}", &raw[..20], raw[20..].to_uppercase()).unwrap();
    file.rewind().unwrap();
    let arguments = ["-", "--network", "regtest", "--peer", &address];
    let child = command("broadcast", &arguments).stdin(file).spawn();
    Tool::of("broadcast", child.unwrap())
        .finish()
        .assert_success();
    assert!(node.wait_for_transaction(txid, DEADLINE));
}

#[test]
fn broadcast_rejects_anything_but_one_transaction() {
    let (raw, _) = transaction(6);
    for (wrong, said) in [
        ("", "got nothing"),
        ("-", "got nothing"),
        ("zz", "not hexadecimal"),
        (&raw[1..], "not hexadecimal"),
        (&raw[2..], "invalid transaction"),
        (&raw[..raw.len() - 2], "invalid transaction"),
        (&format!("{raw}00"), "got 1 byte after it"),
        (&raw.repeat(2), "bytes after it"),
    ] {
        let ended = broadcast(wrong, &["--peer", "127.0.0.1:1"]);
        ended.assert_failure(2, said);
        assert!(ended.lines.is_empty(), "{ended:#?}");
    }
}

#[test]
fn peers_that_are_not_there_are_a_failure() {
    let (_closed, closed) = servers::closed_port();
    let (raw, txid) = transaction(7);
    let ended = broadcast(&raw, &["--peer", &closed, "--timeout", "1"]);
    ended.assert_failure(1, "no peer was reached");
    ended.assert_failure(1, &closed);
    assert_eq!(ended.lines[0], format!("transaction {txid}"));
}

#[test]
fn broadcast_uses_nodes_of_seed() {
    let node = LocalNode::start().unwrap();
    let (raw, txid) = transaction(8);
    let seed = servers::seed(node.address());
    let seeds = seed.each_ref().map(String::as_str);
    let arguments = [&[&raw[..], "--network", "regtest", "--json"], &seeds[..]].concat();
    let tool = Tool::start("broadcast", &arguments);
    tool.object(|_| (), |object| object["event"] == "Requested");
    assert!(node.wait_for_transaction(txid, DEADLINE));
    // The tool would wait for further peers.
    tool.interrupt();
    let ended = tool.finish();
    ended.assert_success();
    assert_eq!(
        events(&ended, "").1["requested_by"],
        json!([node.address().to_string()])
    );
}
