//! `headers`.

use std::fs;

use bsv_p2p::Network;
use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{BlockHash, BlockHeader};

use crate::servers;
use crate::tool::{integer, object, run, text};

#[test]
fn all_headers_are_written_byte_for_byte_genesis_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let out = file.to_str().unwrap();
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let mut expected = BlockHeader::genesis(Network::Regtest).to_bytes().to_vec();
    // None, some, as many as fit into one answer, and more.
    for more in [0, 3, 1_997, 100] {
        for hash in node.mine(more).unwrap() {
            expected.extend(node.block(hash).unwrap().header().to_bytes());
        }
        let ended = run("headers", &[&address, "--network", "regtest", "--out", out]);
        ended.assert_success();
        let said = [
            format!("height {}", node.height()),
            format!("tip {}", node.tip()),
        ];
        assert_eq!(ended.lines, said);
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
}

#[test]
fn a_file_that_cannot_be_written_is_a_failure_that_names_it() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("file");
    let mut files = vec![folder.path().to_str().unwrap(), missing.to_str().unwrap()];
    if cfg!(target_os = "linux") {
        files.push("/dev/full");
    }
    for file in files {
        let ended = run(
            "headers",
            &[&address, "--network", "regtest", "--out", file],
        );
        ended.assert_failure(1, file);
        assert!(ended.lines.is_empty(), "{ended:#?}");
    }
}

/// A chain of so many headers above the genesis block.
fn chain(length: usize) -> Vec<BlockHeader> {
    let mut chain = Chain::new();
    let headers = (0..length).map(|_| {
        let block = chain.template(1_700_000_000, 0).mine();
        chain.accept(&block, 1_700_000_000).unwrap();
        block.header()
    });
    headers.collect()
}

#[test]
fn a_header_that_does_not_follow_the_one_before_is_named() {
    let mut headers = chain(5);
    let foreign = BlockHash([7; 32]);
    headers[3].previous = foreign;
    while headers[3].check_proof_of_work(Network::Regtest).is_err() {
        headers[3].nonce += 1;
    }
    let third = headers[2].hash();
    let ended = run(
        "headers",
        &[&servers::headers(headers), "--network", "regtest"],
    );
    ended.assert_failure(1, &format!("header 4 follows {foreign}, not {third}"));
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn a_header_without_its_proof_of_work_is_named() {
    let mut headers = chain(5);
    while headers[4].check_proof_of_work(Network::Regtest).is_ok() {
        headers[4].nonce += 1;
    }
    let ended = run(
        "headers",
        &[&servers::headers(headers), "--network", "regtest"],
    );
    ended.assert_failure(1, "header 5: ");
    assert!(ended.lines.is_empty(), "{ended:#?}");
}

#[test]
fn a_node_that_goes_on_sending_what_it_has_sent_is_named() {
    // Every answer is the first once more.
    let ended = run(
        "headers",
        &[&servers::headers(chain(2_000)), "--network", "regtest"],
    );
    ended.assert_failure(1, "the node sends 2000 headers that it has sent before");
}
