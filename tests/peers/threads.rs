//! One store, used by many threads.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use bsv_p2p::Network;
use bsv_p2p::peers::{InMemoryPeerStore, PeerStatusKind, PeerStore, StoreError};

use crate::samples::{Folder, bans, now, peer};

#[test]
fn concurrent_creation_succeeds_once_per_peer() {
    const PEERS: u32 = 500;
    let store: Arc<dyn PeerStore> = Arc::new(InMemoryPeerStore::default());
    let (start, created) = (Barrier::new(4), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for number in 0..PEERS {
                    match store.create(peer(number), now()) {
                        Ok(None) => created.fetch_add(1, Relaxed),
                        Err(StoreError::DuplicateAddress(_)) => 0,
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    assert_eq!(created.into_inner(), PEERS as usize);
    assert_eq!(store.list_all().unwrap().len(), PEERS as usize);
    assert_eq!(
        store.count_by_status(PeerStatusKind::Unknown),
        Ok(PEERS as usize)
    );
}

#[test]
fn concurrent_changes_keep_bound_and_file_valid() {
    const MAX: usize = 50;
    let folder = Folder::new();
    let opened = InMemoryPeerStore::open(&folder.file(""), Network::Regtest, MAX, now());
    let store = opened.unwrap().0;
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                for number in 0..1_000 {
                    let peer = peer(number * 3 + thread);
                    let (id, ip, port) = (peer.id, peer.ip_address, peer.port);
                    // Peers of equal value evict each other, and may be evicted immediately.
                    let _ = store.create(peer, now());
                    if let Some(mut peer) = store.read(id).unwrap() {
                        peer.record_failure();
                        let _ = store.update(peer);
                    }
                    assert!(store.count_by_status(PeerStatusKind::Unknown).unwrap() <= MAX);
                    if number % 2 == 0 {
                        let _ = store.delete(id).unwrap();
                        assert_eq!(store.find_by_ip_port(ip, port), Ok(None));
                    }
                }
            });
        }
        let (store, start) = (&store, &start);
        scope.spawn(move || {
            start.wait();
            for _ in 0..10 {
                store.write_bans(bans().list()).unwrap();
                store.save().unwrap();
            }
        });
    });
    store.save().unwrap();
    let kept = store.list_all().unwrap().len();
    assert!(kept <= MAX);
    drop(store);
    assert_eq!(folder.open().list_all().unwrap().len(), kept);
    assert_eq!(folder.names(), ["", ".lock"]);
}

#[test]
fn peer_is_found_by_mapped_address_and_status() {
    let store = InMemoryPeerStore::default();
    let first = peer(1);
    store.create(first.clone(), now()).unwrap();
    let mut second = peer(2);
    second
        .set_status(bsv_p2p::peers::PeerStatus::Inaccessible, now())
        .unwrap();
    store.create(second.clone(), now()).unwrap();

    let mapped = "::ffff:1.0.0.1".parse().unwrap();
    assert_eq!(store.find_by_ip_port(mapped, 8333), Ok(Some(first.clone())));
    assert_eq!(store.find_by_ip_port(mapped, 8334), Ok(None));
    assert_eq!(
        store.find_by_status(PeerStatusKind::Inaccessible),
        Ok(vec![second.clone()])
    );
    assert_eq!(store.find_by_status(PeerStatusKind::Valid), Ok(vec![]));
    assert_eq!(store.delete(first.id), Ok(Some(first.clone())));
    assert_eq!(store.delete(first.id), Ok(None));
    assert_eq!(store.read(first.id), Ok(None));
    assert_eq!(store.read(second.id), Ok(Some(second)));
}
