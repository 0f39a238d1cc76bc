//! Tests of the table: who is forgotten first, and that ids and addresses stay unique.

use std::time::Duration;

use super::*;
use crate::peers::{BanReason, PeerSource};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

const NOW: u64 = 1000;

/// Every peer has a port of its own, by which it is told from the others.
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

fn table(max: usize, peers: impl IntoIterator<Item = Peer>) -> Table {
    let mut table = Table::new(max);
    for peer in peers {
        assert_eq!(table.create(peer, at(NOW)), Ok(None));
    }
    table
}

/// The ports of those that go for better ones, one after the other.
fn order_of_leaving(mut table: Table) -> Vec<u16> {
    let newcomers = (1..).map_while(|number| {
        let mut better = valid(60_000 + number, NOW);
        better.named = true;
        table.create(better, at(NOW)).ok()?
    });
    newcomers.map(|gone| gone.port).collect()
}

#[test]
fn the_worst_goes_first_in_the_order_that_is_documented() {
    let peers = [
        // The ports tell the order, the times of different kinds would tell another.
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
fn an_unknown_peer_goes_by_when_it_was_last_heard_of() {
    let mut first = unknown(1, 10);
    first.last_seen = at(30);
    let order = order_of_leaving(table(2, [first, unknown(2, 20)]));
    assert_eq!(order, [2, 1]);
}

#[test]
fn a_new_peer_that_is_worth_the_least_is_refused() {
    let mut full = table(2, [valid(1, 0), unknown(2, 500)]);
    let error = StoreError::Full { limit: 2 };
    for new in [unknown(3, 499), inaccessible(4, 999), banned(5, Some(NOW))] {
        assert_eq!(full.create(new.clone(), at(NOW)), Err(error.clone()));
        assert_eq!(full.get(new.id), None);
        assert_eq!(full.find(new.socket_address()), None);
        assert_eq!(full.places.len(), 2);
    }
    let gone = full.create(unknown(6, 501), at(NOW)).unwrap().unwrap();
    assert_eq!(gone.port, 2);
    let gone = full.create(valid(7, 0), at(NOW)).unwrap().unwrap();
    assert_eq!(gone.port, 6);
}

#[test]
fn a_valid_peer_never_goes_while_a_worse_one_is_there() {
    let mut full = table(2, [valid(1, 0), valid(2, 1)]);
    for worse in [unknown(3, NOW), banned(4, None), banned(5, Some(NOW + 9))] {
        assert!(full.create(worse, at(NOW)).is_err());
    }
    assert!(full.find(valid(1, 0).socket_address()).is_some());
}

#[test]
fn a_named_peer_never_goes() {
    let mut named = inaccessible(1, 0);
    named.named = true;
    let mut full = table(2, [named.clone(), valid(2, 1)]);
    assert_eq!(full.create(valid(3, 2), at(NOW)).unwrap().unwrap().port, 2);
    // With nobody left that may go, even a named one finds no room.
    let second = Peer {
        named: true,
        ..valid(4, 3)
    };
    assert_eq!(full.create(second, at(NOW)).unwrap().unwrap().port, 3);
    let third = Peer {
        named: true,
        ..valid(5, 4)
    };
    assert!(full.create(third, at(NOW)).is_err());
    // Named no more, it is like others.
    named.named = false;
    full.update(named).unwrap();
    assert_eq!(full.create(valid(6, 5), at(NOW)).unwrap().unwrap().port, 1);
}

#[test]
fn a_peer_that_has_changed_goes_by_what_it_is_now() {
    let (mut first, second) = (inaccessible(1, 0), unknown(2, 0));
    let mut full = table(2, [first.clone(), second]);
    first.status = PeerStatus::Valid;
    full.update(first).unwrap();
    assert_eq!(order_of_leaving(full), [2, 1]);
}

#[test]
fn an_address_or_an_id_that_is_there_is_refused_and_nothing_changes() {
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
    assert_eq!(table.all().count(), 1);
    assert_eq!(table.places.len(), 1);
    // The same host may listen twice.
    assert_eq!(table.create(unknown(2, 0), at(NOW)), Ok(None));
}

#[test]
fn an_update_may_move_a_peer_but_not_onto_another() {
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
    assert_eq!(table.all().count(), 2);

    let stranger = unknown(4, 0);
    let missing = StoreError::NotFound(stranger.id);
    assert_eq!(table.update(stranger), Err(missing));
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let peers = [unknown(1, 0), valid(2, 0), banned(3, None)];
    let mut table = table(3, peers.clone());
    for peer in &peers {
        assert_eq!(table.remove(peer.id).as_ref(), Some(peer));
        assert_eq!(table.remove(peer.id), None);
    }
    assert!(table.peers.is_empty() && table.addresses.is_empty() && table.places.is_empty());
}

#[test]
fn a_table_without_places_refuses_everybody() {
    assert!(Table::new(0).create(valid(1, 0), at(NOW)).is_err());
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
