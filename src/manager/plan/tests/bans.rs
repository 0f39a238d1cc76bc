//! Bans and their effects.

use super::*;
use crate::peers::{BanReason, PeerId, PeerRef, Subnet};

const BAD: DisconnectReason = DisconnectReason::Misbehaved { score: 100 };

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn let_in(plan: &mut Plan, address: SocketAddr, now: Now) -> PeerId {
    let (peer_id, admission) = ask(plan, address, &Blind, now);
    assert_eq!(admission, Admission::Accept);
    plan.on_connected(peer_id, &info(), now);
    peer_id
}

#[test]
fn misbehavior_ban_closes_covered_connections() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    let [one, other] = ["[2a00:1450:1:2::1]:1", "[2a00:1450:1:2::2]:2"]
        .map(|text| let_in(&mut plan, text.parse().unwrap(), now));
    let elsewhere = let_in(&mut plan, "[2a00:1450:1:3::1]:1".parse().unwrap(), now);
    plan.on_over(one, &BAD, now);
    let done = actions(&mut plan, now);
    let [Action::Tell(event), Action::Close { peer_id, reason }] = &done[..] else {
        panic!("{done:?}");
    };
    let ControlEvent::PeerBanned { peer, ban } = &**event else {
        panic!("{event}");
    };
    let address = "[2a00:1450:1:2::1]:1".parse().unwrap();
    assert_eq!(
        (*peer, ban.subnet),
        (
            Some(PeerRef::new(one, address)),
            subnet("2a00:1450:1:2::/64")
        )
    );
    assert!(
        event.to_string().starts_with("[2a00:1450:1:2::1]:1: "),
        "{event}"
    );
    assert_eq!(ban.until, Some(now.wall + DAY));
    assert_eq!(
        (*peer_id, reason),
        (other, &DisconnectReason::AddressBanned)
    );
    plan.on_over(other, &DisconnectReason::AddressBanned, now);
    assert!(plan.links.get(elsewhere).is_some());
    let again: SocketAddr = "[2a00:1450:1:2::3]:1".parse().unwrap();
    let (_, refused) = ask(&mut plan, again, &Blind, now);
    let reason = BanReason::Misbehaved { score: 100 };
    assert_eq!(
        refused,
        Admission::Drop(crate::event::InboundRejectReason::Banned(reason))
    );
    let after = later(now, DAY);
    let (_, admission) = ask(&mut plan, again, &Blind, after);
    assert_eq!(admission, Admission::Accept);
}

#[test]
fn candidate_is_dialed_after_ban_expires() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..1, now), now);
    let peer_id = peer_at(&plan, address(0)).id;
    actions(&mut plan, now);
    plan.on_over(peer_id, &DisconnectReason::WrongChain, now);
    let peer = plan.table().get(peer_id).unwrap();
    assert_eq!(peer.status, PeerStatus::Banned(BanReason::WrongChain));
    assert_eq!(peer.banned_until, Some(now.wall + DAY));
    assert_eq!(dialed(&actions(&mut plan, later(now, DAY - SECOND))), []);
    assert_eq!(dialed(&actions(&mut plan, later(now, DAY))), [address(0)]);
}

#[test]
fn whitelisted_manual_and_local_peers_escape_bans() {
    let now = begin();
    let mut config = config();
    config.whitelist = vec![subnet("8.0.0.0/8")];
    let mut plan = plan_of(config, Vec::new(), now);
    let trusted = let_in(&mut plan, "8.1.1.1:1".parse().unwrap(), now);
    plan.on_over(trusted, &BAD, now);
    assert!(plan.bans.read().is_empty());

    let named = plan
        .connect("9.1.1.1:1".parse().unwrap(), |_| false, now)
        .unwrap();
    plan.on_over(named, &BAD, now);
    assert!(plan.bans.read().is_empty());
    assert_eq!(
        plan.table().get(named).unwrap().status,
        PeerStatus::Inaccessible
    );

    let mut plan = plan_of(ManagerConfig::new(Network::Regtest), Vec::new(), now);
    let near = let_in(&mut plan, "127.0.0.1:1".parse().unwrap(), now);
    plan.on_over(near, &BAD, now);
    assert!(plan.bans.read().is_empty());
    let far = let_in(&mut plan, "9.9.9.9:1".parse().unwrap(), now);
    plan.on_over(far, &BAD, now);
    assert_eq!(plan.bans.read().len(), 1);
}

#[test]
fn manual_ban_spares_whitelist_until_lifted() {
    let now = begin();
    let mut config = config();
    config.whitelist = vec![subnet("9.0.0.1")];
    let mut peers = known(0..1, now);
    peers[0].ip_address = "9.0.0.9".parse().unwrap();
    let known_id = peers[0].id;
    let mut plan = plan_of(config, peers, now);
    actions(&mut plan, now);
    let covered = let_in(&mut plan, "9.0.0.2:1".parse().unwrap(), now);
    let trusted = let_in(&mut plan, "9.0.0.1:1".parse().unwrap(), now);
    plan.ban(subnet("9.0.0.0/24"), None, now).unwrap();
    let mut closed = close_of(&actions(&mut plan, now));
    closed.sort_by_key(|(peer_id, _)| *peer_id);
    let mut expected = [covered, known_id].map(|id| (id, DisconnectReason::AddressBanned));
    expected.sort_by_key(|(peer_id, _)| *peer_id);
    assert_eq!(closed, expected);
    assert!(plan.links.get(trusted).is_some());
    plan.on_over(known_id, &DisconnectReason::AddressBanned, now);
    assert_eq!(dialed(&actions(&mut plan, later(now, 30 * DAY))), []);
    assert_eq!(
        plan.connect("9.0.0.9:8333".parse().unwrap(), |_| false, now)
            .map_err(|error| match error {
                NotDialed::Banned(ban) => ban.reason,
                other => panic!("{other:?}"),
            }),
        Err(BanReason::Manual)
    );
    assert_eq!(plan.unban(subnet("9.0.0.0/24"), now).len(), 1);
    assert_eq!(
        plan.table().get(known_id).unwrap().status,
        PeerStatus::Unknown
    );
    assert_eq!(dialed(&actions(&mut plan, now)).len(), 1);
}
