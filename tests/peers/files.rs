//! Saved content is restored, and other files are unchanged.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::peers::{
    BanConfig, BanList, InMemoryPeerStore, Peer, PeerStatusKind, PeerStore, StoreError,
};
use test_support::private_network::private_params;

use crate::samples::{Folder, bans, contents, now, peer, peers};

#[test]
fn peers_and_bans_survive_a_restart() {
    let folder = Folder::new();
    let store = folder.open();
    for peer in peers() {
        assert_eq!(store.create(peer, now()), Ok(None));
    }
    store.write_bans(bans().list()).unwrap();
    let (mut before, kept) = (store.list_all().unwrap(), contents(&store));
    store.save().unwrap();
    drop(store);

    let store = folder.open();
    assert_eq!(contents(&store), kept);
    assert_eq!(store.read_bans().unwrap(), bans().list());
    // The IDs are restored as well.
    let mut after = store.list_all().unwrap();
    before.sort_by_key(|peer| peer.id);
    after.sort_by_key(|peer| peer.id);
    assert_eq!(after, before);
    assert_eq!(folder.names(), ["", ".lock"]);
}

#[test]
#[cfg(unix)]
fn symbolic_link_shares_lock_and_remains() {
    let (folder, links) = (Folder::filled(), Folder::new());
    symlink(folder.file(""), links.file("")).unwrap();
    let before = contents(&folder.open());
    let store = links.open();
    assert_eq!(contents(&store), before);
    let in_use = InMemoryPeerStore::open(&folder.file(""), Network::Regtest, 10, now());
    let path = folder.file("");
    assert_eq!(in_use.unwrap_err(), StoreError::InUse { path });

    store.write_bans(Vec::new()).unwrap();
    store.save().unwrap();
    drop(store);
    assert!(fs::symlink_metadata(links.file("")).unwrap().is_symlink());
    assert_eq!(links.names(), [""]);
    assert_eq!(folder.names(), ["", ".lock"]);
    assert_eq!(folder.open().read_bans().unwrap(), []);
}

#[test]
#[cfg(unix)]
fn dangling_links_create_their_target() {
    let (folder, links) = (Folder::new(), Folder::new());
    // The second link is relative.
    symlink(folder.file(""), links.file(".2")).unwrap();
    let second = links.file(".2");
    symlink(second.file_name().unwrap(), links.file("")).unwrap();
    let store = links.open();
    store.create(peer(1), now()).unwrap();
    store.save().unwrap();
    drop(store);
    assert_eq!(folder.open().list_all().unwrap().len(), 1);
    assert_eq!(links.names(), ["", ".2"]);
}

#[test]
#[cfg(unix)]
fn circle_of_links_is_an_error() {
    let links = Folder::new();
    symlink(links.file(""), links.file(".2")).unwrap();
    symlink(links.file(".2"), links.file("")).unwrap();
    let opened = InMemoryPeerStore::open(&links.file(""), Network::Regtest, 10, now());
    assert!(matches!(opened, Err(StoreError::Io { .. })), "{opened:?}");
}

#[test]
fn ban_keeps_its_remaining_time_after_restart() {
    let folder = Folder::filled();
    let banned = "2001:db8::8".parse().unwrap();
    let day = Duration::from_secs(86_400);
    for (later, in_force) in [(day - Duration::from_secs(1), true), (day, false)] {
        let now = now() + later;
        let mut bans = BanList::new(BanConfig::default());
        bans.load(folder.open().read_bans().unwrap(), now);
        assert_eq!(bans.is_banned(banned, now).is_some(), in_force);
        assert!(
            bans.is_banned("198.51.100.9".parse().unwrap(), now)
                .is_some()
        );
    }
}

#[test]
fn file_is_one_self_describing_json_document() {
    let folder = Folder::filled();
    let text = fs::read_to_string(folder.file("")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["network"], "regtest");
    assert_eq!(document["peers"].as_array().unwrap().len(), peers().len());
    assert_eq!(document["bans"][0]["subnet"], "198.51.100.0/24");
    // The file can be edited: the order of fields does not matter.
    fs::write(folder.file(""), format!("{document:#}")).unwrap();
    assert_eq!(contents(&folder.open()).len(), peers().len());
}

#[test]
fn unchanged_file_is_saved_identically() {
    let folder = Folder::filled();
    let before = fs::read(folder.file("")).unwrap();
    folder.open().save().unwrap();
    assert_eq!(fs::read(folder.file("")).unwrap(), before);
}

#[test]
fn store_without_file_saves_nothing() {
    let store = InMemoryPeerStore::default();
    store.create(peer(1), now()).unwrap();
    assert_eq!(store.save(), Ok(()));
    assert_eq!(store.count_by_status(PeerStatusKind::Unknown), Ok(1));
}

#[test]
fn opening_writes_no_file() {
    let folder = Folder::new();
    drop(folder.open());
    assert_eq!(folder.names(), [".lock"]);
}

#[test]
fn file_of_other_network_is_rejected_unchanged() {
    let folder = Folder::filled();
    let before = fs::read(folder.file("")).unwrap();
    for network in [Network::Mainnet, Network::Testnet, Network::Stn] {
        let error =
            InMemoryPeerStore::open(&folder.file(""), network.clone(), 10, now()).unwrap_err();
        let expected = StoreError::NetworkMismatch {
            path: folder.file(""),
            expected: network,
            got: "regtest".to_owned(),
        };
        assert_eq!(error, expected);
    }
    assert_eq!(fs::read(folder.file("")).unwrap(), before);
    assert_eq!(folder.names(), ["", ".lock"]);
    drop(folder.open());
}

#[test]
fn file_of_custom_network_is_distinguished() {
    let network = |name, tag| Network::custom(private_params(name, tag)).unwrap();
    let folder = Folder::new();
    let path = folder.file("");
    let open = |network| InMemoryPeerStore::open(&path, network, 10, now());
    let own = network("lab", 1);
    let (store, damaged) = open(own.clone()).unwrap();
    assert_eq!(damaged, None);
    store.create(peer(1), now()).unwrap();
    store.save().unwrap();
    drop(store);
    let before = fs::read(&path).unwrap();
    // The second has the same name, but another genesis block.
    for other in [network("lab2", 1), network("lab", 2), Network::Regtest] {
        let genesis = own.genesis_header().hash();
        let expected = StoreError::NetworkMismatch {
            path: path.clone(),
            expected: other.clone(),
            got: format!("lab 6c616201 {genesis}"),
        };
        assert_eq!(open(other).unwrap_err(), expected);
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    let (store, damaged) = open(own).unwrap();
    assert_eq!((store.list_all().unwrap().len(), damaged), (1, None));
}

#[test]
fn file_of_later_version_is_rejected_unchanged() {
    let folder = Folder::new();
    // The rest of the file is defined by that version.
    let later = r#"{"version":2,"network":"regtest","peers":{"of":"another form"}}"#;
    fs::write(folder.file(""), later).unwrap();
    let expected = StoreError::UnsupportedVersion {
        path: folder.file(""),
        expected: 1,
        got: 2,
    };
    assert_eq!(folder.try_open().unwrap_err(), expected);
    assert_eq!(fs::read_to_string(folder.file("")).unwrap(), later);
    assert_eq!(folder.names(), ["", ".lock"]);
}

#[test]
fn file_can_be_opened_by_one_store() {
    let folder = Folder::filled();
    let store = folder.open();
    let path = folder.file("");
    assert_eq!(folder.try_open().unwrap_err(), StoreError::InUse { path });
    drop(store);
    drop(folder.open());
}

#[test]
fn missing_folder_is_an_error() {
    let folder = Folder::new();
    let path = folder.path().join("missing/peers.json");
    let error = InMemoryPeerStore::open(&path, Network::Regtest, 10, now()).unwrap_err();
    assert!(error.to_string().contains("missing/peers.json"), "{error}");
    assert!(matches!(error, StoreError::Io { .. }));
}

/// No temporary file is left.
#[test]
fn failed_save_keeps_previous_file() {
    let folder = Folder::filled();
    let store = folder.open();
    let before = fs::read(folder.file("")).unwrap();
    store.create(peer(9), now()).unwrap();

    // At the path of the temporary file is a folder that cannot be removed as a file.
    fs::create_dir(folder.file(".tmp")).unwrap();
    let error = store.save().unwrap_err();
    assert!(error.to_string().starts_with("writing "), "{error}");
    assert_eq!(fs::read(folder.file("")).unwrap(), before);
    fs::remove_dir(folder.file(".tmp")).unwrap();
    store.save().unwrap();

    // At the path of the file is a folder that cannot be replaced.
    fs::remove_file(folder.file("")).unwrap();
    fs::create_dir(folder.file("")).unwrap();
    let error = store.save().unwrap_err();
    assert!(error.to_string().starts_with("replacing "), "{error}");
    assert_eq!(folder.names(), ["", ".lock"]);
    fs::remove_dir(folder.file("")).unwrap();
    store.save().unwrap();
    drop(store);
    assert_eq!(contents(&folder.open()).len(), peers().len() + 1);
}

#[test]
#[cfg(unix)]
fn save_does_not_follow_link_at_temporary_file() {
    let folder = Folder::filled();
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), "precious").unwrap();
    std::os::unix::fs::symlink(other.path(), folder.file(".tmp")).unwrap();
    folder.open().save().unwrap();
    assert_eq!(fs::read_to_string(other.path()).unwrap(), "precious");
    assert_eq!(folder.names(), ["", ".lock"]);
    assert!(!fs::symlink_metadata(folder.file("")).unwrap().is_symlink());
}

#[test]
fn best_peers_are_kept_above_maximum() {
    let folder = Folder::filled();
    let open = |max| {
        let opened = InMemoryPeerStore::open(&folder.file(""), Network::Regtest, max, now());
        opened.unwrap()
    };
    let (store, damaged) = open(2);
    assert_eq!(damaged, None);
    let mut kept: Vec<Peer> = contents(&store);
    kept.sort_by_key(|peer| peer.manual);
    let kinds: Vec<_> = kept
        .iter()
        .map(|peer| (peer.status.kind(), peer.manual))
        .collect();
    assert_eq!(
        kinds,
        [
            (PeerStatusKind::Valid, false),
            (PeerStatusKind::Unknown, true)
        ]
    );
}

#[test]
fn future_times_are_clamped_but_ban_ends_not() {
    let folder = Folder::filled();
    let day = Duration::from_secs(86_400);
    let earlier = now() - day;
    let opened = InMemoryPeerStore::open(&folder.file(""), Network::Regtest, 10, earlier);
    for peer in opened.unwrap().0.list_all().unwrap() {
        assert_eq!((peer.last_seen, peer.status_timestamp), (earlier, earlier));
        assert!(peer.last_tried.is_none_or(|time| time == earlier));
        assert!(peer.last_connected.is_none_or(|time| time == earlier));
        assert!(peer.banned_until.is_none_or(|time| time == now() + day));
    }
}

#[test]
fn bans_above_maximum_are_rejected() {
    let store = InMemoryPeerStore::default();
    store.write_bans(bans().list()).unwrap();
    let ban = bans().list()[0];
    let expected = StoreError::TooManyBans {
        got: BanList::MAX_BANS + 1,
        limit: BanList::MAX_BANS,
    };
    let many = vec![ban; BanList::MAX_BANS + 1];
    assert_eq!(store.write_bans(many), Err(expected));
    assert_eq!(store.read_bans().unwrap(), bans().list());
}
