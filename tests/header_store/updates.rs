//! Bytes that an update writes and removes.

use std::fs::OpenOptions;
use std::io::Write;

use bsv_p2p::wire::{ChainRules, HeaderChain};
use bsv_p2p::{HeaderStore, HeaderStoreError, Network};
use test_support::SeededRandom;

use crate::chains::*;

#[test]
fn file_is_concatenation_of_headers() {
    let folder = Folder::new();
    let headers = regtest_headers(4_100);
    let (mut store, mut chain) = folder.open_intact();
    assert_eq!((store.tip(), folder.content().len()), (None, 0));
    for end in [1, 2, 10, 2_010, 4_010, 4_100] {
        chain.extend(&headers[..end], NOW).unwrap();
        store.update(&chain).unwrap();
        store.sync().unwrap();
        assert!(folder.content() == bytes_of(&headers[..end]), "{end}");
        assert_eq!(store.tip(), Some(chain.tip()));
    }
    drop(store);
    let (mut store, loaded) = folder.open_intact();
    assert_eq!(loaded.tip(), chain.tip());
    assert_eq!(loaded.total_work(), chain.total_work());
    store.update(&loaded).unwrap();
    assert_same(&folder, &store, &chain);
    assert_eq!(folder.names(), ["headers", "headers.lock"]);
}

#[test]
fn reorganization_replaces_end_of_file() {
    let trunk = regtest_headers(50);
    for depth in [1, 2, 30, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 4_321] {
        let folder = Folder::new();
        let (mut store, mut chain) = folder.open_intact();
        chain.extend(&trunk, NOW).unwrap();
        let old = mine_after(&trunk[49], depth, 2);
        chain.extend(&old, NOW).unwrap();
        store.update(&chain).unwrap();
        let new = mine_after(&trunk[49], depth + 3, 3);
        chain.extend(&new, NOW).unwrap();
        assert_eq!(chain.tip().1, last_hash(&new));
        store.update(&chain).unwrap();
        assert_same(&folder, &store, &chain);
        drop(store);
        let (_, loaded) = folder.open_intact();
        assert_eq!(loaded.tip(), chain.tip(), "{depth}");
    }
}

#[test]
fn shorter_chain_truncates_file() {
    let headers = regtest_headers(3_000);
    let folder = Folder::with_file(&bytes_of(&headers));
    let (mut store, _) = folder.open_intact();
    // A caller may replace a chain by one that does not contain the blocks of the file.
    for end in [2_999, 900, 1] {
        let chain = regtest_chain(&headers[..end]);
        store.update(&chain).unwrap();
        assert_same(&folder, &store, &chain);
    }
    let mut other = regtest_chain(&headers[..1]);
    other.extend(&mine_after(&headers[0], 10, 9), NOW).unwrap();
    store.update(&other).unwrap();
    assert_same(&folder, &store, &other);
}

#[test]
fn random_updates_follow_chain() {
    let mut random = SeededRandom::new(12);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    for round in 0..60 {
        let (height, _) = chain.tip();
        let depth = random.below(height as usize + 1).min(random.below(1_500)) as u32;
        let fork = *chain.header_at(height - depth).unwrap();
        let count = depth as usize + 1 + random.below(120);
        chain.extend(&mine_after(&fork, count, round), NOW).unwrap();
        if random.below(3) > 0 {
            store.update(&chain).unwrap();
            assert_same(&folder, &store, &chain);
        }
        if random.below(4) == 0 {
            drop(store);
            let loaded;
            (store, loaded) = folder.open_intact();
            assert_eq!(store.tip(), Some(loaded.tip()));
        }
    }
}

#[test]
fn each_step_leaves_valid_prefix() {
    let trunk = regtest_headers(100);
    let old = mine_after(&trunk[99], 5_000, 2);
    let new = mine_after(&trunk[99], 5_001, 3);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    chain.extend(&trunk, NOW).unwrap();
    chain.extend(&old, NOW).unwrap();
    store.update(&chain).unwrap();
    chain.extend(&new, NOW).unwrap();
    let (mut steps, mut expected) = (0, Vec::new());
    while let Some(update) = store.plan(&chain).unwrap() {
        store.write(&update).unwrap();
        steps += 1;
        expected = folder.content();
        let (loaded, report) = HeaderStore::import(folder.file(), Network::Regtest).unwrap();
        assert_eq!(report.damaged, None);
        assert_eq!(store.tip(), Some(loaded.tip()));
    }
    assert!(expected == bytes_of_chain(&chain));
    // 5 to find the fork, 3 to append.
    assert!(steps <= 9, "{steps}");
}

#[test]
fn chain_may_grow_between_plan_and_write() {
    let headers = regtest_headers(300);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    chain.extend(&headers[..200], NOW).unwrap();
    let update = store.plan(&chain).unwrap().unwrap();
    chain.extend(&headers, NOW).unwrap();
    let branch = mine_after(&headers[150], 200, 7);
    chain.extend(&branch, NOW).unwrap();
    store.write(&update).unwrap();
    assert!(folder.content() == bytes_of(&headers[..200]));
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
}

#[test]
fn stale_update_returns_error() {
    let headers = regtest_headers(30);
    let folder = Folder::new();
    let (mut store, _) = folder.open_intact();
    store.update(&regtest_chain(&headers[..20])).unwrap();
    let stale = store.plan(&regtest_chain(&headers)).unwrap().unwrap();
    store.update(&regtest_chain(&headers[..10])).unwrap();
    let before = folder.content();
    let error = store.write(&stale).unwrap_err();
    assert!(
        matches!(error, HeaderStoreError::StaleUpdate { height: 20, .. }),
        "{error}"
    );
    assert_eq!(folder.content(), before);
}

#[test]
fn bytes_after_last_header_are_replaced() {
    let headers = regtest_headers(30);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    chain.extend(&headers[..20], NOW).unwrap();
    store.update(&chain).unwrap();
    // Like the rest of a failed write.
    let mut file = OpenOptions::new().append(true).open(folder.file()).unwrap();
    file.write_all(&[7; 1_234]).unwrap();
    chain.extend(&headers, NOW).unwrap();
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
}

#[test]
fn file_shortened_by_others_returns_error() {
    let headers = regtest_headers(30);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    chain.extend(&headers[..20], NOW).unwrap();
    store.update(&chain).unwrap();
    let file = OpenOptions::new().write(true).open(folder.file()).unwrap();
    file.set_len(1_000).unwrap();
    chain.extend(&headers, NOW).unwrap();
    let expected = HeaderStoreError::UnexpectedLength {
        path: store.path().into(),
        expected: 1_600,
        got: 1_000,
    };
    assert_eq!(store.update(&chain), Err(expected));
    drop(store);
    let (_, loaded, report) = folder.open();
    assert_eq!((report.headers, loaded.tip().0), (12, 11));
}

#[test]
fn chain_of_other_start_returns_error() {
    let headers = regtest_headers(400);
    let folder = Folder::new();
    let (mut store, mut chain) = folder.open_intact();
    chain.extend(&headers[..20], NOW).unwrap();
    store.update(&chain).unwrap();
    let before = folder.content();

    let later = HeaderChain::from_trusted(Network::Regtest, &headers[100..], 100, None).unwrap();
    let error = store.update(&later).unwrap_err();
    let expected = HeaderStoreError::ChainMismatch {
        path: store.path().into(),
        expected: (0, headers[0].hash()),
        got: (100, headers[100].hash()),
    };
    assert_eq!(error, expected);

    let error = store.update(&HeaderChain::new(Network::Stn)).unwrap_err();
    let expected = HeaderStoreError::NetworkMismatch {
        path: store.path().into(),
        expected: Network::Regtest,
        got: Network::Stn,
    };
    assert_eq!(error, expected);
    assert_eq!(folder.content(), before);
}

#[test]
fn empty_store_accepts_chain_of_any_start() {
    let headers = regtest_headers(400);
    let checkpoints = [(99, headers[99].hash()), (250, headers[250].hash())];
    let rules = ChainRules::new(Network::Regtest).with_checkpoints(checkpoints);
    let rules = rules.unwrap();
    let folder = Folder::new();
    let (mut store, chain, _) = HeaderStore::open(folder.file(), rules.clone()).unwrap();
    assert_eq!(chain.tip().0, 0);
    let later = HeaderChain::from_trusted(rules.clone(), &headers[100..], 100, None).unwrap();
    store.update(&later).unwrap();
    assert_eq!(store.tip(), Some((399, last_hash(&headers))));
    drop(store);
    let (store, loaded, report) = HeaderStore::open(folder.file(), rules).unwrap();
    assert_eq!((report.headers, report.damaged), (300, None));
    assert_eq!(loaded.first_height(), 100);
    assert_same(&folder, &store, &loaded);
}
