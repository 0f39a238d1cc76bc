//! Admission of stream candidates.

use super::*;
use crate::event::InboundRejectReason;
use crate::peers::{BanReason, PeerId};

fn from(number: u32, port: u16) -> SocketAddr {
    SocketAddr::new(address(number).ip(), port)
}

fn ask(plan: &mut Plan, from: SocketAddr, insight: &impl Insight, now: Now) -> (PeerId, Admission) {
    let peer_id = PeerId::random();
    (peer_id, plan.on_accepted(peer_id, from, insight, now))
}

fn let_in(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let (peer_id, admission) = ask(plan, from, &Blind, now);
    assert_eq!(admission, Admission::LetIn);
    peer_id
}

fn connect(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let peer_id = let_in(plan, from, now);
    plan.on_connected(peer_id, &info(), now);
    peer_id
}

/// Creates a plan with a single slot, which a connected peer occupies.
fn full(change: impl FnOnce(&mut ManagerConfig), now: Now) -> Plan {
    let mut config = config();
    (config.max_connections, config.min_outbound) = (1, 0);
    config.target_connections = 0;
    change(&mut config);
    let mut plan = plan_of(config, Vec::new(), now);
    connect(&mut plan, from(1, 1), now);
    plan
}

/// Returns three decisions: without an awaited stream, with one from this address, and for another
/// address at the same time.
fn answers(plan: &mut Plan, now: Now) -> [Admission; 3] {
    let without = ask(plan, from(1, 2), &Blind, now).1;
    let awaiting = Awaiting::from(from(1, 1), 1);
    let elsewhere = ask(plan, from(2, 2), &awaiting, now).1;
    let taken = plan.links.counts();
    let with = ask(plan, from(1, 3), &awaiting, now).1;
    assert_eq!(plan.links.counts(), taken, "a stream takes no place");
    [without, with, elsewhere]
}

#[test]
fn stream_is_accepted_at_handshake_limit() {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes_per_address = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    let_in(&mut plan, from(1, 1), now);
    let refused = Admission::Refuse(InboundRejectReason::HandshakeLimit);
    let expected = [refused, Admission::AsStream, Admission::LetIn];
    assert_eq!(answers(&mut plan, now), expected);
}

#[test]
fn stream_is_accepted_at_connection_limit() {
    let now = begin();
    let mut config = config();
    config.listener.max_per_address = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    connect(&mut plan, from(1, 1), now);
    let refused = Admission::Refuse(InboundRejectReason::AddressLimit);
    let expected = [refused, Admission::AsStream, Admission::LetIn];
    assert_eq!(answers(&mut plan, now), expected);
}

#[test]
fn stream_is_accepted_when_peers_are_rejected() {
    let now = begin();
    let mut plan = full(|_| {}, now);
    let told = Admission::TurnAway;
    assert_eq!(answers(&mut plan, now), [told, Admission::AsStream, told]);

    let mut plan = full(|config| config.listener.max_capacity_rejects = 0, now);
    let closed = Admission::Refuse(InboundRejectReason::Capacity);
    let expected = [closed, Admission::AsStream, closed];
    assert_eq!(answers(&mut plan, now), expected);
}

#[test]
fn stream_is_accepted_without_eviction() {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    connect(&mut plan, from(1, 1), now);
    let_in(&mut plan, from(3, 1), now);
    let waits = Admission::Wait(Some(now.instant + SECOND / 2));
    assert_eq!(answers(&mut plan, now), [waits, Admission::AsStream, waits]);
    let late = later(now, 10 * SECOND);
    let awaiting = Awaiting::from(from(1, 1), 2);
    let (_, admission) = ask(&mut plan, from(1, 4), &awaiting, late);
    assert_eq!(admission, Admission::AsStream);
    assert_eq!(close_of(&actions(&mut plan, late)), []);
    // The connection is old enough to be evicted for a new peer.
    ask(&mut plan, from(4, 1), &awaiting, late);
    assert_eq!(close_of(&actions(&mut plan, late)).len(), 1);
}

#[test]
fn nobody_is_evicted_for_a_stream() {
    let now = begin();
    let mut config = config();
    (config.max_connections, config.min_outbound) = (3, 0);
    config.target_connections = 0;
    config.listener.evict_inbound = true;
    let mut plan = plan_of(config, Vec::new(), now);
    connect(&mut plan, from(1, 1), now);
    for crowd in ["8.200.0.1:1", "8.200.0.2:1"] {
        connect(&mut plan, crowd.parse().unwrap(), now);
    }
    let awaiting = Awaiting::from(from(1, 1), 1);
    let (_, admission) = ask(&mut plan, from(1, 2), &awaiting, now);
    assert_eq!(admission, Admission::AsStream);
    assert_eq!(close_of(&actions(&mut plan, now)), []);
    // A member of the largest group is evicted for a peer of a third group.
    let (_, admission) = ask(&mut plan, from(2, 2), &awaiting, now);
    assert_eq!(admission, Admission::Wait(None));
    assert_eq!(close_of(&actions(&mut plan, now)).len(), 1);
}

#[test]
fn stream_candidates_are_limited_to_expected_streams() {
    let now = begin();
    let mut plan = full(|config| config.listener.max_capacity_rejects = 0, now);
    let awaiting = Awaiting::from(from(1, 1), 2);
    let next = |plan: &mut Plan, port| ask(plan, from(1, port), &awaiting, now);
    let closed = Admission::Refuse(InboundRejectReason::Capacity);
    let (first, admission) = next(&mut plan, 2);
    assert_eq!(admission, Admission::AsStream);
    let (second, admission) = next(&mut plan, 3);
    assert_eq!(admission, Admission::AsStream);
    assert_eq!(next(&mut plan, 4).1, closed);
    // The first candidate is now a stream, but its final event is still queued. One stream is still
    // awaited.
    awaiting.streams.set(1);
    assert_eq!(next(&mut plan, 5).1, closed, "the second may be that one");
    awaiting.ended.borrow_mut().extend([first, second]);
    let (third, admission) = next(&mut plan, 6);
    assert_eq!(admission, Admission::AsStream, "the second was none");
    assert_eq!(next(&mut plan, 7).1, closed);
    let timed_out = DisconnectReason::HandshakeTimeout {
        after: 10 * SECOND,
        missing: AwaitedMessage::Version,
    };
    plan.on_over(first, &DisconnectReason::AttachedAsStream, now);
    plan.on_over(second, &timed_out, now);
    assert_eq!(next(&mut plan, 8).1, closed, "the third is there");
    plan.on_over(third, &timed_out, now);
    assert_eq!(next(&mut plan, 9).1, Admission::AsStream);
}

#[test]
fn stream_candidates_are_counted_per_address() {
    let now = begin();
    let mut plan = full(|_| {}, now);
    for number in 1..=3 {
        let awaiting = Awaiting::from(from(number, 1), 1);
        let (_, admission) = ask(&mut plan, from(number, 2), &awaiting, now);
        assert_eq!(admission, Admission::AsStream, "{number}");
    }
}

#[test]
fn failed_stream_candidate_frees_its_slot() {
    let now = begin();
    let mut plan = full(|_| {}, now);
    let awaiting = Awaiting::from(from(1, 1), 1);
    let (peer_id, _) = ask(&mut plan, from(1, 2), &awaiting, now);
    plan.on_not_spawned(peer_id);
    let (_, admission) = ask(&mut plan, from(1, 3), &awaiting, now);
    assert_eq!(admission, Admission::AsStream);
}

#[test]
fn stream_candidate_holds_slot_until_classified() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    connect(&mut plan, from(1, 1), now);
    actions(&mut plan, now);
    plan.take_changes();
    let awaiting = Awaiting::from(from(1, 1), 1);
    let (stream, admission) = ask(&mut plan, from(1, 2), &awaiting, now);
    assert_eq!(admission, Admission::LetIn);
    assert_eq!(plan.taken_places(), 2);
    plan.on_over(stream, &DisconnectReason::AttachedAsStream, now);
    assert_eq!(plan.taken_places(), 1);
    assert_leaves_no_trace(&mut plan, stream, now);
}

#[test]
fn one_without_a_place_leaves_no_trace_either() {
    let now = begin();
    for reason in [
        DisconnectReason::AttachedAsStream,
        DisconnectReason::StreamRefused,
        DisconnectReason::ConnectionClosed,
        DisconnectReason::AtCapacity,
    ] {
        let mut plan = full(|_| {}, now);
        actions(&mut plan, now);
        plan.take_changes();
        let awaiting = Awaiting::from(from(1, 1), 1);
        let (stream, _) = ask(&mut plan, from(1, 2), &awaiting, now);
        assert!(!plan.disconnect(stream));
        plan.on_over(stream, &reason, now);
        assert_leaves_no_trace(&mut plan, stream, now);
    }
}

/// Asserts that the peer causes no action, no record, no retry and no ban.
fn assert_leaves_no_trace(plan: &mut Plan, peer_id: PeerId, now: Now) {
    assert_eq!(actions(plan, now), []);
    assert!(plan.links.get(peer_id).is_none());
    assert_eq!(plan.table().iter().count(), 0);
    assert!(plan.retry(peer_id).is_none());
    assert!(plan.bans.read().is_empty());
    assert!(!plan.has_changes());
    assert!(plan.stream_candidates.is_empty());
}

#[test]
fn stream_of_other_address_is_banned() {
    let now = begin();
    let foreign = DisconnectReason::StreamAddressMismatch;
    let mut plan = plan_of(config(), Vec::new(), now);
    let thief = let_in(&mut plan, from(9, 1), now);
    plan.on_over(thief, &foreign, now);
    assert_banned(&mut plan, thief, from(9, 1).ip(), now);

    let mut plan = full(|_| {}, now);
    let awaiting = Awaiting::from(from(9, 1), 1);
    let (thief, admission) = ask(&mut plan, from(9, 1), &awaiting, now);
    assert_eq!(admission, Admission::AsStream);
    plan.on_over(thief, &foreign, now);
    assert_banned(&mut plan, thief, from(9, 1).ip(), now);

    let mut plan = full(|_| {}, now);
    let (thief, admission) = ask(&mut plan, from(9, 1), &Blind, now);
    assert_eq!(admission, Admission::TurnAway);
    plan.on_over(thief, &foreign, now);
    assert_banned(&mut plan, thief, from(9, 1).ip(), now);
}

/// Asserts that the ban was emitted, and that a stream from the address is rejected even if it is
/// awaited.
#[track_caller]
fn assert_banned(plan: &mut Plan, thief: PeerId, address: IpAddr, now: Now) {
    let told = actions(plan, now)
        .into_iter()
        .find_map(|action| match action {
            Action::Tell(event) => match *event {
                ControlEvent::PeerBanned { peer, ban } => Some((peer, ban)),
                _ => None,
            },
            _ => None,
        });
    let (peer, ban) = told.expect("a ban");
    let peer = peer.map(|peer| (peer.peer_id, peer.address.ip()));
    assert_eq!(peer, Some((thief, address)));
    assert_eq!(ban.reason, BanReason::StreamAddressMismatch);
    assert_eq!(ban.subnet, crate::peers::Subnet::single(address));
    assert_eq!(ban.until, Some(now.wall + DAY));
    let again = SocketAddr::new(address, 2);
    let awaiting = Awaiting::from(again, 9);
    let refused = Admission::Refuse(InboundRejectReason::Banned(
        BanReason::StreamAddressMismatch,
    ));
    assert_eq!(ask(plan, again, &awaiting, now).1, refused);
}

#[test]
fn local_and_whitelisted_stream_mismatch_is_not_banned() {
    let now = begin();
    let near = "127.0.0.2:1".parse().unwrap();
    let mut plan = full(|config| config.allow_private = Some(true), now);
    let awaiting = Awaiting::from(near, 1);
    let (thief, _) = ask(&mut plan, near, &awaiting, now);
    plan.on_over(thief, &DisconnectReason::StreamAddressMismatch, now);
    assert!(plan.bans.read().is_empty());

    let trusted = from(9, 1);
    let subnet = crate::peers::Subnet::single(trusted.ip());
    let mut plan = full(|config| config.whitelist = vec![subnet], now);
    let awaiting = Awaiting::from(trusted, 1);
    let (thief, _) = ask(&mut plan, trusted, &awaiting, now);
    plan.on_over(thief, &DisconnectReason::StreamAddressMismatch, now);
    assert!(plan.bans.read().is_empty());
}
