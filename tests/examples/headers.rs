//! `headers`.

use std::fs;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, BlockHeader, CompactTarget};
use test_support::header_server::{Answers, HeaderServer, HeaderServerOptions};

use crate::mining::{bytes_of, extended, genesis, mined_on, mined_with};
use crate::servers;
use crate::tool::{Ended, integer, object, run, text};

/// A time far in the future, in Unix seconds.
const FUTURE: u32 = 4_000_000_000;

/// Runs the tool against a regtest server.
#[track_caller]
fn run_headers(server: &HeaderServer, arguments: &[&str]) -> Ended {
    let address = server.address.to_string();
    let common = ["--network", "regtest", &address];
    run("headers", &[&common, arguments].concat())
}

#[track_caller]
fn assert_tip(ended: &Ended, chain: &[BlockHeader]) {
    ended.assert_status(0);
    let expected = [
        format!("height {}", chain.len() - 1),
        format!("tip {}", chain[chain.len() - 1].hash()),
    ];
    assert_eq!(ended.lines, expected, "{ended:#?}");
}

#[track_caller]
fn assert_rule_broken(chain: &[BlockHeader], rule: &str) {
    let server = HeaderServerOptions::new(chain, Answers::Node).listen();
    let ended = run_headers(&server, &[]);
    let (hash, height) = (chain[chain.len() - 1].hash(), chain.len() - 1);
    ended.assert_failure(1, &format!("header {hash} at height {height}: {rule}"));
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn all_headers_are_exported_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let out = file.to_str().unwrap();
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let mut expected = BlockHeader::genesis(&Network::Regtest).to_bytes().to_vec();
    // None, some, as many as fit into one answer, and more.
    for more in [0, 3, 1_997, 100] {
        for hash in node.mine(more).unwrap() {
            expected.extend(node.block(hash).unwrap().header().to_bytes());
        }
        let ended = run("headers", &[&address, "--network", "regtest", "--out", out]);
        ended.assert_success();
        let lines = [
            format!("height {}", node.height()),
            format!("tip {}", node.tip()),
        ];
        assert_eq!(ended.lines, lines);
        assert!(fs::read(&file).unwrap() == expected, "at {}", node.height());
    }
    let ended = run("headers", &[&address, "--network", "regtest", "--json"]);
    ended.assert_success();
    let [line] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    let object = object(line);
    assert_eq!(integer(&object, "height"), 2_100);
    assert_eq!(text(&object, "tip"), node.tip().to_string());
    // Two hashes per block, also for genesis.
    assert_eq!(text(&object, "work"), format!("{:064x}", 2 * 2_101));
    assert_eq!(text(&object, "event"), "Summary");
    assert_eq!(text(&object, "peer"), address);
    assert_eq!(integer(&object, "downloaded"), 2_100);
    assert!(object["loaded"].is_null(), "{object}");
}

#[test]
fn unwritable_file_is_named() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("file");
    let mut files = vec![folder.path().to_str().unwrap(), missing.to_str().unwrap()];
    if cfg!(target_os = "linux") {
        files.push("/dev/full");
    }
    for option in ["--out", "--headers"] {
        for file in &files {
            let arguments = [&address, "--network", "regtest", option, file];
            let ended = run("headers", &arguments);
            ended.assert_failure(1, file);
            assert!(ended.lines.is_empty(), "{ended:#?}");
        }
    }
}

#[test]
fn failed_download_keeps_existing_export() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    fs::write(&file, "content").unwrap();
    let server = HeaderServerOptions::new(&[genesis()], Answers::Never).listen();
    let out = file.to_str().unwrap();
    let ended = run_headers(&server, &["--out", out, "--timeout", "1"]);
    ended.assert_failure(1, "download timed out after 1s at height 0");
    assert_eq!(fs::read(&file).unwrap(), b"content");
}

#[test]
fn headers_reads_every_kind_of_server_to_tip() {
    let chain = extended(&[genesis()], 2_500, 0);
    for answers in [
        Answers::Node,
        Answers::AtMost(500),
        Answers::Inclusive,
        Answers::NothingAtTip,
    ] {
        for length in [1, 2, 2_001, 2_501] {
            let chain = &chain[..length];
            let server = HeaderServerOptions {
                claimed_height: 1_000_000,
                ..HeaderServerOptions::new(chain, answers)
            };
            let ended = run_headers(&server.listen(), &[]);
            assert_tip(ended.assert_success(), chain);
        }
    }
}

#[test]
fn header_with_invalid_bits_is_reported() {
    let mut chain = extended(&[genesis()], 3, 0);
    let easy = CompactTarget(0x207f_fffe);
    chain.push(mined_with(&chain[3], |header| header.bits = easy));
    assert_rule_broken(&chain, "expected bits 207fffff, got 207ffffe");
}

#[test]
fn header_without_proof_of_work_is_named() {
    let mut chain = extended(&[genesis()], 5, 0);
    while chain[5].check_proof_of_work(&Network::Regtest).is_ok() {
        chain[5].nonce += 1;
    }
    let hash = chain[5].hash();
    assert_rule_broken(
        &chain,
        &format!("proof of work is invalid: hash {hash} is above the target of bits 207fffff"),
    );
}

#[test]
fn header_with_invalid_time_is_named() {
    let chain = extended(&[genesis()], 20, 0);
    // The last 11 headers are 10 to 20, in order of time.
    let median = chain[15].time;
    let mut old = chain.clone();
    old.push(mined_with(&chain[20], |header| header.time = median));
    assert_rule_broken(
        &old,
        &format!("expected a time after {median}, got {median}"),
    );
    let mut new = chain.clone();
    new.push(mined_with(&chain[20], |header| header.time = FUTURE));
    assert_rule_broken(&new, "expected a time of at most ");
}

#[test]
fn unlinked_header_is_named() {
    let mut chain = extended(&[genesis()], 4, 0);
    let (expected, got) = (chain[3].hash(), BlockHash([7; 32]));
    chain[4] = mined_with(&chain[3], |header| header.previous = got);
    assert_rule_broken(&chain, &format!("expected parent {expected}, got {got}"));
}

#[test]
fn answers_of_single_headers_are_limited() {
    let chain = extended(&[genesis()], 150, 0);
    let trickle = Answers::Trickle(Duration::ZERO);
    let server = HeaderServerOptions::new(&chain[..50], trickle).listen();
    assert_tip(run_headers(&server, &[]).assert_success(), &chain[..50]);
    let server = HeaderServerOptions::new(&chain, trickle).listen();
    let ended = run_headers(&server, &[]);
    let limit = "more than 100 answers with fewer than 100 new headers";
    ended.assert_failure(1, limit);
    assert_eq!(server.requests(), 101);
}

#[test]
fn slow_answers_end_at_timeout() {
    let chain = extended(&[genesis()], 50, 0);
    let trickle = Answers::Trickle(Duration::from_millis(300));
    for answers in [trickle, Answers::Never] {
        let server = HeaderServerOptions::new(&chain, answers).listen();
        let ended = run_headers(&server, &["--timeout", "1"]);
        ended.assert_failure(1, "download timed out after 1s at height ");
        assert!(ended.lines.is_empty(), "{ended:#?}");
    }
}

#[test]
fn repeated_headers_are_refused() {
    // Every response repeats the first one.
    let chain = extended(&[genesis()], 2_000, 0);
    let server = servers::repeated_headers(chain[1..].to_vec());
    let ended = run("headers", &[&server, "--network", "regtest"]);
    let tip = chain[2_000].hash();
    ended.assert_failure(1, &format!("node repeats known headers up to {tip}"));
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn chain_below_minimum_work_is_refused() {
    let bytes = include_bytes!("../vectors/headers/mainnet-0-2016.bin");
    let (headers, _) = bytes.as_chunks();
    let headers: Vec<_> = headers.iter().map(BlockHeader::from_bytes).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let server = servers::header_chain(Network::Mainnet, headers);
    let ended = run("headers", &[&server, "--out", file.to_str().unwrap()]);
    ended.assert_failure(1, "chain of height 2016 has work ");
    ended.assert_failure(1, ", expected at least ");
    assert!(ended.lines.is_empty(), "{ended:#?}");
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn easy_mainnet_header_is_named() {
    let genesis = BlockHeader::genesis(&Network::Mainnet);
    let easy = mined_on(&genesis, 0);
    let server = servers::header_chain(Network::Mainnet, vec![genesis, easy]);
    let ended = run("headers", &[&server]);
    let hash = easy.hash();
    ended.assert_failure(
        1,
        &format!("header {hash} at height 1: proof of work is invalid: target of bits 207fffff is easier "),
    );
}

#[test]
fn second_run_downloads_new_headers_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 4_100, 0);
    let mut loaded = 0;
    for (length, downloaded, requests) in [(4_001, 4_000, 3), (4_001, 0, 1), (4_101, 100, 2)] {
        let server = HeaderServerOptions::new(&chain[..length], Answers::Node).listen();
        let ended = run_headers(&server, &["--headers", path, "--json"]);
        ended.assert_status(0);
        assert_eq!(ended.errors, format!("{path}: loaded {loaded} headers\n"));
        let object = object(&ended.lines[0]);
        assert_eq!(integer(&object, "loaded"), loaded);
        assert_eq!(integer(&object, "downloaded"), downloaded);
        assert_eq!(integer(&object, "height"), length as i64 - 1);
        assert_eq!(server.requests(), requests);
        assert!(fs::read(&file).unwrap() == bytes_of(&chain[..length]));
        loaded = length as i64;
    }
}

#[test]
fn failed_run_keeps_valid_headers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let mut chain = extended(&[genesis()], 2_500, 0);
    let valid = bytes_of(&chain[..2_001]);
    chain[2_100] = mined_with(&chain[2_099], |header| header.time = 0);
    chain.truncate(2_101);
    let server = HeaderServerOptions::new(&chain, Answers::Node).listen();
    let ended = run_headers(&server, &["--headers", path]);
    ended.assert_status(1);
    let lines: Vec<_> = ended.errors.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:#?}");
    assert!(lines[1].contains("at height 2100: expected a time after "));
    assert!(fs::read(&file).unwrap() == valid);
}

#[test]
fn damaged_file_is_reported_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 30, 0);
    let whole = bytes_of(&chain);
    let mut flipped = whole.clone();
    flipped[80 * 10 + 40] ^= 1;
    let server = HeaderServerOptions::new(&chain, Answers::Node).listen();
    for (bytes, damage) in [
        (whole[..80 * 20 + 5].to_vec(), "5 bytes from height 20 on"),
        (
            [&whole[..], &[7; 33]].concat(),
            "33 bytes from height 31 on",
        ),
        (flipped, "bytes from height 1"),
    ] {
        fs::write(&file, bytes).unwrap();
        let ended = run_headers(&server, &["--headers", path]);
        assert_tip(&ended, &chain);
        let lines: Vec<_> = ended.errors.lines().collect();
        assert_eq!(lines.len(), 2, "{ended:#?}");
        assert!(lines[1].contains(damage), "{ended:#?}");
        assert!(fs::read(&file).unwrap() == whole, "{damage}");
    }
}

#[test]
fn file_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let bytes = include_bytes!("../vectors/headers/mainnet-0-2016.bin");
    fs::write(&file, bytes).unwrap();
    let server = HeaderServerOptions::new(&[genesis()], Answers::Node).listen();
    let ended = run_headers(&server, &["--headers", path]);
    ended.assert_failure(1, path);
    ended.assert_failure(1, "of mainnet, expected ");
    assert_eq!(server.connections(), 0);
    assert!(fs::read(&file).unwrap() == bytes);
}

#[test]
fn heavier_branch_replaces_headers_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 2_500, 0);
    // Several answers pass until its work exceeds that of the file.
    let heavier = extended(&chain[..101], 2_500, 1);
    let lighter = extended(&chain[..2_451], 20, 1);
    for answers in [Answers::Node, Answers::AtMost(500), Answers::Inclusive] {
        fs::write(&file, bytes_of(&chain)).unwrap();
        let server = HeaderServerOptions::new(&lighter, answers).listen();
        assert_tip(&run_headers(&server, &["--headers", path]), &chain);
        assert!(fs::read(&file).unwrap() == bytes_of(&chain));
        let server = HeaderServerOptions::new(&heavier, answers).listen();
        assert_tip(&run_headers(&server, &["--headers", path]), &heavier);
        assert!(fs::read(&file).unwrap() == bytes_of(&heavier));
    }
}

#[test]
fn node_with_part_of_file_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let path = file.to_str().unwrap();
    let chain = extended(&[genesis()], 3_000, 0);
    fs::write(&file, bytes_of(&chain)).unwrap();
    for (length, answers) in [(1, Answers::Node), (2_000, Answers::AtMost(500))] {
        let server = HeaderServerOptions::new(&chain[..length], answers).listen();
        assert_tip(&run_headers(&server, &["--headers", path]), &chain);
    }
}

#[test]
fn same_file_for_both_options_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let chain = bytes_of(&extended(&[genesis()], 3, 0));
    fs::write(&file, &chain).unwrap();
    let path = file.to_str().unwrap();
    let server = HeaderServerOptions::new(&[genesis()], Answers::Node).listen();
    let ended = run_headers(&server, &["--headers", path, "--out", path]);
    ended.assert_status(2);
    assert!(ended.errors.contains("name one file"), "{ended:#?}");
    assert!(fs::read(&file).unwrap() == chain);
}
