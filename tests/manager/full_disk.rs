//! A full disk at the file of the store, in a separate process whose files may not exceed some KiB.
#![cfg(unix)]

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::{StoreError, Subnet};
use bsv_p2p::{Error, HeaderStore, HeaderStoreError, Manager, Network};
use test_support::header_server::{Answers, HeaderServerOptions};

use crate::chain_sync::{mined_headers, tip_of};
use crate::harness::*;

/// Environment variable: the path of the file, in the process whose files cannot grow.
const FILE: &str = "BSV_P2P_TEST_FILLS_DISK";
const TEST: &str = "full_disk::full_disk_is_reported_and_keeps_the_file";
const HEADERS_TEST: &str = "full_disk::full_disk_stops_header_file_and_not_manager";
/// The number of headers that the peer has, of which about 100 fit in the file.
const HEADERS: usize = 300;

#[test]
fn full_disk_is_reported_and_keeps_the_file() {
    if let Some(path) = env::var_os(FILE) {
        return fill(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    run_on_full_disk(TEST, &folder.path().join("peers.json"));
}

#[test]
fn full_disk_stops_header_file_and_not_manager() {
    if let Some(path) = env::var_os(FILE) {
        return fill_with_headers(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    run_on_full_disk(HEADERS_TEST, &path);
    // The written file contains a valid chain.
    let manager = manager(config()).with_headers(&path).unwrap();
    let height = manager.with_chain(|chain| chain.tip().0).unwrap();
    assert!(height < HEADERS as u32, "{height}");
    let headers = mined_headers(HEADERS, 1);
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(manager.shutdown(), Ok(()));
    let (chain, _) = HeaderStore::import(&path, Network::Regtest).unwrap();
    assert_eq!(chain.tip(), tip_of(&headers));
}

fn fill_with_headers(path: &Path) {
    let manager = manager(config()).with_headers(path).unwrap();
    let events = manager.subscribe_control();
    let headers = mined_headers(HEADERS, 1);
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    let error = wait_for(&events, |event| match event {
        ControlEvent::HeaderStoreFailed { error } => Some(error.clone()),
        _ => None,
    });
    assert!(matches!(error, HeaderStoreError::Io { .. }), "{error}");
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert!(matches!(manager.shutdown(), Err(Error::HeaderStore(_))));
}

/// Runs a test in a process whose files cannot exceed 8 KiB.
#[track_caller]
fn run_on_full_disk(test: &str, path: &Path) {
    let child = Command::new("sh")
        // Without the signal a write fails that goes too far, as on a full disk.
        .args(["-c", "trap '' XFSZ; ulimit -f 16 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

fn fill(path: &Path) {
    let manager = Manager::with_file(config(), path).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let ban = |number: u8| {
        let address = IpAddr::from([203, 0, 113, number]);
        manager
            .ban(address, Some(Duration::from_secs(3600)))
            .unwrap();
    };
    ban(0);
    until("the first ban is in the file", || {
        fs::read_to_string(path).is_ok_and(|text| text.contains("203.0.113.0"))
    });
    (1..=255).for_each(ban);
    let error = wait_for(&events, |event| match event {
        ControlEvent::StoreFailed { error } => Some(error.clone()),
        _ => None,
    });
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    // The first bans may have been written before. The file has no space for all.
    let good = fs::read(path).unwrap();
    assert_eq!(manager.bans().len(), 256, "the manager goes on");
    assert!(matches!(manager.shutdown(), Err(Error::Store(_))));
    assert!(fs::read(path).unwrap() == good, "the file is as it was");
    drop(manager);
    let manager = Manager::with_file(config(), path).unwrap();
    manager.start().unwrap();
    let mut subnets: Vec<_> = manager.bans().iter().map(|ban| ban.subnet).collect();
    subnets.sort();
    let first = (0..=254).map(|number| Subnet::single(IpAddr::from([203, 0, 113, number])));
    let first: Vec<_> = first.take(subnets.len()).collect();
    assert!(!subnets.is_empty() && subnets == first, "{subnets:?}");
}
