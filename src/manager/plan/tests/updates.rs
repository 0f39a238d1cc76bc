//! Configuration updates, one field at a time.

use super::*;
use crate::event::InboundRejectReason;
use crate::peers::BanReason;

/// Replaces the configuration by the default one with `change` applied.
fn update(plan: &mut Plan, change: impl FnOnce(&mut ManagerConfig), now: Now) {
    let mut config = config();
    change(&mut config);
    assert_eq!(config.validate(), Ok(()));
    plan.update_config(Arc::new(config), now);
}

fn ask(plan: &mut Plan, from: &str, now: Now) -> Admission {
    super::ask(plan, from.parse().unwrap(), &Blind, now).1
}

#[test]
fn newly_whitelisted_peer_is_accepted_despite_ban() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    plan.ban("8.8.8.0/24".parse().unwrap(), None, now).unwrap();
    let refused = Admission::Drop(InboundRejectReason::Banned(BanReason::Manual));
    assert_eq!(ask(&mut plan, "8.8.8.8:1", now), refused);
    let trusted = "8.8.8.8".parse().unwrap();
    update(&mut plan, |config| config.whitelist = vec![trusted], now);
    assert_eq!(ask(&mut plan, "8.8.8.8:1", now), Admission::Accept);
    assert_eq!(ask(&mut plan, "8.8.8.9:1", now), refused);
    update(&mut plan, |_| {}, now);
    assert_eq!(ask(&mut plan, "8.8.8.8:1", now), refused);
}

#[test]
fn new_ban_duration_applies_to_later_bans() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    update(
        &mut plan,
        |config| config.bans.automatic_duration = HOUR,
        now,
    );
    let (peer_id, _) = super::ask(&mut plan, "8.8.8.8:1".parse().unwrap(), &Blind, now);
    plan.on_over(peer_id, &DisconnectReason::WrongChain, now);
    let ban = plan.bans.read().list()[0];
    assert_eq!(ban.until, Some(now.wall + HOUR));
    update(&mut plan, |config| config.bans.max_bans = 0, now);
    assert!(plan.bans.read().is_empty());
    assert_eq!(
        plan.take_changes().bans,
        Some(Vec::new()),
        "the store hears of it"
    );
}

#[test]
fn shorter_cooldown_applies_to_waiting_peers() {
    let now = begin();
    let mut peers = known(0..1, now);
    peers[0]
        .set_status(PeerStatus::Inaccessible, now.wall)
        .unwrap();
    let mut plan = plan_of(config(), peers, now);
    assert_eq!(actions(&mut plan, now), []);
    update(&mut plan, |config| config.cooldown = 10 * SECOND, now);
    assert_eq!(dialed(&actions(&mut plan, later(now, 9 * SECOND))), []);
    let due = later(now, 10 * SECOND);
    assert_eq!(dialed(&actions(&mut plan, due)), [address(0)]);
}

#[test]
fn near_addresses_become_peers_like_any_other() {
    let now = begin();
    let near = Peer::new("10.0.0.1:8333".parse().unwrap(), PeerSource::Seed, now.wall).unwrap();
    let mut plan = plan_of(config(), vec![near], now);
    assert_eq!(actions(&mut plan, now), []);
    update(&mut plan, |config| config.allow_private = Some(true), now);
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
}

#[test]
fn more_places_are_kept_for_those_we_dial() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    update(&mut plan, |config| config.min_outbound = 8, now);
    for number in 0..12 {
        let from = SocketAddr::new(address(number).ip(), 1);
        let (_, admission) = super::ask(&mut plan, from, &Blind, now);
        assert_eq!(admission, Admission::Accept);
    }
    assert!(matches!(
        ask(&mut plan, "9.9.9.9:1", now),
        Admission::Defer(_)
    ));
}

#[test]
fn new_inbound_limits_apply_to_next_connection() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    assert_eq!(ask(&mut plan, "9.9.9.9:1", now), Admission::Accept);
    let one = |config: &mut ManagerConfig| config.listener.max_handshakes_per_address = 1;
    update(&mut plan, one, now);
    let refused = Admission::Drop(InboundRejectReason::HandshakeLimit);
    assert_eq!(ask(&mut plan, "9.9.9.9:1", now), refused);
    update(&mut plan, |config| config.listener.max_per_address = 1, now);
    let refused = Admission::Drop(InboundRejectReason::AddressLimit);
    assert_eq!(ask(&mut plan, "9.9.9.9:1", now), refused);
    update(&mut plan, |config| config.listener.max_handshakes = 1, now);
    assert!(matches!(
        ask(&mut plan, "9.9.1.1:1", now),
        Admission::Defer(_)
    ));
}

#[test]
fn new_backoff_applies_to_pauses() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..1, now), now);
    let peer_id = peer_at(&plan, address(0)).id;
    actions(&mut plan, now);
    let slower = |config: &mut ManagerConfig| config.restarts.backoff = 100 * SECOND;
    update(&mut plan, slower, now);
    plan.on_over(peer_id, &DisconnectReason::ConnectRefused, now);
    let pause = plan.retry(peer_id).unwrap().at - now.instant;
    assert!((75 * SECOND..=100 * SECOND).contains(&pause), "{pause:?}");
}

#[test]
fn new_save_interval_applies() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    update(&mut plan, |config| config.save_interval = 10 * SECOND, now);
    assert!(plan.next_deadline() <= now.instant + 10 * SECOND);
    for turn in 1..=3 {
        actions(&mut plan, later(now, 10 * turn * SECOND));
        assert!(plan.take_changes().save, "{turn}");
    }
}
