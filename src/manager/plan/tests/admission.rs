//! Admission of inbound connections.

use super::*;
use crate::event::InboundRejectReason;
use crate::peers::PeerId;

/// Returns an inbound address in a group of its own.
fn stranger(number: u32) -> SocketAddr {
    SocketAddr::new(address(number).ip(), 50_000)
}

fn ask(plan: &mut Plan, from: SocketAddr, now: Now) -> (PeerId, Admission) {
    super::ask(plan, from, &Blind, now)
}

fn ask_with(
    plan: &mut Plan,
    from: SocketAddr,
    has_version: impl Fn(PeerId) -> bool,
    now: Now,
) -> (PeerId, Admission) {
    super::ask(plan, from, &HasVersion(has_version), now)
}

fn places(max_connections: usize, min_outbound: usize) -> ManagerConfig {
    let mut config = config();
    (config.max_connections, config.min_outbound) = (max_connections, min_outbound);
    config.target_connections = config.target_connections.min(max_connections);
    config
}

#[test]
fn inbound_peers_never_take_outbound_slots() {
    let now = begin();
    let mut plan = plan_of(places(20, 4), Vec::new(), now);
    for number in 0..16 {
        let (peer_id, admission) = ask(&mut plan, stranger(number), now);
        assert_eq!(admission, Admission::Accept);
        plan.on_connected(peer_id, &info(), now);
    }
    assert_eq!(
        ask(&mut plan, stranger(16), now).1,
        Admission::RejectPolitely
    );
    // Reserved slots are dialed even if inbound connections alone reach the target.
    for number in 100..110 {
        let peer = Peer::new(address(number), PeerSource::Seed, now.wall).unwrap();
        plan.table.create(peer, now.wall).unwrap();
    }
    plan.look_again(now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 4);
    assert_eq!(plan.links.counts().taken(), 20);
}

#[test]
fn local_addresses_bypass_per_address_limits() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let from = stranger(1);
    let first: Vec<_> = (0..4).map(|_| ask(&mut plan, from, now)).collect();
    assert!(
        first
            .iter()
            .all(|(_, admission)| *admission == Admission::Accept)
    );
    let refused = Admission::Drop(InboundRejectReason::HandshakeLimit);
    assert_eq!(ask(&mut plan, from, now).1, refused);
    for (peer_id, _) in first {
        plan.on_connected(peer_id, &info(), now);
    }
    for _ in 0..4 {
        let (peer_id, admission) = ask(&mut plan, from, now);
        assert_eq!(admission, Admission::Accept);
        plan.on_connected(peer_id, &info(), now);
    }
    let refused = Admission::Drop(InboundRejectReason::AddressLimit);
    assert_eq!(ask(&mut plan, from, now).1, refused);
    assert_eq!(ask(&mut plan, stranger(2), now).1, Admission::Accept);

    let mut config = ManagerConfig::new(Network::Regtest);
    config.max_connections = 100;
    let near = "127.0.0.1:1".parse().unwrap();
    let mut plan = plan_of(config.clone(), Vec::new(), now);
    assert!((0..60).all(|_| ask(&mut plan, near, now).1 == Admission::Accept));
    config.allow_private = Some(false);
    let mut plan = plan_of(config, Vec::new(), now);
    assert!((0..4).all(|_| ask(&mut plan, near, now).1 == Admission::Accept));
    let refused = Admission::Drop(InboundRejectReason::HandshakeLimit);
    assert_eq!(ask(&mut plan, near, now).1, refused);
}

#[test]
fn a_subnet_of_ipv6_counts_as_one_address() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let from = |host: u32| format!("[2a00:1450:1:2::{host:x}]:1").parse().unwrap();
    assert!((1..=4).all(|host| ask(&mut plan, from(host), now).1 == Admission::Accept));
    let refused = Admission::Drop(InboundRejectReason::HandshakeLimit);
    assert_eq!(ask(&mut plan, from(5), now).1, refused);
    let elsewhere = "[2a00:1450:1:3::1]:1".parse().unwrap();
    assert_eq!(ask(&mut plan, elsewhere, now).1, Admission::Accept);
}

#[test]
fn stalled_handshake_is_evicted_after_500_ms() {
    let now = begin();
    let mut config = places(100, 0);
    config.listener.max_handshakes = 3;
    let mut plan = plan_of(config, Vec::new(), now);
    let (spoken, _) = ask(&mut plan, stranger(1), now);
    let (silent, _) = ask(&mut plan, stranger(2), later(now, SECOND / 10));
    let (younger, _) = ask(&mut plan, stranger(3), later(now, SECOND / 5));
    let has_version = |peer_id| peer_id == spoken;
    let soon = later(now, SECOND / 2);
    let (_, admission) = ask_with(&mut plan, stranger(4), has_version, soon);
    let stale_at = now.instant + SECOND / 10 + SECOND / 2;
    assert_eq!(admission, Admission::Defer(Some(stale_at)));
    assert_eq!(actions(&mut plan, soon), []);

    let then = later(now, SECOND);
    assert_eq!(
        ask_with(&mut plan, stranger(4), has_version, then).1,
        Admission::Defer(None)
    );
    assert_eq!(
        ask_with(&mut plan, stranger(4), has_version, then).1,
        Admission::Defer(None)
    );
    let close = (silent, DisconnectReason::AtCapacity);
    assert_eq!(
        close_of(&actions(&mut plan, then)),
        [close],
        "one goes for one"
    );
    plan.on_over(silent, &DisconnectReason::AtCapacity, then);
    assert_eq!(
        ask_with(&mut plan, stranger(4), has_version, then).1,
        Admission::Accept
    );
    assert!(plan.links.get(younger).is_some());

    // Handshakes with a `version` have a higher minimum age.
    let (_, admission) = ask_with(&mut plan, stranger(5), |_| true, then);
    assert_eq!(admission, Admission::Defer(Some(now.instant + SECOND * 2)));
    assert_eq!(actions(&mut plan, then), []);
    let then = later(now, SECOND * 2);
    ask_with(&mut plan, stranger(5), |_| true, then);
    let close = (spoken, DisconnectReason::AtCapacity);
    assert_eq!(close_of(&actions(&mut plan, then)), [close]);
}

#[test]
fn capacity_reject_messages_are_limited() {
    let now = begin();
    let mut config = places(1, 0);
    config.listener.max_capacity_rejects = 2;
    let mut plan = plan_of(config, Vec::new(), now);
    let (first, _) = ask(&mut plan, stranger(1), now);
    plan.on_connected(first, &info(), now);
    let (told, admission) = ask(&mut plan, stranger(2), now);
    assert_eq!(admission, Admission::RejectPolitely);
    assert_eq!(
        ask(&mut plan, stranger(3), now).1,
        Admission::RejectPolitely
    );
    let refused = Admission::Drop(InboundRejectReason::Capacity);
    assert_eq!(ask(&mut plan, stranger(4), now).1, refused);
    plan.on_over(told, &DisconnectReason::AtCapacity, now);
    assert_eq!(
        ask(&mut plan, stranger(5), now).1,
        Admission::RejectPolitely
    );
    assert_eq!(plan.links.counts().taken(), 1);
}

#[test]
fn newest_of_largest_group_is_evicted() {
    let now = begin();
    let mut config = places(5, 0);
    config.listener.evict_inbound = true;
    let mut plan = plan_of(config, Vec::new(), now);
    let mut crowd = Vec::new();
    for (number, text) in [
        "8.8.1.1:1",
        "8.8.2.2:1",
        "8.8.3.3:1",
        "9.9.1.1:1",
        "9.9.2.2:1",
    ]
    .into_iter()
    .enumerate()
    {
        let at = later(now, SECOND * number as u32);
        let (peer_id, admission) = ask(&mut plan, text.parse().unwrap(), at);
        assert_eq!(admission, Admission::Accept);
        plan.on_connected(peer_id, &info(), at);
        crowd.push(peer_id);
    }
    let at = later(now, 10 * SECOND);
    // No connection is evicted for a member of the largest group.
    assert_eq!(
        ask(&mut plan, "8.8.4.4:1".parse().unwrap(), at).1,
        Admission::RejectPolitely
    );
    assert_eq!(ask(&mut plan, stranger(1), at).1, Admission::Defer(None));
    let close = (crowd[2], DisconnectReason::AtCapacity);
    assert_eq!(close_of(&actions(&mut plan, at)), [close]);
    plan.on_over(crowd[2], &DisconnectReason::AtCapacity, at);
    assert_eq!(ask(&mut plan, stranger(1), at).1, Admission::Accept);
}

#[test]
fn many_stalled_handshakes_are_evicted_sooner() {
    let now = begin();
    let waits = |standing: usize, has_version: bool| {
        let mut config = places(1_000, 0);
        config.listener.max_handshakes = standing;
        let mut plan = plan_of(config, Vec::new(), now);
        for number in 0..standing {
            ask(&mut plan, stranger(number as u32), now);
        }
        let newcomer = stranger(standing as u32);
        match ask_with(&mut plan, newcomer, |_| has_version, now).1 {
            Admission::Defer(Some(at)) => at.duration_since(now.instant).as_millis(),
            other => panic!("{other:?}"),
        }
    };
    let silent = [1, 8, 16, 20, 64, 500].map(|standing| waits(standing, false));
    assert_eq!(silent, [500, 500, 125, 80, 25, 25]);
    let spoken = [1, 8, 10, 16, 64].map(|standing| waits(standing, true));
    assert_eq!(spoken, [2_000, 2_000, 1_280, 500, 500]);
}
