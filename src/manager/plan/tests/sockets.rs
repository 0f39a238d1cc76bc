//! Inbound sockets before their first message: limits, eviction and outcomes.

use super::*;
use crate::event::InboundRejectReason;
use crate::peers::{BanReason, PeerId, Subnet};

fn from(number: u32, port: u16) -> SocketAddr {
    SocketAddr::new(address(number).ip(), port)
}

fn try_accept(plan: &mut Plan, from: SocketAddr, now: Now) -> (PeerId, SocketAdmission) {
    let peer_id = PeerId::random();
    (peer_id, plan.on_accepted(peer_id, from, &Blind, now))
}

#[track_caller]
fn accept(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let (peer_id, admission) = try_accept(plan, from, now);
    assert_eq!(admission, SocketAdmission::Accept);
    peer_id
}

#[track_caller]
fn admit(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let (peer_id, admission) = ask(plan, from, &Blind, now);
    assert_eq!(admission, Admission::Accept);
    peer_id
}

#[track_caller]
fn connect(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let peer_id = admit(plan, from, now);
    plan.on_connected(peer_id, &info(), now);
    peer_id
}

fn closed_sockets(plan: &mut Plan, now: Now) -> Vec<PeerId> {
    let actions = actions(plan, now).into_iter();
    let closed = actions.filter_map(|action| match action {
        Action::CloseSocket { socket } => Some(socket),
        _ => None,
    });
    closed.collect()
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

const AT_HANDSHAKE_LIMIT: SocketAdmission =
    SocketAdmission::Drop(InboundRejectReason::HandshakeLimit);

#[test]
fn sockets_of_one_address_are_limited() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let sockets: Vec<_> = (0..4).map(|_| accept(&mut plan, from(1, 1), now)).collect();
    for _ in 0..96 {
        assert_eq!(try_accept(&mut plan, from(1, 1), now).1, AT_HANDSHAKE_LIMIT);
    }
    accept(&mut plan, from(2, 1), now);
    plan.on_socket_over(sockets[0], &SocketEnd::Attached, now);
    accept(&mut plan, from(1, 1), now);
    // A socket that becomes a connection counts as a handshake instead.
    assert_eq!(
        plan.on_classified(sockets[1], false, &Blind, now),
        Admission::Accept
    );
    accept(&mut plan, from(1, 1), now);
    assert_eq!(try_accept(&mut plan, from(1, 1), now).1, AT_HANDSHAKE_LIMIT);
}

#[test]
fn each_connected_peer_may_open_one_more_socket() {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes_per_address = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    for peers in 1..=3 {
        connect(&mut plan, from(1, peers), now);
        let sockets = (0..=peers).map(|_| accept(&mut plan, from(1, 9), now));
        let sockets: Vec<_> = sockets.collect();
        assert_eq!(try_accept(&mut plan, from(1, 9), now).1, AT_HANDSHAKE_LIMIT);
        for socket in sockets {
            plan.on_socket_over(socket, &SocketEnd::Attached, now);
        }
    }
}

#[test]
fn handshake_does_not_block_socket_of_its_address() {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes_per_address = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    // The handshake may be complete already, and its event may still be queued.
    admit(&mut plan, from(1, 1), now);
    accept(&mut plan, from(1, 2), now);
}

#[test]
fn streams_do_not_count_as_connections_of_their_address() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let mut streams = Vec::new();
    for port in 0..7 {
        connect(&mut plan, from(1, port), now);
        // The peer knows that its stream is open, and the event is still queued here.
        streams.push(accept(&mut plan, from(1, 100 + port), now));
    }
    connect(&mut plan, from(1, 7), now);
    let limit = Admission::Drop(InboundRejectReason::AddressLimit);
    assert_eq!(ask(&mut plan, from(1, 8), &Blind, now).1, limit);
    for stream in streams {
        assert_eq!(plan.on_socket_over(stream, &SocketEnd::Attached, now), None);
    }
    assert_eq!(plan.links.counts().inbound, 8);
}

#[test]
fn lowered_limits_apply_to_sockets_being_classified() {
    type Change = fn(&mut ManagerConfig);
    let now = begin();
    let lowered: [(Change, InboundRejectReason); 3] = [
        (
            |config| config.max_connections = 2,
            InboundRejectReason::Capacity,
        ),
        (
            |config| config.listener.max_per_address = 2,
            InboundRejectReason::AddressLimit,
        ),
        (
            |config| config.listener.max_handshakes_per_address = 1,
            InboundRejectReason::HandshakeLimit,
        ),
    ];
    for (lower, reason) in lowered {
        let mut config = config();
        (config.target_connections, config.min_outbound) = (0, 0);
        config.listener.max_capacity_rejects = 0;
        let mut plan = plan_of(config.clone(), Vec::new(), now);
        connect(&mut plan, from(1, 1), now);
        let [first, second, stream] = [2, 3, 4].map(|port| accept(&mut plan, from(1, port), now));
        lower(&mut config);
        plan.update_config(Arc::new(config), now);
        // One more connection is within each limit.
        let admission = plan.on_classified(first, false, &Blind, now);
        assert_eq!(admission, Admission::Accept, "{reason}");
        if reason != InboundRejectReason::HandshakeLimit {
            plan.on_connected(first, &info(), now);
        }
        let admission = plan.on_classified(second, false, &Blind, now);
        assert_eq!(admission, Admission::Drop(reason));
        let end = plan.on_socket_over(stream, &SocketEnd::Attached, now);
        assert_eq!(end, None);
        assert!(plan.sockets.is_empty());
        assert_eq!(plan.links.counts().taken(), 2);
    }
}

#[test]
fn lowered_handshake_limit_counts_sockets_once() {
    let now = begin();
    let mut config = config();
    let mut plan = plan_of(config.clone(), Vec::new(), now);
    let handshake = accept(&mut plan, from(1, 1), now);
    let socket = accept(&mut plan, from(2, 1), now);
    config.listener.max_handshakes = 2;
    plan.update_config(Arc::new(config), now);
    // A socket that becomes a handshake is still one of two.
    let admission = plan.on_classified(handshake, false, &Blind, now);
    assert_eq!(admission, Admission::Accept);
    let stale_at = now.instant + SECOND / 2;
    let deferred = SocketAdmission::Defer(Some(stale_at));
    assert_eq!(try_accept(&mut plan, from(3, 1), now).1, deferred);
    plan.on_socket_over(socket, &SocketEnd::Attached, now);
    accept(&mut plan, from(3, 1), now);
}

#[test]
fn socket_needs_no_slot_and_evicts_nobody() {
    let now = begin();
    for evict_inbound in [false, true] {
        let mut plan = full(|config| config.listener.evict_inbound = evict_inbound, now);
        let taken = plan.links.counts();
        let stream = accept(&mut plan, from(1, 2), now);
        assert_eq!(plan.links.counts(), taken);
        assert_eq!(actions(&mut plan, later(now, HOUR)), []);
        let end = plan.on_socket_over(stream, &SocketEnd::Attached, now);
        assert_eq!(end, None);
    }
}

#[test]
fn oldest_silent_socket_is_evicted_when_table_is_full() {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes = 3;
    let mut plan = plan_of(config, Vec::new(), now);
    let handshake = admit(&mut plan, from(1, 1), now);
    let silent = accept(&mut plan, from(2, 1), later(now, SECOND / 10));
    accept(&mut plan, from(3, 1), later(now, SECOND / 5));
    let has_version = |peer_id| peer_id == handshake;
    let newcomer = |plan: &mut Plan, now| {
        plan.on_accepted(PeerId::random(), from(4, 1), &HasVersion(has_version), now)
    };
    let stale_at = now.instant + SECOND / 10 + SECOND / 2;
    assert_eq!(
        newcomer(&mut plan, now),
        SocketAdmission::Defer(Some(stale_at))
    );
    assert_eq!(closed_sockets(&mut plan, now), []);
    let then = later(now, SECOND);
    for _ in 0..3 {
        assert_eq!(newcomer(&mut plan, then), SocketAdmission::Defer(None));
    }
    assert_eq!(closed_sockets(&mut plan, then), [silent], "one for one");
    let end = plan.on_socket_over(silent, &SocketEnd::Closed, then);
    let capacity = InboundRejectReason::Capacity;
    assert_eq!(end, Some((from(2, 1), capacity)));
    assert_eq!(newcomer(&mut plan, then), SocketAdmission::Accept);
}

/// Returns a plan, a socket that was evicted for a newer one, and the time.
fn evicted_socket() -> (Plan, PeerId, Now) {
    let now = begin();
    let mut config = config();
    config.listener.max_handshakes = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    let socket = accept(&mut plan, from(1, 1), now);
    let late = later(now, SECOND);
    try_accept(&mut plan, from(2, 1), late);
    (plan, socket, late)
}

#[test]
fn evicted_socket_that_became_stream_is_not_reported() {
    let (mut plan, socket, late) = evicted_socket();
    assert_eq!(closed_sockets(&mut plan, late), [socket]);
    let end = plan.on_socket_over(socket, &SocketEnd::Attached, late);
    assert_eq!(end, None);
    accept(&mut plan, from(2, 1), late);
}

#[test]
fn evicted_socket_is_not_admitted() {
    let (mut plan, socket, late) = evicted_socket();
    // Its first message arrived at the same time.
    let admission = plan.on_classified(socket, false, &Blind, late);
    let refused = Admission::Drop(InboundRejectReason::Capacity);
    assert_eq!(admission, refused);
    let end = plan.on_socket_over(socket, &SocketEnd::Closed, late);
    assert_eq!(end, None, "it was reported when it was refused");
    assert_eq!(plan.links.counts().handshakes, 0);
}

#[test]
fn candidate_waits_for_slot_of_stale_handshake() {
    let now = begin();
    let mut config = config();
    (config.max_connections, config.min_outbound) = (1, 0);
    config.target_connections = 0;
    let mut plan = plan_of(config, Vec::new(), now);
    let stalled = admit(&mut plan, from(1, 1), now);
    let candidate = accept(&mut plan, from(2, 1), now);
    let other = accept(&mut plan, from(3, 1), now);
    let decide = |plan: &mut Plan, peer_id, now| plan.on_classified(peer_id, false, &Blind, now);
    let stale_at = now.instant + SECOND / 2;
    let wait = Admission::Defer(Some(stale_at));
    assert_eq!(decide(&mut plan, candidate, now), wait);
    let then = later(now, SECOND / 2);
    assert_eq!(decide(&mut plan, candidate, then), Admission::Defer(None));
    assert_eq!(decide(&mut plan, other, then), Admission::Defer(None));
    let close = (stalled, DisconnectReason::AtCapacity);
    assert_eq!(close_of(&actions(&mut plan, then)), [close]);
    plan.on_over(stalled, &DisconnectReason::AtCapacity, then);
    assert_eq!(decide(&mut plan, candidate, then), Admission::Accept);
    plan.on_connected(candidate, &info(), then);
    // No handshake is left that could be evicted.
    assert_eq!(decide(&mut plan, other, then), Admission::RejectPolitely);
}

#[test]
fn ended_socket_takes_no_slot_of_others() {
    let now = begin();
    let capacity = Admission::Drop(InboundRejectReason::Capacity);
    let mut plan = full(|config| config.listener.evict_inbound = true, now);
    let socket = accept(&mut plan, from(2, 1), now);
    assert_eq!(plan.on_classified(socket, true, &Blind, now), capacity);
    assert_eq!(actions(&mut plan, now), []);
    // With a free slot it is accepted, and its end is reported as that of a connection.
    let mut plan = plan_of(config(), Vec::new(), now);
    let socket = accept(&mut plan, from(2, 1), now);
    let admission = plan.on_classified(socket, true, &Blind, now);
    assert_eq!(admission, Admission::Accept);
}

#[test]
fn admitted_connection_that_never_started_is_reported() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let admitted = admit(&mut plan, from(1, 1), now);
    let capacity = InboundRejectReason::Capacity;
    assert_eq!(
        plan.on_socket_over(admitted, &SocketEnd::Closed, now),
        Some((from(1, 1), capacity))
    );
    assert_leaves_no_trace(&mut plan, admitted, now);
    let mut plan = full(|_| {}, now);
    actions(&mut plan, now);
    plan.take_changes();
    let (rejected, admission) = ask(&mut plan, from(2, 1), &Blind, now);
    assert_eq!(admission, Admission::RejectPolitely);
    assert_eq!(
        plan.on_socket_over(rejected, &SocketEnd::Closed, now),
        Some((from(2, 1), capacity))
    );
    assert_leaves_no_trace(&mut plan, rejected, now);
    assert!(plan.turned_away.is_empty());
}

#[test]
fn ended_socket_leaves_no_trace() {
    let now = begin();
    let refused = SocketEnd::StreamRejected(DisconnectReason::StreamRefused);
    let stream_rejected = InboundRejectReason::StreamRejected;
    for (end, reported) in [
        (SocketEnd::Attached, None),
        (refused, Some(stream_rejected)),
        (SocketEnd::Closed, Some(InboundRejectReason::Capacity)),
    ] {
        let mut plan = full(|_| {}, now);
        actions(&mut plan, now);
        plan.take_changes();
        let socket = accept(&mut plan, from(1, 2), now);
        assert!(!plan.disconnect(socket));
        let reason = plan.on_socket_over(socket, &end, now);
        assert_eq!(reason, reported.map(|reason| (from(1, 2), reason)));
        assert_leaves_no_trace(&mut plan, socket, now);
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
    assert!(plan.sockets.is_empty());
}

#[test]
fn sockets_of_banned_address_are_closed() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let banned = accept(&mut plan, from(1, 1), now);
    accept(&mut plan, from(2, 1), now);
    plan.ban(Subnet::single(from(1, 1).ip()), None, now)
        .unwrap();
    assert_eq!(closed_sockets(&mut plan, now), [banned]);
    let reason = InboundRejectReason::Banned(BanReason::Manual);
    assert_eq!(
        plan.on_socket_over(banned, &SocketEnd::Closed, now),
        Some((from(1, 1), reason))
    );
}

#[test]
fn closed_sockets_are_not_reported_at_shutdown() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let socket = accept(&mut plan, from(1, 1), now);
    plan.stop();
    assert_eq!(plan.on_socket_over(socket, &SocketEnd::Closed, now), None);
}

#[test]
fn stream_of_other_address_is_banned() {
    let now = begin();
    let end = SocketEnd::StreamRejected(DisconnectReason::StreamAddressMismatch);
    for mut plan in [
        plan_of(config(), Vec::new(), now),
        full(|_| {}, now),
        full(|config| config.listener.max_capacity_rejects = 0, now),
    ] {
        let thief = accept(&mut plan, from(9, 1), now);
        let reason = plan.on_socket_over(thief, &end, now);
        let rejected = InboundRejectReason::StreamRejected;
        assert_eq!(reason, Some((from(9, 1), rejected)));
        assert_banned(&mut plan, thief, from(9, 1).ip(), now);
    }
}

/// Asserts that the ban was emitted, and that a further socket of the address is refused.
#[track_caller]
fn assert_banned(plan: &mut Plan, thief: PeerId, address: IpAddr, now: Now) {
    let banned = actions(plan, now)
        .into_iter()
        .find_map(|action| match action {
            Action::Tell(event) => match *event {
                ControlEvent::PeerBanned { peer, ban } => Some((peer, ban)),
                _ => None,
            },
            _ => None,
        });
    let (peer, ban) = banned.expect("a ban");
    let peer = peer.map(|peer| (peer.peer_id, peer.address.ip()));
    assert_eq!(peer, Some((thief, address)));
    assert_eq!(ban.reason, BanReason::StreamAddressMismatch);
    assert_eq!(ban.subnet, Subnet::single(address));
    assert_eq!(ban.until, Some(now.wall + DAY));
    let refused = InboundRejectReason::Banned(BanReason::StreamAddressMismatch);
    assert_eq!(
        try_accept(plan, SocketAddr::new(address, 2), now).1,
        SocketAdmission::Drop(refused)
    );
}

#[test]
fn local_and_whitelisted_stream_mismatch_is_not_banned() {
    let now = begin();
    let end = SocketEnd::StreamRejected(DisconnectReason::StreamAddressMismatch);
    let near = "127.0.0.2:1".parse().unwrap();
    let mut plan = full(|config| config.allow_private = Some(true), now);
    let thief = accept(&mut plan, near, now);
    plan.on_socket_over(thief, &end, now);
    assert!(plan.bans.read().is_empty());

    let trusted = from(9, 1);
    let subnet = Subnet::single(trusted.ip());
    let mut plan = full(|config| config.whitelist = vec![subnet], now);
    let thief = accept(&mut plan, trusted, now);
    plan.on_socket_over(thief, &end, now);
    assert!(plan.bans.read().is_empty());
}
