//! Persistence of peers and bans, with intact and failing stores.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::{InMemoryPeerStore, Peer, PeerId, PeerStatusKind, PeerStore, StoreError};
use bsv_p2p::{Error, Manager, ManagerConfig, Network};

use crate::harness::*;

fn open(path: &Path) -> InMemoryPeerStore {
    let opened = InMemoryPeerStore::open(path, Network::Regtest, 100, SystemTime::now());
    let (store, damaged) = opened.unwrap();
    assert_eq!(damaged, None);
    store
}

fn with_file(config: ManagerConfig, path: &Path) -> Manager {
    Manager::with_file(config, path).unwrap()
}

#[test]
fn peers_and_bans_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let node = LocalNode::start().unwrap();
    let manager = with_file(config(), &path);
    manager.start().unwrap();
    let peer_id = manager.connect(node.address()).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let subnet: bsv_p2p::peers::Subnet = "203.0.113.0/24".parse().unwrap();
    let ban = manager.ban(subnet, None).unwrap();
    manager.shutdown().unwrap();
    drop(manager);

    let manager = with_file(config(), &path);
    manager.start().unwrap();
    let bans = manager.bans();
    assert_eq!((bans.len(), bans[0].subnet), (1, ban.subnet));
    // It is dialed again because it is stored.
    manager.wait_for_peers(1, LIMIT).unwrap();
    assert_eq!(manager.connections()[0].peer_id, peer_id);
    let peers = manager.peers().unwrap();
    assert!(peers[0].manual && peers[0].version.is_some());
}

#[test]
fn ban_is_saved_before_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let manager = with_file(config(), &path);
    manager.start().unwrap();
    let address: IpAddr = "203.0.113.7".parse().unwrap();
    manager
        .ban(address, Some(Duration::from_secs(3600)))
        .unwrap();
    until("it is in the file", || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("203.0.113.7"))
    });
}

/// Returns the error that a manager with this file reports at its start.
fn told_of(path: &Path) -> StoreError {
    let manager = Manager::with_file(config(), path).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let error = wait_for(&events, |event| match event {
        ControlEvent::StoreFailed { error } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(manager.peers().unwrap(), []);
    // The manager works nevertheless.
    manager
        .ban("203.0.113.9".parse::<IpAddr>().unwrap(), None)
        .unwrap();
    manager.shutdown().unwrap();
    error
}

#[test]
fn corrupt_file_is_moved_aside_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let damaged = "{ \"version\": 1, \"network\": \"regt";
    fs::write(&path, damaged).unwrap();
    let StoreError::Corrupt(file) = told_of(&path) else {
        panic!("it is not damaged");
    };
    assert_eq!(fs::read_to_string(file.moved_to).unwrap(), damaged);
    let bans = open(&path).read_bans().unwrap();
    assert_eq!(bans.len(), 1, "the new file is in use");
}

#[test]
fn empty_file_counts_as_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    fs::write(&path, "").unwrap();
    assert!(matches!(told_of(&path), StoreError::Corrupt(_)));
}

/// The file belongs to another network, is in use, is a directory, or is in a missing directory.
#[test]
fn unusable_file_is_reported_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let opened = InMemoryPeerStore::open(&path, Network::Stn, 100, SystemTime::now());
    let (foreign, _) = opened.unwrap();
    foreign.save().unwrap();
    assert!(matches!(told_of(&path), StoreError::InUse { .. }));
    drop(foreign);
    let before = fs::read(&path).unwrap();
    assert!(matches!(told_of(&path), StoreError::NetworkMismatch { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);

    let unreadable = folder.path().join("folder");
    fs::create_dir(&unreadable).unwrap();
    assert!(matches!(told_of(&unreadable), StoreError::Io { .. }));
    let nowhere = folder.path().join("no folder").join("peers.json");
    assert!(matches!(told_of(&nowhere), StoreError::Io { .. }));
}

#[test]
fn write_failure_is_reported_and_manager_continues() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    fs::create_dir(&place).unwrap();
    let path = place.join("peers.json");
    let manager = Manager::with_file(config(), &path).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    fs::remove_dir_all(&place).unwrap();
    let banned: IpAddr = "203.0.113.9".parse().unwrap();
    manager.ban(banned, None).unwrap();
    let error = wait_for(&events, |event| match event {
        ControlEvent::StoreFailed { error } => Some(error.clone()),
        _ => None,
    });
    assert!(error.to_string().contains("peers.json"), "{error}");
    assert_eq!(manager.bans().len(), 1);
    assert!(matches!(manager.shutdown(), Err(Error::Store(_))));
}

/// A store whose medium is gone.
struct Broken;

fn gone() -> StoreError {
    StoreError::Other("the disk is full".into())
}

impl PeerStore for Broken {
    fn create(&self, _: Peer, _: SystemTime) -> Result<Option<Peer>, StoreError> {
        Err(gone())
    }
    fn read(&self, _: PeerId) -> Result<Option<Peer>, StoreError> {
        Err(gone())
    }
    fn update(&self, _: Peer) -> Result<(), StoreError> {
        Err(gone())
    }
    fn delete(&self, _: PeerId) -> Result<Option<Peer>, StoreError> {
        Err(gone())
    }
    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        Err(gone())
    }
    fn find_by_status(&self, _: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        Err(gone())
    }
    fn find_by_ip_port(&self, _: std::net::IpAddr, _: u16) -> Result<Option<Peer>, StoreError> {
        Err(gone())
    }
    fn count_by_status(&self, _: PeerStatusKind) -> Result<usize, StoreError> {
        Err(gone())
    }
    fn save(&self) -> Result<(), StoreError> {
        Err(gone())
    }
}

#[test]
fn broken_store_is_reported_and_manager_continues() {
    let node = LocalNode::start().unwrap();
    let manager = Manager::with_store(config(), Arc::new(Broken)).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let failed = |event: &ControlEvent| match event {
        ControlEvent::StoreFailed { error } => Some(error.clone()),
        _ => None,
    };
    assert_eq!(wait_for(&events, failed), gone(), "while it is read");
    manager.connect(node.address()).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    assert_eq!(wait_for(&events, failed), gone(), "while it is written");
    assert_eq!(manager.shutdown(), Err(Error::Store(Box::new(gone()))));
}

/// A store whose calls never return.
struct Hanging(crossbeam_channel::Receiver<()>);

impl PeerStore for Hanging {
    fn create(&self, _: Peer, _: SystemTime) -> Result<Option<Peer>, StoreError> {
        Ok(None)
    }
    fn read(&self, _: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(None)
    }
    fn update(&self, _: Peer) -> Result<(), StoreError> {
        let _ = self.0.recv();
        Ok(())
    }
    fn delete(&self, _: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(None)
    }
    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        Ok(Vec::new())
    }
    fn find_by_status(&self, _: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        Ok(Vec::new())
    }
    fn find_by_ip_port(&self, _: std::net::IpAddr, _: u16) -> Result<Option<Peer>, StoreError> {
        Ok(None)
    }
    fn count_by_status(&self, _: PeerStatusKind) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[test]
fn blocked_store_delays_shutdown_until_deadline() {
    let (let_go, hangs) = crossbeam_channel::bounded(0);
    let node = LocalNode::start().unwrap();
    let mut config = config();
    config.shutdown_timeout = Duration::from_secs(3600);
    let manager = Arc::new(Manager::with_store(config.clone(), Arc::new(Hanging(hangs))).unwrap());
    manager.start_fixed([node.address()]).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    assert_eq!(manager.connected_count(), 1);
    config.shutdown_timeout = Duration::from_secs(1);
    manager.update_config(config).unwrap();
    let began = Instant::now();
    let stopping = manager.clone();
    let stopping = thread::spawn(move || stopping.shutdown());
    // Calls in this time do not wait for the store.
    until("it does not run any more", || {
        manager.peers() == Err(Error::NotRunning)
    });
    assert!(!stopping.is_finished());
    let Err(Error::ShutdownTimedOut { left, .. }) = stopping.join().unwrap() else {
        panic!("it does not hang");
    };
    assert_eq!(left, "peer store");
    assert!(began.elapsed() < Duration::from_secs(3));
    drop(let_go);
}
