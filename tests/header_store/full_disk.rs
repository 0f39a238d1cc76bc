//! A disk without space, in a process of its own whose files cannot exceed 8 or 16 KiB.
#![cfg(unix)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use bsv_p2p::{HeaderStore, HeaderStoreError, Network};

use crate::chains::*;

/// The path of the header file, in the process whose files are limited.
const FILE: &str = "BSV_P2P_TEST_FILLS_DISK";
const TEST: &str = "full_disk::update_without_space_keeps_valid_file";

#[test]
fn update_without_space_keeps_valid_file() {
    if let Some(path) = env::var_os(FILE) {
        return fill(Path::new(&path));
    }
    let folder = Folder::new();
    let child = Command::new("sh")
        // Without the signal, a write beyond the limit fails as on a full disk.
        .args(["-c", "trap '' XFSZ; ulimit -f 16 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(FILE, folder.file())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    // With space, the next update writes all.
    let headers = regtest_headers(1_000);
    let (mut store, mut chain) = folder.open_intact();
    assert_eq!(chain.tip().0, 99);
    chain.extend(&headers, NOW).unwrap();
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
}

fn fill(path: &Path) {
    let headers = regtest_headers(1_000);
    let (mut store, mut chain, _) = HeaderStore::open(path, Network::Regtest).unwrap();
    chain.extend(&headers[..90], NOW).unwrap();
    store.update(&chain).unwrap();
    chain.extend(&headers, NOW).unwrap();
    for _ in 0..3 {
        let error = store.update(&chain).unwrap_err();
        let HeaderStoreError::Io {
            operation,
            path: named,
            error: system,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*operation, named.as_path()), ("writing", store.path()));
        assert!(system.to_string().contains("os error"), "{system}");
        assert_eq!(store.tip(), Some((89, headers[89].hash())));
        assert!(fs::read(path).unwrap() == bytes_of(&headers[..90]));
    }
    // Smaller writes have space.
    let mut shorter = regtest_chain(&headers[..95]);
    store.update(&shorter).unwrap();
    shorter.extend(&headers[..100], NOW).unwrap();
    store.update(&shorter).unwrap();
    assert!(fs::read(path).unwrap() == bytes_of(&headers[..100]));

    let exported = path.with_extension("exported");
    let error = HeaderStore::export(&chain, &exported).unwrap_err();
    assert!(error.to_string().starts_with("writing "), "{error}");
    assert!(!exported.exists());
}
