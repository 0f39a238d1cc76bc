//! Following a chain that is stored in a file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::{Error, HeaderStore, HeaderStoreError};
use tempfile::TempDir;
use test_support::header_server::{Answers, HeaderServerOptions};

use super::*;

fn temporary_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    (folder, path)
}

fn manager_with(path: &Path) -> Manager {
    manager(config()).with_headers(path).unwrap()
}

#[track_caller]
fn stored_tip(path: &Path) -> (u32, BlockHash) {
    let (chain, report) = HeaderStore::import(path, Network::Regtest).unwrap();
    assert_eq!(report.damaged, None);
    chain.tip()
}

/// Waits for a failure of the header store.
#[track_caller]
fn store_failure(events: &EventReceiver<ControlEvent>) -> HeaderStoreError {
    wait_for(events, |event| match event {
        ControlEvent::HeaderStoreFailed { error } => Some(error.clone()),
        _ => None,
    })
}

fn branches(common: usize, lengths: [usize; 2]) -> [Vec<BlockHeader>; 2] {
    let common = mined_headers(common, 1);
    [2, 3].map(|salt| {
        let mut headers = common.clone();
        let count = lengths[usize::from(salt) - 2];
        headers.extend(mine_after(common.last().unwrap(), count, salt));
        headers
    })
}

#[test]
fn stored_headers_are_not_requested_again() {
    let (_folder, path) = temporary_file();
    let headers = mined_headers(2_300, 1);
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    let first = manager_with(&path);
    first.start_fixed([server.address]).unwrap();
    assert_eq!(first.sync_headers(LIMIT), Ok(tip_of(&headers)));
    drop(first);
    assert_eq!(stored_tip(&path), tip_of(&headers));

    let second = manager_with(&path);
    assert_eq!(second.with_chain(HeaderChain::tip), Some(tip_of(&headers)));
    second.start_fixed([""; 0]).unwrap();
    let mut peer = dialed(&second, 2_300);
    let Message::GetHeaders(request) = peer.expect("getheaders") else {
        panic!("another message");
    };
    assert_eq!(request.locator[0], tip_of(&headers).1);
}

#[test]
fn reorganization_is_written_while_running() {
    let (_folder, path) = temporary_file();
    let [short, long] = branches(40, [5, 9]);
    let manager = manager_with(&path);
    manager.start_fixed([""; 0]).unwrap();
    for headers in [&short, &long] {
        let server = HeaderServerOptions::new(headers, Answers::Node).listen();
        manager.connect(server.address).unwrap();
        until("the branch is in the file", || {
            HeaderStore::import(&path, Network::Regtest)
                .is_ok_and(|(chain, _)| chain.tip() == tip_of(headers))
        });
    }
    assert_eq!(manager.shutdown(), Ok(()));
    assert_eq!(stored_tip(&path), tip_of(&long));
}

#[test]
fn damaged_tail_is_reported_and_downloaded_again() {
    let (_folder, path) = temporary_file();
    let headers = mined_headers(20, 1);
    HeaderStore::export(&chain_of(&headers), &path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[15 * 80 + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let manager = manager_with(&path);
    let height = height(&manager);
    assert!(height < 16, "{height}");
    let events = manager.subscribe_control();
    let server = HeaderServerOptions::new(&headers, Answers::Node).listen();
    manager.start_fixed([server.address]).unwrap();
    let failure = store_failure(&events);
    let HeaderStoreError::Damaged { tail, .. } = &failure else {
        panic!("{failure}");
    };
    let removed = u64::from(20 - height) * 80;
    assert_eq!((tail.height, tail.bytes), (height + 1, removed));
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    assert_eq!(manager.shutdown(), Ok(()));
    assert_eq!(stored_tip(&path), tip_of(&headers));
}

/// The file is in use or belongs to another network. A stopped manager refuses any file.
#[test]
fn unavailable_or_mismatched_file_is_refused() {
    let (_folder, path) = temporary_file();
    let _first = manager_with(&path);
    let second = manager(config()).with_headers(&path);
    let is_in_use = |error: &HeaderStoreError| matches!(error, HeaderStoreError::InUse { .. });
    assert!(
        matches!(&second, Err(Error::HeaderStore(error)) if is_in_use(error)),
        "{second:?}"
    );

    let (_folder, path) = temporary_file();
    HeaderStore::export(&HeaderChain::new(Network::Mainnet), &path).unwrap();
    let other = manager(config()).with_headers(&path);
    let Err(Error::HeaderStore(error)) = other else {
        panic!("{other:?}");
    };
    assert!(
        matches!(*error, HeaderStoreError::StartMismatch { .. }),
        "{error}"
    );
    let stopped = manager(config());
    stopped.shutdown().unwrap();
    let late = stopped.with_headers(path.with_extension("late"));
    assert_eq!(late.unwrap_err(), Error::NotRunning);
}

#[test]
fn replaced_chain_is_written_without_connections() {
    let (_folder, path) = temporary_file();
    let [old, new] = branches(10, [7, 4]);
    let manager = manager_with(&path);
    manager.follow_chain(chain_of(&old)).unwrap();
    assert_eq!(manager.shutdown(), Ok(()));
    assert_eq!(stored_tip(&path), tip_of(&old));
    let manager = manager_with(&path);
    manager.follow_chain(chain_of(&new)).unwrap();
    // Never started.
    drop(manager);
    assert_eq!(stored_tip(&path), tip_of(&new));
}

#[test]
fn chain_with_other_start_is_reported_not_written() {
    const FIRST: u32 = 20;
    let (_folder, path) = temporary_file();
    let headers = mined_headers(200, 1);
    let trusted = &headers[FIRST as usize..];
    let trusted = || HeaderChain::from_trusted(Network::Regtest, trusted, FIRST, None).unwrap();
    HeaderStore::export(&chain_of(&headers[..50]), &path).unwrap();
    let stored = manager_with(&path);
    let events = stored.subscribe_control();
    stored.start_fixed([""; 0]).unwrap();
    stored.follow_chain(trusted()).unwrap();
    let failure = store_failure(&events);
    assert!(
        matches!(failure, HeaderStoreError::ChainMismatch { .. }),
        "{failure}"
    );
    assert_eq!(height(&stored), 200, "the chain is followed");
    let failure = Box::new(failure);
    assert_eq!(stored.shutdown(), Err(Error::HeaderStore(failure)));
    assert_eq!(stored_tip(&path), tip_of(&headers[..50]));

    // An empty file takes it, whether it was opened before or after the call.
    let before = path.with_extension("before");
    let empty = manager_with(&before);
    empty.follow_chain(trusted()).unwrap();
    drop(empty);
    let after = path.with_extension("after");
    let following = manager(config());
    following.follow_chain(trusted()).unwrap();
    drop(following.with_headers(&after).unwrap());
    let content = fs::read(&before).unwrap();
    assert_eq!(content.len(), trusted().headers(..).len() * 80);
    assert_eq!(fs::read(&after).unwrap(), content);
}

#[test]
fn better_one_of_file_and_chain_is_followed() {
    let (_folder, path) = temporary_file();
    let [short, long] = branches(10, [5, 9]);
    for (stored, followed) in [(&short, &long), (&long, &short)] {
        HeaderStore::export(&chain_of(stored), &path).unwrap();
        let following = manager(config());
        following.follow_chain(chain_of(followed)).unwrap();
        let following = following.with_headers(&path).unwrap();
        let tip = following.with_chain(HeaderChain::tip);
        assert_eq!(tip, Some(tip_of(&long)));
        assert_eq!(following.shutdown(), Ok(()));
        assert_eq!(stored_tip(&path), tip_of(&long));
    }
}

#[test]
fn incomplete_last_header_is_removed_without_peers() {
    let (_folder, path) = temporary_file();
    let headers = mined_headers(5, 1);
    HeaderStore::export(&chain_of(&headers), &path).unwrap();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(&[7; 33]).unwrap();
    let manager = manager_with(&path);
    let events = manager.subscribe_control();
    manager.start_fixed([""; 0]).unwrap();
    let failure = store_failure(&events).to_string();
    assert!(failure.contains("33 bytes"), "{failure}");
    assert_eq!(manager.shutdown(), Ok(()));
    assert_eq!(stored_tip(&path), tip_of(&headers));
}
