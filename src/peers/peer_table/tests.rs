//! Tests of the table: eviction order, and unique ids and addresses.

use std::time::Duration;

use super::*;
use crate::peers::{BanReason, PeerSource};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

const NOW: u64 = 1000;

/// Returns a peer that is identified by its port.
fn peer(port: u16, status: PeerStatus, seconds: u64) -> Peer {
    let address = SocketAddr::from(([8, 8, 4, 4], port));
    let mut peer = Peer::new(address, PeerSource::Seed, at(seconds)).unwrap();
    peer.status = status;
    peer
}

fn unknown(port: u16, seconds: u64) -> Peer {
    peer(port, PeerStatus::Unknown, seconds)
}

fn inaccessible(port: u16, seconds: u64) -> Peer {
    peer(port, PeerStatus::Inaccessible, seconds)
}

fn valid(port: u16, seconds: u64) -> Peer {
    peer(port, PeerStatus::Valid, seconds)
}

fn banned(port: u16, until: Option<u64>) -> Peer {
    let mut peer = peer(
        port,
        PeerStatus::Banned(BanReason::WrongMagic),
        u64::from(port),
    );
    peer.banned_until = until.map(at);
    peer
}

fn table(max: usize, peers: impl IntoIterator<Item = Peer>) -> PeerTable {
    let mut table = PeerTable::new(max);
    for peer in peers {
        assert_eq!(table.create(peer, at(NOW)), Ok(None));
    }
    table
}

/// Returns the ports of the peers in the order of their eviction.
fn order_of_leaving(mut table: PeerTable) -> Vec<u16> {
    let newcomers = (1..).map_while(|number| {
        let mut better = valid(60_000 + number, NOW);
        better.manual = true;
        table.create(better, at(NOW)).ok()?
    });
    newcomers.map(|evicted| evicted.port).collect()
}

#[test]
fn eviction_follows_the_documented_order() {
    let peers = [
        // The ports show the expected order, which differs from the order of the times.
        inaccessible(1, 300),
        banned(2, Some(400)),
        inaccessible(3, 500),
        banned(4, Some(NOW)),
        unknown(5, 1),
        unknown(6, 2),
        banned(7, Some(NOW + 1)),
        banned(8, Some(NOW + 2)),
        banned(9, None),
        banned(10, None),
        valid(11, 0),
        valid(12, 1),
    ];
    for turned in 0..peers.len() {
        let mut peers = peers.clone();
        peers.rotate_left(turned);
        let order: Vec<u16> = (1..=12).collect();
        assert_eq!(order_of_leaving(table(12, peers)), order);
    }
}

#[test]
fn unknown_peers_are_evicted_by_last_seen() {
    let mut first = unknown(1, 10);
    first.last_seen = at(30);
    let order = order_of_leaving(table(2, [first, unknown(2, 20)]));
    assert_eq!(order, [2, 1]);
}

#[test]
fn new_peer_with_lowest_rank_is_rejected() {
    let mut full = table(2, [valid(1, 0), unknown(2, 500)]);
    let error = StoreError::Full { limit: 2 };
    for new in [unknown(3, 499), inaccessible(4, 999), banned(5, Some(NOW))] {
        assert_eq!(full.create(new.clone(), at(NOW)), Err(error.clone()));
        assert_eq!(full.get(new.id), None);
        assert_eq!(full.find(new.socket_address()), None);
        assert_eq!(full.eviction_order.len(), 2);
    }
    let evicted = full.create(unknown(6, 501), at(NOW)).unwrap().unwrap();
    assert_eq!(evicted.port, 2);
    let evicted = full.create(valid(7, 0), at(NOW)).unwrap().unwrap();
    assert_eq!(evicted.port, 6);
}

#[test]
fn valid_peer_outranks_all_others() {
    let mut full = table(2, [valid(1, 0), valid(2, 1)]);
    for worse in [unknown(3, NOW), banned(4, None), banned(5, Some(NOW + 9))] {
        assert!(full.create(worse, at(NOW)).is_err());
    }
    assert!(full.find(valid(1, 0).socket_address()).is_some());
}

#[test]
fn manual_peer_is_never_evicted() {
    let mut named = inaccessible(1, 0);
    named.manual = true;
    let mut full = table(2, [named.clone(), valid(2, 1)]);
    assert_eq!(full.create(valid(3, 2), at(NOW)).unwrap().unwrap().port, 2);
    // If no peer can be evicted, even a manual one is rejected.
    let second = Peer {
        manual: true,
        ..valid(4, 3)
    };
    assert_eq!(full.create(second, at(NOW)).unwrap().unwrap().port, 3);
    let third = Peer {
        manual: true,
        ..valid(5, 4)
    };
    assert!(full.create(third, at(NOW)).is_err());
    // A peer that is no longer manual can be evicted.
    named.manual = false;
    full.update(named).unwrap();
    assert_eq!(full.create(valid(6, 5), at(NOW)).unwrap().unwrap().port, 1);
}

#[test]
fn update_changes_the_eviction_order() {
    let (mut first, second) = (inaccessible(1, 0), unknown(2, 0));
    let mut full = table(2, [first.clone(), second]);
    first.status = PeerStatus::Valid;
    full.update(first).unwrap();
    assert_eq!(order_of_leaving(full), [2, 1]);
}

#[test]
fn duplicate_id_or_address_is_rejected() {
    let first = unknown(1, 0);
    let mut table = table(9, [first.clone()]);
    assert_eq!(
        table.create(first.clone(), at(NOW)),
        Err(StoreError::DuplicateId(first.id))
    );
    let mut mapped = unknown(1, 5);
    mapped.ip_address = "::ffff:8.8.4.4".parse().unwrap();
    assert_eq!(
        table.create(mapped.clone(), at(NOW)),
        Err(StoreError::DuplicateAddress(first.socket_address()))
    );
    assert_eq!(table.find(mapped.socket_address()), Some(&first));
    assert_eq!(table.iter().count(), 1);
    assert_eq!(table.eviction_order.len(), 1);
    // The same host may listen twice.
    assert_eq!(table.create(unknown(2, 0), at(NOW)), Ok(None));
}

#[test]
fn update_to_an_occupied_address_is_rejected() {
    let (mut first, second) = (unknown(1, 0), unknown(2, 0));
    let mut table = table(9, [first.clone(), second.clone()]);
    let before = first.clone();
    first.port = 2;
    assert_eq!(
        table.update(first.clone()),
        Err(StoreError::DuplicateAddress(second.socket_address()))
    );
    assert_eq!(table.find(before.socket_address()), Some(&before));
    first.port = 3;
    assert_eq!(table.update(first.clone()), Ok(()));
    assert_eq!(table.find(before.socket_address()), None);
    assert_eq!(table.find(first.socket_address()), Some(&first));
    assert_eq!(table.iter().count(), 2);

    let stranger = unknown(4, 0);
    let missing = StoreError::NotFound(stranger.id);
    assert_eq!(table.update(stranger), Err(missing));
}

#[test]
fn remove_clears_all_indexes() {
    let peers = [unknown(1, 0), valid(2, 0), banned(3, None)];
    let mut table = table(3, peers.clone());
    for peer in &peers {
        assert_eq!(table.remove(peer.id).as_ref(), Some(peer));
        assert_eq!(table.remove(peer.id), None);
    }
    assert!(
        table.peers.is_empty() && table.addresses.is_empty() && table.eviction_order.is_empty()
    );
}

#[test]
fn table_without_capacity_rejects_peers() {
    assert!(PeerTable::new(0).create(valid(1, 0), at(NOW)).is_err());
}

#[test]
fn a_time_before_1970_is_the_earliest() {
    let mut old = inaccessible(1, 0);
    old.status_timestamp = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        order_of_leaving(table(2, [inaccessible(2, 0), old])),
        [1, 2]
    );
}
