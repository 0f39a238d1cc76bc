//! Selection and pacing of candidates.

use super::*;

#[test]
fn dials_until_target_is_reached() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..100, now), now);
    let first = actions(&mut plan, now);
    assert_eq!(dialed(&first).len(), 8);
    assert_eq!(actions(&mut plan, now), []);
    // A failed dial frees a slot for another candidate.
    let failed = peer_at(&plan, dialed(&first)[0]);
    plan.on_over(failed.id, &DisconnectReason::ConnectRefused, now);
    let next = dialed(&actions(&mut plan, now));
    assert_eq!(next.len(), 1);
    assert_ne!(next[0], failed.socket_address());
}

#[test]
fn zero_target_dials_only_manual_peers() {
    let now = begin();
    let mut config = config();
    config.target_connections = 0;
    let mut plan = plan_of(config, known(0..100, now), now);
    assert_eq!(actions(&mut plan, now), []);
    let peer_id = plan.connect(address(7), |_| false, now).unwrap();
    assert_eq!(dialed(&actions(&mut plan, now)), [address(7)]);
    assert_eq!(plan.connect(address(7), |_| false, now), Ok(peer_id));
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn valid_peers_are_dialed_before_unknown_ones() {
    let now = begin();
    let mut peers = known(0..30, now);
    for peer in &mut peers[..5] {
        peer.set_status(PeerStatus::Valid, now.wall).unwrap();
    }
    for peer in &mut peers[5..28] {
        peer.set_status(PeerStatus::Inaccessible, now.wall).unwrap();
    }
    let mut plan = plan_of(config(), peers, now);
    let mut first = dialed(&actions(&mut plan, now));
    first.sort();
    let expected: Vec<_> = (0..5).chain(28..30).map(address).collect();
    assert_eq!(first, expected);
    assert_eq!(actions(&mut plan, later(now, HOUR - SECOND)), []);
    let after = later(now, HOUR);
    assert!(plan.next_deadline() <= after.instant);
    assert_eq!(dialed(&actions(&mut plan, after)).len(), 1);
}

#[test]
fn a_clock_that_goes_back_keeps_nobody_away() {
    let now = begin();
    let mut peers = known(0..2, now);
    let future = now.wall + 365 * DAY;
    peers[0]
        .set_status(PeerStatus::Inaccessible, future)
        .unwrap();
    peers[1]
        .set_status(PeerStatus::Inaccessible, now.wall)
        .unwrap();
    let mut plan = plan_of(config(), peers, now);
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);
    assert_eq!(dialed(&actions(&mut plan, later(now, HOUR))), [address(1)]);
}

#[test]
fn one_routable_peer_per_group_is_dialed() {
    let now = begin();
    let at = |text: &str| Peer::new(text.parse().unwrap(), PeerSource::Seed, now.wall).unwrap();
    let peers = [
        "8.8.1.1:1",
        "8.8.2.2:1",
        "8.9.1.1:1",
        "10.0.0.1:1",
        "127.0.0.1:1",
        "192.0.2.1:1",
    ];
    let mut plan = plan_of(config(), peers.map(at).into(), now);
    let dialed_now = dialed(&actions(&mut plan, now));
    assert_eq!(dialed_now.len(), 2);
    assert!(dialed_now.contains(&"8.9.1.1:1".parse().unwrap()));
    let mut config = config();
    config.allow_private = Some(true);
    let mut plan = plan_of(config, peers.map(at).into(), now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 4);
}

#[test]
fn backoff_resets_after_lasting_connection() {
    let mut now = begin();
    let mut plan = plan_of(config(), known(0..1, now), now);
    let peer_id = peer_at(&plan, address(0)).id;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
        plan.on_over(peer_id, &DisconnectReason::ConnectRefused, now);
        let retry = plan.retry(peer_id).unwrap();
        let pause = retry.at - now.instant;
        assert_eq!(retry.reason, DisconnectReason::ConnectRefused);
        assert_eq!(actions(&mut plan, later(now, pause - SECOND / 1000)), []);
        pauses.push(pause.as_secs_f64());
        now = later(now, pause);
    }
    for (pause, full) in pauses
        .iter()
        .zip([5, 10, 20, 40, 80, 160, 320, 600, 600, 600])
    {
        let full = f64::from(full);
        assert!((0.74 * full..=full).contains(pause), "{pauses:?}");
    }
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
    plan.on_over(peer_id, &DisconnectReason::ConnectRefused, now);
    assert_eq!(
        plan.table().get(peer_id).unwrap().status,
        PeerStatus::Inaccessible
    );
    assert_eq!(plan.table().get(peer_id).unwrap().failures, 11);
    now = later(now, HOUR);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
    plan.on_connected(peer_id, &info(), now);
    assert_eq!(plan.table().get(peer_id).unwrap().status, PeerStatus::Valid);
    now = later(now, 60 * SECOND);
    plan.on_over(peer_id, &DisconnectReason::ConnectionClosed, now);
    let pause = plan.retry(peer_id).unwrap().at - now.instant;
    assert!(pause <= 5 * SECOND, "{pause:?}");
}

#[test]
fn dead_addresses_are_dialed_at_bounded_rate() {
    let mut now = begin();
    let mut plan = plan_of(config(), known(0..2000, now), now);
    let mut tried = 0;
    let end = later(now, 60 * SECOND);
    while now.instant < end.instant {
        for address in dialed(&actions(&mut plan, now)) {
            let peer_id = peer_at(&plan, address).id;
            plan.on_over(peer_id, &DisconnectReason::ConnectRefused, now);
            tried += 1;
        }
        let next = plan.next_deadline().max(now.instant + SECOND / 1000);
        now = later(now, next - now.instant);
    }
    assert!((200..=32 + 4 * 60 + 1).contains(&tried), "{tried}");
}

#[test]
fn disconnected_peer_waits_for_cooldown() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..1, now), now);
    let peer_id = peer_at(&plan, address(0)).id;
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
    plan.on_connected(peer_id, &info(), now);
    assert!(plan.disconnect(peer_id));
    let close = (peer_id, DisconnectReason::Requested);
    assert_eq!(close_of(&actions(&mut plan, now)), [close]);
    // A second call emits no further action.
    assert!(plan.disconnect(peer_id));
    assert_eq!(actions(&mut plan, now), []);
    plan.on_over(peer_id, &DisconnectReason::Requested, now);
    assert!(!plan.disconnect(peer_id));
    assert_eq!(actions(&mut plan, later(now, HOUR - SECOND)), []);
    assert_eq!(plan.connect(address(0), |_| false, now), Ok(peer_id));
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);
}

#[test]
fn manual_peer_gets_slot_or_limit_error() {
    let now = begin();
    let mut config = config();
    config.max_connections = 8;
    config.max_known_peers = 10;
    let mut plan = plan_of(config, known(0..10, now), now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 8);
    assert_eq!(
        plan.connect(address(50), |_| false, now),
        Err(NotDialed::NoRoom { max: 8 })
    );
    let one = plan.links.iter().next().unwrap().0;
    plan.on_over(one, &DisconnectReason::ConnectRefused, now);
    let peer_id = plan.connect(address(50), |_| false, now).unwrap();
    assert_eq!(dialed(&actions(&mut plan, now)), [address(50)]);
    assert_eq!(
        plan.table().iter().count(),
        10,
        "another was forgotten for it"
    );
    assert!(plan.table().get(peer_id).unwrap().manual);
}

#[test]
fn manual_peers_are_limited() {
    let now = begin();
    let mut config = config();
    config.max_known_peers = 1;
    let mut plan = plan_of(config, Vec::new(), now);
    plan.connect(address(1), |_| false, now).unwrap();
    let refused = plan.connect(address(2), |_| false, now);
    assert_eq!(refused, Err(NotDialed::TooManyManualPeers { max: 1 }));
    assert!(plan.fix(&[address(1), address(2)], now).is_err());
}

#[test]
fn only_fixed_peers_are_dialed_at_once() {
    let now = begin();
    let mut config = config();
    config.max_connections = 50;
    let mut plan = plan_of(config, known(100..110, now), now);
    let fixed: Vec<_> = (0..50).map(address).collect();
    plan.fix(&fixed, now).unwrap();
    let mut first = dialed(&actions(&mut plan, now));
    first.sort();
    assert_eq!(first, fixed);
    // A fixed peer is never banned. After misbehavior it is dialed again after the maximum backoff.
    let peer_id = peer_at(&plan, address(3)).id;
    let bad = DisconnectReason::Misbehaved { score: 100 };
    plan.on_over(peer_id, &bad, now);
    assert_eq!(actions(&mut plan, later(now, 599 * SECOND)), []);
    assert!(plan.next_deadline() <= now.instant + 600 * SECOND);
    assert_eq!(
        dialed(&actions(&mut plan, later(now, 600 * SECOND))),
        [address(3)]
    );
    assert!(plan.bans.read().is_empty());
}

#[test]
fn due_restart_precedes_new_dials() {
    let now = begin();
    let mut config = config();
    (config.target_connections, config.max_connections) = (1, 1);
    config.min_outbound = 0;
    let mut plan = plan_of(config, known(0..2, now), now);
    plan.fix(&[address(0)], now).unwrap();
    let peer_id = peer_at(&plan, address(0)).id;
    actions(&mut plan, now);
    plan.on_waiting(peer_id, now.instant + SECOND, &CUT, now);
    assert_eq!(actions(&mut plan, now), []);
    let named = plan.connect(address(1), |_| false, now).unwrap();
    actions(&mut plan, now);
    let due = later(now, SECOND);
    assert_eq!(actions(&mut plan, due), [], "the only place is taken");
    plan.on_over(named, &DisconnectReason::ConnectRefused, due);
    let next = later(due, SECOND);
    assert_eq!(actions(&mut plan, next), [Action::Restart { peer_id }]);
}

#[test]
fn changes_reach_store_and_bans_save_it() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..1, now), now);
    assert!(!plan.has_changes());
    actions(&mut plan, now);
    let peer_id = peer_at(&plan, address(0)).id;
    let changes = plan.take_changes();
    let kept = changes.peers[&peer_id].as_ref().unwrap();
    assert_eq!(kept.last_tried, Some(now.wall));
    assert!(!changes.save && changes.bans.is_none() && !plan.has_changes());
    plan.ban("9.9.9.9".parse().unwrap(), None, now).unwrap();
    let changes = plan.take_changes();
    assert!(changes.save);
    assert_eq!(changes.bans.unwrap().len(), 1);
    actions(&mut plan, later(now, 300 * SECOND));
    assert!(plan.take_changes().save, "saved every five minutes");
}

#[test]
fn new_configuration_applies_to_later_decisions() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..100, now), now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 8);
    let mut more = config();
    (more.target_connections, more.max_connections) = (12, 30);
    plan.update_config(Arc::new(more), now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 4);
    let mut fewer = config();
    (fewer.target_connections, fewer.max_connections) = (2, 2);
    fewer.max_known_peers = 20;
    plan.update_config(Arc::new(fewer), now);
    assert_eq!(
        actions(&mut plan, now),
        [],
        "nobody is closed, nobody is dialed"
    );
    assert_eq!(plan.links.iter().count(), 12);
    assert_eq!(plan.table().iter().count(), 20);
    let refused = plan.connect(address(500), |_| false, now);
    assert_eq!(refused, Err(NotDialed::NoRoom { max: 2 }));
}
