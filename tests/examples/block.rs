//! `block`.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{Block, BlockHash};
use tempfile::TempDir;

use crate::servers;
use crate::tool::{Ended, Tool, integer, number, object, run, text};

/// Downloads a block of regtest into `block` in this folder.
fn download(folder: &Path, hash: BlockHash, arguments: &[&str]) -> Ended {
    start(folder, hash, arguments).finish()
}

fn start(folder: &Path, hash: BlockHash, arguments: &[&str]) -> Tool {
    let (out, hash) = (folder.join("block"), hash.to_string());
    let common = [
        &hash,
        "--network",
        "regtest",
        "--out",
        out.to_str().unwrap(),
    ];
    Tool::start("block", &[&common, arguments].concat())
}

/// Returns the names in a folder.
fn content(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn written(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("block")).unwrap()
}

/// Returns a node with some blocks; its address; the last block.
fn node() -> (LocalNode, String, Block) {
    let node = LocalNode::start().unwrap();
    node.mine(3).unwrap();
    let (address, block) = (node.address().to_string(), node.block(node.tip()).unwrap());
    (node, address, block)
}

#[test]
fn block_is_written_to_a_single_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_node, address, block) = node();
    let ended = download(folder.path(), block.hash(), &["--peer", &address]);
    ended.assert_success();
    let [name, size, transactions, peer, time] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(name, &format!("block {}", block.hash()));
    assert_eq!(size, &format!("size {} bytes", block.bytes().len()));
    assert_eq!(transactions, "transactions 1");
    assert_eq!(peer, &format!("peer {address}"));
    assert!(time.starts_with("time ") && time.ends_with(" s"), "{time}");
    assert_eq!(written(&folder), block.bytes()[..]);
    assert_eq!(content(&folder), ["block"]);
}

#[test]
fn block_uses_nodes_of_seed_at_default_port() {
    let folder = tempfile::tempdir().unwrap();
    let (node, address, block) = node();
    let seed = servers::seed(node.address());
    let seeds = seed.each_ref().map(String::as_str);
    let ended = download(folder.path(), block.hash(), &seeds);
    ended.assert_success();
    assert_eq!(ended.lines[3], format!("peer {address}"));
    // A missing name server only costs time, and an unresolvable peer is reported.
    let (_closed, closed) = servers::closed_port();
    let peers = [
        "--dns",
        &closed,
        "--dns",
        seeds[3],
        "--peer",
        "127.0.0.1:port",
    ];
    let ended = download(folder.path(), block.hash(), &[&peers[..], &seeds].concat());
    ended.assert_success();
    assert!(ended.lines[0].starts_with("127.0.0.1:port: "), "{ended:#?}");
    assert_eq!(ended.lines[4], format!("peer {address}"));
}

#[test]
fn block_json_reports_failed_and_successful_peers() {
    let folder = tempfile::tempdir().unwrap();
    // An existing file is replaced.
    fs::write(folder.path().join("block"), vec![7; 1_000]).unwrap();
    let (_node, address, block) = node();
    let (_closed, closed) = servers::closed_port();
    let poor = LocalNode::start().unwrap();
    let poor = poor.address().to_string();
    let peers = ["--peer", &closed, "--peer", &poor, "--peer", &address];
    let ended = download(
        folder.path(),
        block.hash(),
        &[&peers[..], &["--json"]].concat(),
    );
    ended.assert_success();
    let objects: Vec<_> = ended.lines.iter().map(|line| object(line)).collect();
    let [refused, not_found, given] = &objects[..] else {
        panic!("{ended:#?}");
    };
    for (failed, peer, reason) in [
        (refused, &closed, "refused"),
        (not_found, &poor, "not found"),
    ] {
        assert_eq!(text(failed, "event"), "PeerFailed");
        assert_eq!(text(failed, "peer"), peer);
        assert!(text(failed, "reason").contains(reason), "{failed}");
    }
    assert_eq!(text(given, "event"), "Block");
    assert_eq!(text(given, "hash"), block.hash().to_string());
    assert_eq!(integer(given, "size_bytes"), block.bytes().len() as i64);
    assert_eq!(integer(given, "transactions"), 1);
    assert_eq!(text(given, "peer"), address);
    assert!(number(given, "duration_ms") > 0.0);
    assert_eq!(written(&folder), block.bytes()[..]);
    assert_eq!(content(&folder), ["block"]);
}

#[test]
fn mismatched_block_is_rejected_and_next_peer_requested() {
    let (_node, address, block) = node();
    let mut payload = block.bytes().to_vec();
    *payload.last_mut().unwrap() ^= 1;
    let liar = servers::block(payload);
    let folder = tempfile::tempdir().unwrap();
    let ended = download(folder.path(), block.hash(), &["--peer", &liar]);
    ended.assert_failure(1, "not received from 1 peer");
    ended.assert_failure(1, "merkle root");
    assert!(content(&folder).is_empty());

    let peers = ["--peer", &liar, "--peer", &address];
    let ended = download(folder.path(), block.hash(), &peers);
    ended.assert_success();
    assert!(ended.lines[0].starts_with(&liar), "{ended:#?}");
    assert_eq!(written(&folder), block.bytes()[..]);
    assert_eq!(content(&folder), ["block"]);
}

#[test]
fn unknown_block_fails_and_keeps_existing_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_node, address, _) = node();
    fs::write(folder.path().join("block"), "before").unwrap();
    let ended = download(folder.path(), BlockHash([7; 32]), &["--peer", &address]);
    ended.assert_failure(1, "block 0707");
    ended.assert_failure(1, " not received from 1 peer; last failure: ");
    ended.assert_failure(1, "not found");
    assert_eq!(content(&folder), ["block"]);
    assert_eq!(written(&folder), b"before");
}

#[test]
fn block_timeout_holds_and_leaves_no_file() {
    let (_node, _, block) = node();
    // One accepts the connection and is silent, one sends the first half of the block.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for peer in [silent, servers::half_a_block(&block)] {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let ended = download(
            folder.path(),
            block.hash(),
            &["--peer", &peer, "--timeout", "1"],
        );
        ended.assert_failure(1, "download of block ");
        ended.assert_failure(1, " timed out after 1s");
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{:?}",
            begin.elapsed()
        );
        assert!(content(&folder).is_empty());
    }
}

#[test]
fn interrupted_download_leaves_no_file() {
    let (_node, _, block) = node();
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap().to_string();
    let tool = start(folder.path(), block.hash(), &["--peer", &peer]);
    // The tool has sent its version, so it handles interrupts.
    let mut stream = listener.accept().unwrap().0;
    stream.read_exact(&mut [0; 24]).unwrap();
    assert_eq!(content(&folder).len(), 1);
    tool.interrupt();
    tool.finish().assert_failure(1, "interrupted");
    assert!(content(&folder).is_empty());
}

#[test]
fn output_path_must_be_a_regular_file() {
    let (_node, address, block) = node();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("block");
    let folder = folder.path().to_str().unwrap();
    let hash = block.hash().to_string();
    let mut places = vec![folder, missing.to_str().unwrap()];
    if cfg!(unix) {
        places.push("/dev/null");
    }
    for out in places {
        let arguments = [
            &hash,
            "--network",
            "regtest",
            "--out",
            out,
            "--peer",
            &address,
        ];
        let ended = run("block", &arguments);
        ended.assert_failure(1, out);
        assert!(ended.lines.is_empty(), "{ended:#?}");
        assert!(!ended.errors.contains(".part"), "{ended:#?}");
    }
    #[cfg(unix)]
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn missing_folder_of_output_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let out = missing.join("block");
    let hash = BlockHash([7; 32]).to_string();
    let arguments = [&hash, "--out", out.to_str().unwrap(), "--peer", "127.0.0.1"];
    let ended = run("block", &arguments);
    let system = fs::metadata(&missing).unwrap_err();
    let said = format!(
        "{}: directory {}: {system}",
        out.display(),
        missing.display()
    );
    ended.assert_failure(1, &said);
    let ended = run("headers", &["127.0.0.1:1", "--out", out.to_str().unwrap()]);
    ended.assert_failure(1, &said);
}

#[test]
#[cfg(unix)]
fn symbolic_link_is_kept() {
    let (_node, address, block) = node();
    let folder = tempfile::tempdir().unwrap();
    let behind = folder.path().join("behind");
    fs::write(&behind, "before").unwrap();
    std::os::unix::fs::symlink("behind", folder.path().join("block")).unwrap();
    download(folder.path(), block.hash(), &["--peer", &address]).assert_success();
    assert!(folder.path().join("block").is_symlink());
    assert_eq!(fs::read(behind).unwrap(), block.bytes()[..]);
}
