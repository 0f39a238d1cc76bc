//! Corrupt files are moved aside and reported. They cause neither a panic nor high memory use.

use std::fs::{self, File};

use bsv_p2p::peers::{InMemoryPeerStore, PeerStore};
use test_support::SeededRandom;

use crate::samples::{Folder, contents, now, peer, peers};

/// Opens a store whose file is corrupt, and returns the reported reason.
#[track_caller]
fn expect_damaged(folder: &Folder, content: &[u8]) -> String {
    fs::write(folder.file(""), content).unwrap();
    let (store, damaged) = folder.try_open().unwrap();
    let shown = String::from_utf8_lossy(&content[..content.len().min(300)]);
    let damaged = damaged.unwrap_or_else(|| panic!("{shown} is taken for whole"));
    assert_eq!(
        (&damaged.path, &damaged.moved_to),
        (&folder.file(""), &folder.file(".damaged"))
    );
    assert_eq!(fs::read(&damaged.moved_to).unwrap(), content);
    assert_eq!(folder.names(), [".damaged", ".lock"]);
    assert!(store.list_all().unwrap().is_empty() && store.read_bans().unwrap().is_empty());
    assert!(damaged.reason.len() < 300);
    assert!(
        damaged
            .to_string()
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte))
    );
    damaged.reason
}

fn whole() -> String {
    fs::read_to_string(Folder::filled().file("")).unwrap()
}

#[test]
fn store_works_after_corrupt_file() {
    let folder = Folder::filled();
    expect_damaged(&folder, b"{");
    let store = folder.open();
    store.create(peer(1), now()).unwrap();
    store.save().unwrap();
    drop(store);
    assert_eq!(contents(&folder.open()).len(), 1);
    assert_eq!(folder.names(), ["", ".damaged", ".lock"]);
}

#[test]
fn truncated_file_is_corrupt() {
    let (folder, whole) = (Folder::new(), whole());
    // The last byte ends the line, the one before it the document.
    let cuts = (0..whole.len() - 1).step_by(7).chain([whole.len() - 2]);
    for cut in cuts {
        expect_damaged(&folder, &whole.as_bytes()[..cut]);
    }
}

/// The file is read, rejected or moved aside.
#[test]
fn file_with_changed_bytes_never_panics() {
    let (folder, whole) = (Folder::new(), whole().into_bytes());
    let mut random = SeededRandom::new(1);
    for _ in 0..1_000 {
        let mut changed = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.len());
            changed[at] = random.next_u64() as u8;
        }
        fs::write(folder.file(""), changed).unwrap();
        // The result may also be another network or version.
        let _ = folder.try_open();
    }
}

#[test]
fn unexpected_content_is_corrupt() {
    let folder = Folder::new();
    let document = |peers: &str, bans: &str| {
        format!(r#"{{"version":1,"network":"regtest","peers":{peers},"bans":{bans}}}"#)
    };
    let of_network =
        |name: &str| format!(r#"{{"version":1,"network":"{name}","peers":[],"bans":[]}}"#);
    let hash = "0".repeat(64);
    for text in [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        r#"{"version":1,"network":"regtest"}"#.into(),
        r#"{"version":1,"network":"regtest","peers":[]}"#.into(),
        r#"{"version":"1","network":"regtest","peers":[],"bans":[]}"#.into(),
        r#"{"version":-1,"network":"regtest","peers":[],"bans":[]}"#.into(),
        r#"{"version":1,"network":"regtest\u001b[2J","peers":[],"bans":[]}"#.into(),
        r#"{"version":1,"network":"regtest","peers":[],"peers":[],"bans":[]}"#.into(),
        of_network("lab"),
        of_network("lab 6c616201"),
        of_network(&format!("lab 6c61620x {hash}")),
        of_network(&format!("lab 6c6162011 {hash}")),
        of_network(&format!("Lab 6c616201 {hash}")),
        of_network(&format!("lab 6c616201 {hash}0")),
        of_network(&format!("lab 6c616201 {hash} ")),
        document("[null]", "[]"),
        document("[{}]", "[]"),
        document("{}", "[]"),
        document("[]", "[{}]"),
        document("[]", "[]") + "x",
        document("[]", "[]") + &document("[]", "[]"),
    ] {
        expect_damaged(&folder, text.as_bytes());
    }
    fs::write(folder.file(""), document("[]", "[]")).unwrap();
    drop(folder.open());
}

#[test]
fn duplicate_peer_is_corrupt() {
    let folder = Folder::new();
    let whole: serde_json::Value = serde_json::from_str(&whole()).unwrap();
    for same in ["id", "ip_address"] {
        let mut document = whole.clone();
        document["peers"][1][same] = document["peers"][0][same].clone();
        let reason = expect_damaged(&folder, document.to_string().as_bytes());
        assert!(reason.ends_with("is stored twice"), "{reason}");
    }
    let count = whole["peers"].as_array().unwrap().len();
    assert_eq!(count, peers().len());
}

#[test]
fn too_long_file_is_not_read() {
    let folder = Folder::new();
    let len = InMemoryPeerStore::MAX_FILE_BYTES + 1;
    let file = File::create(folder.file("")).unwrap();
    // The file is sparse.
    file.set_len(len).unwrap();
    drop(file);
    let used = allocation_counter::measure(|| {
        let (_, damaged) = folder.try_open().unwrap();
        let reason = damaged.unwrap().reason;
        assert!(reason.ends_with(&format!(" bytes, got {len}")), "{reason}");
    });
    assert!(used.bytes_max < 100_000, "{used:?}");
}

#[test]
fn hostile_content_uses_little_memory() {
    const LEN: usize = 20_000_000;
    let head = r#"{"version":1,"network":"regtest","#;
    let entry = |number: usize| {
        format!(
            r#"{{"subnet":"10.{}.{}.{}","reason":"manual","by":"manual","since":0,"until":null}},"#,
            number >> 16,
            number >> 8 & 255,
            number & 255
        )
    };
    let bans: String = (0..LEN / 80).map(entry).collect();
    for text in [
        // Nested deeper than the stack.
        format!("{head}\"peers\":{}", "[".repeat(LEN)),
        format!("{head}\"x\":{}", "[".repeat(LEN)),
        format!("{head}\"peers\":{}", "{\"a\":".repeat(LEN / 5)),
        // More entries than the maximum of a store.
        format!("{head}\"peers\":[],\"bans\":[{bans}"),
        // Very long texts, where they are read, quoted or skipped, and a number.
        format!("{head}\"peers\":[{{\"status\":\"{}", "a".repeat(LEN)),
        format!("{head}\"{}", "a".repeat(LEN)),
        format!("{head}\"x\":\"{}", "\\n".repeat(LEN / 2)),
        format!("{head}\"x\":{}", "1".repeat(LEN)),
    ] {
        let folder = Folder::new();
        fs::write(folder.file(""), &text).unwrap();
        let used = allocation_counter::measure(|| {
            let (_, damaged) = folder.try_open().unwrap();
            assert!(damaged.is_some());
        });
        assert!(used.bytes_max < 20_000_000, "{used:?}: {}", &text[..100]);
    }
}
