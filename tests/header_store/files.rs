//! Opening, locking, importing and exporting files.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use bsv_p2p::wire::{ChainRules, HeaderChain, HeaderChainError};
use bsv_p2p::{HeaderStore, HeaderStoreError, Network};

use crate::chains::*;

#[test]
fn one_store_opens_file_at_a_time() {
    let folder = Folder::new();
    let (store, _) = folder.open_intact();
    let in_use = HeaderStoreError::InUse {
        path: store.path().into(),
    };
    assert_eq!(
        HeaderStore::open(folder.file(), Network::Regtest).unwrap_err(),
        in_use
    );
    let chain = regtest_chain(&regtest_headers(3));
    assert_eq!(HeaderStore::export(&chain, folder.file()), Err(in_use));
    // An import only reads.
    HeaderStore::import(folder.file(), Network::Regtest).unwrap();
    drop(store);
    drop(folder.open_intact());
}

#[test]
#[cfg(unix)]
fn symbolic_link_shares_lock_and_remains() {
    let headers = regtest_headers(30);
    let folder = Folder::with_file(&bytes_of(&headers[..20]));
    let links = Folder::new();
    std::os::unix::fs::symlink(folder.file(), links.file()).unwrap();

    let (mut store, mut chain) = links.open_intact();
    let error = HeaderStore::open(folder.file(), Network::Regtest).unwrap_err();
    assert!(matches!(error, HeaderStoreError::InUse { .. }), "{error}");
    chain.extend(&headers, NOW).unwrap();
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
    drop(store);

    HeaderStore::export(&regtest_chain(&headers[..5]), links.file()).unwrap();
    assert!(folder.content() == bytes_of(&headers[..5]));
    assert!(fs::symlink_metadata(links.file()).unwrap().is_symlink());
    assert_eq!(links.names(), ["headers"]);
    assert_eq!(folder.names(), ["headers", "headers.lock"]);
}

#[test]
#[cfg(unix)]
fn dangling_link_creates_its_target() {
    let (folder, links) = (Folder::new(), Folder::new());
    std::os::unix::fs::symlink(folder.file(), links.file()).unwrap();
    let (mut store, chain) = links.open_intact();
    store.update(&chain).unwrap();
    assert_eq!(folder.content().len(), 80);
}

#[test]
fn export_writes_file_that_import_reads() {
    let headers = regtest_headers(4_500);
    let mut chain = regtest_chain(&headers);
    chain
        .extend(&mine_after(&headers[4_490], 5, 4), NOW)
        .unwrap();
    let folder = Folder::with_file(b"an old file");
    HeaderStore::export(&chain, folder.file()).unwrap();
    assert!(folder.content() == bytes_of(&headers));
    assert_eq!(folder.names(), ["headers", "headers.lock"]);

    let (imported, report) = HeaderStore::import(folder.file(), Network::Regtest).unwrap();
    assert_eq!((report.headers, report.damaged), (4_500, None));
    assert_eq!(imported.tip(), chain.tip());
    assert_eq!(imported.total_work(), chain.total_work());
}

#[test]
fn export_that_fails_keeps_old_file() {
    let chain = regtest_chain(&regtest_headers(5));
    let folder = Folder::with_file(b"an old file");
    let temporary = folder.path().join("headers.tmp");
    // A folder at the path of the temporary file cannot be removed as a file.
    fs::create_dir(&temporary).unwrap();
    let error = HeaderStore::export(&chain, folder.file()).unwrap_err();
    assert!(error.to_string().starts_with("writing "), "{error}");
    assert_eq!(folder.content(), b"an old file");
    fs::remove_dir(&temporary).unwrap();
    HeaderStore::export(&chain, folder.file()).unwrap();
    assert!(folder.content() == bytes_of_chain(&chain));
}

#[test]
fn import_does_not_change_damaged_file() {
    let headers = regtest_headers(20);
    let mut content = bytes_of(&headers);
    content.truncate(1_590);
    let folder = Folder::with_file(&content);
    let (chain, report) = HeaderStore::import(folder.file(), Network::Regtest).unwrap();
    assert_eq!((chain.tip().0, report.headers), (18, 19));
    assert_eq!(report.damaged.unwrap().bytes, 70);
    assert_eq!(folder.content(), content);
    assert_eq!(folder.names(), ["headers"]);
}

#[test]
fn missing_folder_returns_error_with_path() {
    let folder = Folder::new();
    let path = folder.path().join("missing").join("headers");
    let check = |error: HeaderStoreError, named: &Path| {
        let HeaderStoreError::Io {
            path,
            error: system,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(path.as_path(), named);
        assert_eq!(system.kind, io::ErrorKind::NotFound);
        assert_eq!(error.source().unwrap().to_string(), system.to_string());
        assert!(!error.to_string().contains(&system.to_string()), "{error}");
    };
    check(
        HeaderStore::open(&path, Network::Regtest).unwrap_err(),
        &path,
    );
    check(
        HeaderStore::import(&path, Network::Regtest).unwrap_err(),
        &path,
    );
    let chain = HeaderChain::new(Network::Regtest);
    let error = HeaderStore::export(&chain, &path).unwrap_err();
    check(error, path.parent().unwrap());
    assert!(folder.names().is_empty());
}

#[test]
fn folder_instead_of_file_returns_error() {
    let folder = Folder::new();
    fs::create_dir(folder.file()).unwrap();
    for error in [
        HeaderStore::open(folder.file(), Network::Regtest).unwrap_err(),
        HeaderStore::import(folder.file(), Network::Regtest).unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("not a regular file"), "{error}");
    }
    let chain = HeaderChain::new(Network::Regtest);
    let error = HeaderStore::export(&chain, folder.file()).unwrap_err();
    assert!(error.to_string().starts_with("replacing "), "{error}");
}

#[test]
#[cfg(unix)]
fn device_instead_of_file_returns_error() {
    for device in ["/dev/zero", "/dev/null"] {
        let error = HeaderStore::import(device, Network::Regtest).unwrap_err();
        assert!(error.to_string().ends_with("not a regular file"), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn read_only_file_returns_error() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::with_file(&bytes_of(&regtest_headers(3)));
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o444)).unwrap();
    let writable = fs::OpenOptions::new().write(true).open(folder.file());
    let opened = HeaderStore::open(folder.file(), Network::Regtest);
    match writable {
        // The superuser may write every file.
        Ok(_) => drop(opened.unwrap()),
        Err(_) => {
            let error = opened.unwrap_err();
            assert!(error.to_string().starts_with("opening "), "{error}");
        }
    }
    HeaderStore::import(folder.file(), Network::Regtest).unwrap();
}

#[test]
fn trusted_chain_opens_its_file() {
    let headers = regtest_headers(500);
    let trusted = || {
        let trusted = &headers[100..250];
        HeaderChain::from_trusted(Network::Regtest, trusted, 100, None).unwrap()
    };
    let folder = Folder::new();
    let (mut store, mut chain, report) = HeaderStore::open_with(folder.file(), trusted()).unwrap();
    assert_eq!((store.tip(), report.headers), (None, 0));
    assert_eq!((chain.first_height(), chain.tip().0), (100, 249));
    chain.extend(&headers[250..], NOW).unwrap();
    store.update(&chain).unwrap();
    assert!(folder.content() == bytes_of(&headers[100..]));
    drop(store);

    let (store, chain, report) = HeaderStore::open_with(folder.file(), trusted()).unwrap();
    assert_eq!((report.headers, report.damaged), (400, None));
    assert_same(&folder, &store, &chain);
    drop(store);

    // A file with fewer headers than the trusted chain.
    fs::write(folder.file(), bytes_of(&headers[100..120])).unwrap();
    let (mut store, chain, report) = HeaderStore::open_with(folder.file(), trusted()).unwrap();
    assert_eq!((report.headers, chain.tip().0), (20, 249));
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
    drop(store);

    let error = folder.open_error(Network::Regtest);
    let expected = HeaderStoreError::StartMismatch {
        path: fs::canonicalize(folder.file()).unwrap(),
        network: Network::Regtest,
        expected: headers[0].hash(),
        got: headers[100].hash(),
        got_network: None,
    };
    assert_eq!(error, expected);
}

#[test]
fn side_branch_in_file_gives_way_to_start() {
    let headers = regtest_headers(300);
    let branch = mine_after(&headers[280], 15, 8);
    let content = bytes_of(headers[..=280].iter().chain(&branch));
    let folder = Folder::with_file(&content);
    let start = regtest_chain(&headers);
    let (mut store, chain, report) = HeaderStore::open_with(folder.file(), start).unwrap();
    assert_eq!((report.headers, report.damaged), (296, None));
    assert_eq!(store.tip(), Some((295, last_hash(&branch))));
    assert_eq!(chain.tip(), (299, last_hash(&headers)));
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
}

#[test]
fn heights_beyond_maximum_return_error() {
    let headers = regtest_headers(400);
    let first_height = i32::MAX as u32 - 299;
    let start = || {
        let trusted = &headers[100..300];
        HeaderChain::from_trusted(Network::Regtest, trusted, first_height, None).unwrap()
    };
    let folder = Folder::with_file(&bytes_of(&headers[100..]));
    let (_, chain, _) = HeaderStore::open_with(folder.file(), start()).unwrap();
    assert_eq!(chain.tip().0, i32::MAX as u32);

    let more = mine_after(&headers[399], 1, 1);
    let content = bytes_of(headers[100..].iter().chain(&more));
    fs::write(folder.file(), &content).unwrap();
    let error = HeaderStore::open_with(folder.file(), start()).unwrap_err();
    let expected = HeaderStoreError::Chain {
        path: fs::canonicalize(folder.file()).unwrap(),
        error: Box::new(HeaderChainError::InvalidHeight(i32::MAX as u32 + 1)),
    };
    assert_eq!(error, expected);
    assert_eq!(folder.content(), content);
}

#[test]
fn clock_does_not_invalidate_headers() {
    let genesis = regtest_headers(1);
    // Fifty years ahead.
    let future = mine_spaced(&genesis[0], 20, 1, 80_000_000);
    assert!(
        future
            .iter()
            .any(|header| header.time > NOW + 1_000_000_000)
    );
    let folder = Folder::with_file(&bytes_of(genesis.iter().chain(&future)));
    let (_, chain) = folder.open_intact();
    assert_eq!(chain.tip().0, 20);
    let mut rejecting = HeaderChain::new(ChainRules::new(Network::Regtest));
    assert!(rejecting.extend(&future, NOW).is_err());
}
