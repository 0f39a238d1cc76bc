//! Many inbound peers, silent or not, from one address and from many.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bsv_p2p::event::{ControlEvent, InboundRejectReason};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::{InMemoryPeerStore, Peer, PeerSource, PeerStore};
use bsv_p2p::session::Direction;
use bsv_p2p::wire::{Message, Ping, Pong};
use bsv_p2p::{Manager, ManagerConfig};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;
use test_support::raw_peer::{RawPeer, frame, header_claiming, version};

use crate::harness::*;

/// Each loopback address is limited like a public one.
fn strict() -> ManagerConfig {
    let mut config = listening();
    config.allow_private = Some(false);
    config
}

fn handshake_of(address: SocketAddr) -> impl FnMut(&ControlEvent) -> Option<()> {
    move |event| match event {
        ControlEvent::HandshakeComplete { address: who, .. } if *who == address => Some(()),
        _ => None,
    }
}

fn refusal(event: &ControlEvent) -> Option<(IpAddr, InboundRejectReason)> {
    match event {
        ControlEvent::InboundConnectionRejected { address, reason } => {
            Some((address.ip(), *reason))
        }
        _ => None,
    }
}

/// Dials until the manager accepts a connection of the address, whose other ones are ending.
#[track_caller]
fn wait_for_place(from: Ipv4Addr, address: SocketAddr) {
    until("the address has a place", || {
        let mut peer = dial_from(from, address);
        // Fails if the manager has closed the connection already.
        peer.try_send(version());
        matches!(peer.next(), Some(Message::Version(_)))
    });
}

/// Other addresses are unaffected.
#[test]
fn handshakes_per_address_are_limited() {
    let (_manager, events, address) = running(strict());
    let from = Ipv4Addr::new(127, 0, 0, 2);
    let silent = [(); 4].map(|()| dial_from(from, address));
    let fifth = dial_from(from, address);
    assert!(fifth.read_to_end().is_empty());
    let refused = wait_for(&events, refusal);
    assert_eq!(refused, (from.into(), InboundRejectReason::HandshakeLimit));
    dial_from([127, 0, 0, 3], address).shake_hands();
    drop(silent);
    wait_for_place(from, address);
}

/// Other addresses are unaffected.
#[test]
fn connections_per_address_are_limited() {
    let (manager, events, address) = running(strict());
    let from = Ipv4Addr::new(127, 0, 0, 2);
    let mut kept: Vec<_> = (1..=8)
        .map(|count| {
            let mut peer = dial_from(from, address);
            peer.shake_hands();
            manager.wait_for_peers(count, LIMIT).unwrap();
            peer
        })
        .collect();
    let ninth = dial_from(from, address);
    // Without a message, it could become a second stream.
    ninth.send(version());
    assert!(ninth.read_to_end().is_empty());
    let refused = wait_for(&events, refusal);
    assert_eq!(refused, (from.into(), InboundRejectReason::AddressLimit));
    dial_from([127, 0, 0, 3], address).shake_hands();
    kept.pop();
    wait_for_place(from, address);
}

#[test]
fn oldest_silent_handshake_is_evicted_after_half_second() {
    let mut config = strict();
    config.listener.max_handshakes = 3;
    let (manager, events, address) = running(config);
    let (silent, _good, took) = assert_within(Duration::from_millis(1500), 100, || {
        let began = Instant::now();
        let silent = [2, 3, 4].map(|last| dial_from([127, 0, 0, last], address));
        let mut good = dial_from([127, 0, 0, 5], address);
        good.shake_hands();
        (silent, good, began.elapsed())
    });
    assert!(took >= Duration::from_millis(500), "{took:?}");
    assert!(
        silent[0].read_to_end().is_empty(),
        "the first has given way"
    );
    let local = silent[0].tcp().local_addr().unwrap();
    let who = wait_for(&events, |event| match event {
        ControlEvent::InboundConnectionRejected { address, reason } => Some((*address, *reason)),
        _ => None,
    });
    assert_eq!(who, (local, InboundRejectReason::Capacity));
    assert_eq!(manager.metrics().slots_taken, 1);
    // The others stay.
    for other in &silent[1..] {
        other.tcp().set_nonblocking(true).unwrap();
        let nothing = other.tcp().read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn stalled_handshake_in_last_slot_is_evicted() {
    let mut config = strict();
    config.max_connections = 2;
    let (manager, events, address) = running(config);
    // The first message shows that they are no second streams, and never arrives.
    let stalled = [2, 3].map(|last| {
        let peer = dial_from([127, 0, 0, last], address);
        peer.send_bytes(&header_claiming("version", 100));
        wait_for(&events, |event| match event {
            ControlEvent::InboundConnectionAccepted { .. } => Some(()),
            _ => None,
        });
        peer
    });
    let mut good = dial_from([127, 0, 0, 5], address);
    good.shake_hands();
    assert!(stalled[0].read_to_end().is_empty());
    let who = wait_for(&events, |event| match event {
        ControlEvent::ConnectionRejectedCapacity { address, .. } => Some(*address),
        _ => None,
    });
    assert_eq!(who, stalled[0].tcp().local_addr().unwrap());
    assert_eq!(manager.metrics().slots_taken, 2, "the other one stays");
}

#[test]
fn eviction_takes_newest_of_most_crowded_group() {
    let mut config = strict();
    config.max_connections = 4;
    config.listener.evict_inbound = true;
    let (manager, events, address) = running(config);
    let connect = |from: [u8; 4]| {
        let mut peer = dial_from(from, address);
        peer.shake_hands();
        let local = peer.tcp().local_addr().unwrap();
        wait_for(&events, handshake_of(local));
        peer
    };
    let _other = connect([127, 2, 0, 1]);
    let _first = connect([127, 1, 0, 1]);
    let _second = connect([127, 1, 0, 2]);
    let mut third = connect([127, 1, 0, 3]);
    let _newcomer = connect([127, 3, 0, 1]);
    third.rest();
    until("one has gone for one", || manager.connected_count() == 4);
    // A peer that would make its group as large as the largest one evicts nobody.
    let mut refused = dial_from([127, 3, 0, 2], address);
    refused.send(test_support::raw_peer::version());
    refused.send(Message::Verack);
    refused.send(test_support::raw_peer::protoconf());
    assert!(matches!(refused.expect("reject"), Message::Reject(_)));
    assert_eq!(manager.connected_count(), 4);
}

#[test]
fn outbound_slots_stay_free_despite_many_strangers() {
    let peers = [(); 4].map(|()| LocalNode::start().unwrap().address());
    let store = InMemoryPeerStore::new(100);
    for address in peers {
        let peer = Peer::new(address, PeerSource::Seed, SystemTime::now()).unwrap();
        store.create(peer, SystemTime::now()).unwrap();
    }
    let mut config = listening();
    config.target_connections = 8;
    config.max_connections = 12;
    config.restarts.max_delayed_restarts = None;
    let manager = Manager::with_store(config, Arc::new(store)).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let address = started(&events);
    // Half of them stay silent, and there are no peers to dial yet.
    let mut strangers = Vec::new();
    let mut most = 0;
    for number in 0..100 {
        let peer = RawPeer::dial(address);
        if number % 2 == 0 {
            // Fails if the manager has closed the connection already, for lack of a slot.
            peer.try_send(test_support::raw_peer::version());
            peer.try_send(Message::Verack);
            peer.try_send(test_support::raw_peer::protoconf());
        }
        strangers.push(peer);
        most = most.max(manager.metrics().slots_taken);
    }
    until("the strangers have all places but ours", || {
        most = most.max(manager.metrics().slots_taken);
        manager.connected_count() == 8
    });
    let nodes =
        peers.map(|address| LocalNode::start_at(address, LocalNode::default_config()).unwrap());
    let mut dialed = HashSet::new();
    wait_for(&events, |event| {
        if let ControlEvent::HandshakeComplete { address, .. } = event
            && peers.contains(address)
        {
            dialed.insert(*address);
        }
        most = most.max(manager.metrics().slots_taken);
        (dialed.len() == 4).then_some(())
    });
    assert!(most <= 12, "{most} places were taken");
    manager.wait_for_peers(12, LIMIT).unwrap();
    let connections = manager.connections();
    let outbound = connections
        .iter()
        .filter(|one| one.direction == Direction::Outbound);
    assert_eq!(outbound.count(), 4);
    drop(nodes);
}

#[test]
fn twenty_thousand_pings_are_answered_in_order() {
    const PINGS: u64 = 20_000;
    let (_manager, _events, address) = running(listening());
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    let writer = peer.another_holder();
    thread::scope(|scope| {
        scope.spawn(|| {
            let pings = (0..PINGS).flat_map(|nonce| frame(&Ping::new(nonce).into()));
            std::io::Write::write_all(&mut &writer, &pings.collect::<Vec<_>>()).unwrap();
        });
        let mut answered = 0;
        while answered < PINGS {
            match peer.next_message() {
                Message::Pong(Pong { nonce: Some(nonce) }) => {
                    assert_eq!(nonce, answered);
                    answered += 1;
                }
                other => assert!(!matches!(other, Message::Reject(_)), "{other:?}"),
            }
        }
    });
}
