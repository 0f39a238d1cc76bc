//! Manual peers: reconnects, bans and limits.

use super::*;
use crate::peers::{BanReason, PeerId};

/// Creates a plan that is connected to one manual peer.
fn connected(now: Now) -> (Plan, PeerId) {
    let mut plan = plan_of(config(), Vec::new(), now);
    let peer_id = plan.connect(address(0), |_| false, now).unwrap();
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);
    plan.on_connected(peer_id, &info(), now);
    (plan, peer_id)
}

#[test]
fn peer_added_while_disconnecting_is_redialed() {
    let now = begin();
    let (mut plan, peer_id) = connected(now);
    assert!(plan.disconnect(peer_id));
    actions(&mut plan, now);
    assert_eq!(plan.connect(address(0), |_| false, now), Ok(peer_id));
    assert_eq!(actions(&mut plan, now), [], "it is still there");
    plan.on_over(peer_id, &DisconnectReason::Requested, now);
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);
    // One request causes one dial only.
    plan.on_over(peer_id, &DisconnectReason::Requested, now);
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn peer_added_before_its_end_event_is_redialed() {
    let now = begin();
    let (mut plan, peer_id) = connected(now);
    let has_ended = |id| id == peer_id;
    assert_eq!(plan.connect(address(0), has_ended, now), Ok(peer_id));
    plan.on_over(peer_id, &DisconnectReason::DuplicateProtoconf, now);
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);

    // A scheduled restart is started immediately.
    let (mut plan, peer_id) = connected(now);
    let has_ended = |id| id == peer_id;
    assert_eq!(plan.connect(address(0), has_ended, now), Ok(peer_id));
    plan.on_waiting(peer_id, now.instant + HOUR, &CUT, now);
    let restart = Action::Restart { peer_id };
    assert_eq!(actions(&mut plan, now), [restart]);
}

#[test]
fn manager_refuses_addresses_with_a_scope() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let scoped = "[fe80::1%2]:8333".parse().unwrap();
    let refused = plan.connect(scoped, |_| false, now).unwrap_err();
    let error = refused.into_error(scoped);
    assert!(matches!(error, crate::Error::ScopedAddress(_)), "{error:?}");
    assert!(error.to_string().contains("[fe80::1%2]:8333"), "{error}");
    let (address, refused) = plan.fix(&[address(0), scoped], now).unwrap_err();
    assert_eq!((address, refused.into_error(address)), (scoped, error));
    assert!(plan.table().find(scoped).is_none());
    // A link-local address without a scope is accepted, although the system may fail to dial it.
    plan.connect("[fe80::1]:8333".parse().unwrap(), |_| false, now)
        .unwrap();
    assert!(plan.table().find(scoped).is_none());
}

#[test]
fn peer_added_during_ban_stays_disconnected() {
    let now = begin();
    let (mut plan, peer_id) = connected(now);
    assert!(plan.disconnect(peer_id));
    assert_eq!(plan.connect(address(0), |_| false, now), Ok(peer_id));
    plan.ban(address(0).ip().into(), None, now).unwrap();
    actions(&mut plan, now);
    plan.on_over(peer_id, &DisconnectReason::Requested, now);
    assert_eq!(dialed(&actions(&mut plan, later(now, DAY))), []);
}

#[test]
fn inbound_misbehavior_spares_manual_peer_at_address() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    plan.fix(&[address(0)], now).unwrap();
    let named = plan
        .connect("[2a00:1450:1:2::1]:8333".parse().unwrap(), |_| false, now)
        .unwrap();
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 2);
    let fixed = peer_at(&plan, address(0)).id;
    for (bad, from) in [
        SocketAddr::new(address(0).ip(), 1),
        "[2a00:1450:1:2::666]:1".parse().unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        let (stranger, admission) = ask(&mut plan, from, &Blind, now);
        assert_eq!(admission, Admission::Accept);
        plan.on_over(stranger, &DisconnectReason::WrongChain, now);
        assert_eq!(plan.bans.read().len(), bad + 1);
    }
    assert_eq!(close_of(&actions(&mut plan, now)), []);
    for peer_id in [fixed, named] {
        plan.on_waiting(peer_id, now.instant, &CUT, now);
        let restart = Action::Restart { peer_id };
        assert_eq!(actions(&mut plan, now), [restart]);
    }
    plan.on_over(fixed, &DisconnectReason::DuplicateProtoconf, now);
    let due = later(now, 600 * SECOND);
    assert_eq!(dialed(&actions(&mut plan, due)), [address(0)]);
}

#[test]
fn manually_banned_fixed_peer_returns_after_ban() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    plan.fix(&[address(0)], now).unwrap();
    actions(&mut plan, now);
    let peer_id = peer_at(&plan, address(0)).id;
    plan.on_connected(peer_id, &info(), now);
    plan.ban(address(0).ip().into(), Some(HOUR), now).unwrap();
    let close = (peer_id, DisconnectReason::AddressBanned);
    assert_eq!(close_of(&actions(&mut plan, now)), [close]);
    plan.on_over(peer_id, &DisconnectReason::AddressBanned, now);
    assert_eq!(actions(&mut plan, later(now, HOUR - SECOND)), []);
    let status = PeerStatus::Banned(BanReason::Manual);
    assert_eq!(peer_at(&plan, address(0)).status, status);
    let after = later(now, HOUR);
    assert_eq!(dialed(&actions(&mut plan, after)), [address(0)]);
    plan.on_connected(peer_id, &info(), after);
    assert_eq!(peer_at(&plan, address(0)).status, PeerStatus::Valid);
}

#[test]
fn ipv4_mapped_and_repeated_addresses_are_one_peer() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let mapped = "[::ffff:8.0.7.7]:8333".parse().unwrap();
    assert_eq!(address(0), "8.0.7.7:8333".parse().unwrap());
    plan.fix(&[address(0), mapped, address(0)], now).unwrap();
    assert_eq!(plan.fixed(), 1);
    assert_eq!(dialed(&actions(&mut plan, now)), [address(0)]);
    let peer_id = peer_at(&plan, address(0)).id;
    assert_eq!(plan.connect(mapped, |_| false, now), Ok(peer_id));
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn excess_fixed_peer_is_reported() {
    let now = begin();
    let mut config = config();
    config.max_known_peers = 2;
    let mut plan = plan_of(config, Vec::new(), now);
    let refused = plan.fix(&[address(0), address(1), address(2)], now);
    let full = NotDialed::TooManyManualPeers { max: 2 };
    assert_eq!(refused, Err((address(2), full)));
}
