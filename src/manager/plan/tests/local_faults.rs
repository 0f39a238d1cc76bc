//! Local faults while dialing. They pause an address family and do not count as failures of peers.

use std::io::ErrorKind;

use super::*;
use crate::event::LocalOperation;
use crate::system_error::SystemError;

/// Returns an error that concerns one address family.
fn no_route() -> DisconnectReason {
    DisconnectReason::LocalFault(ErrorKind::NetworkUnreachable.into())
}

/// Returns an error that concerns the whole process.
fn no_memory() -> DisconnectReason {
    DisconnectReason::LocalFault(ErrorKind::OutOfMemory.into())
}

fn ipv6(number: u16) -> SocketAddr {
    SocketAddr::from(([0x2a00 + number, 1, 0, 0, 0, 0, 0, 7], 8333))
}

/// Creates a plan with a target of one connection and one known peer of each family.
fn plan_of_both_families(now: Now) -> Plan {
    let mut config = config();
    (config.target_connections, config.min_outbound) = (1, 1);
    let known = [address(0), ipv6(0)];
    let known = known.map(|address| Peer::new(address, PeerSource::Seed, now.wall).unwrap());
    plan_of(config, known.into(), now)
}

fn reported(actions: &[Action]) -> Vec<SystemError> {
    let reported = actions.iter().filter_map(|action| match action {
        Action::Tell(event) => match &**event {
            ControlEvent::LocalFault {
                operation: LocalOperation::Dial,
                error,
            } => Some(*error),
            _ => None,
        },
        _ => None,
    });
    reported.collect()
}

/// Ends every dial with `reason` for `time`. Returns the time and address of each dial, and all
/// reports.
fn fail_all(
    plan: &mut Plan,
    reason: &DisconnectReason,
    time: Duration,
    mut now: Now,
) -> (Vec<(Duration, SocketAddr)>, Vec<SystemError>) {
    let (begin, mut dials, mut reports) = (now.instant, Vec::new(), Vec::new());
    while now.instant - begin < time {
        let actions = actions(plan, now);
        reports.extend(reported(&actions));
        for address in dialed(&actions) {
            dials.push((now.instant - begin, address));
            plan.on_over(peer_at(plan, address).id, reason, now);
        }
        let next = plan.next_deadline().max(now.instant + SECOND / 1000);
        now = later(now, next - now.instant);
    }
    (dials, reports)
}

#[test]
fn local_faults_are_no_failures_of_peers() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..100, now), now);
    let (dials, reports) = fail_all(&mut plan, &no_route(), 2 * HOUR, now);
    // After each pause the target of 8 peers is dialed. The pause grows from 250 ms at most to 30 s
    // at most.
    let quickly = dials.iter().filter(|(after, _)| *after < SECOND).count();
    assert!((8..=24).contains(&quickly), "{quickly} dials in a second");
    let pauses = 2 * 60 * 2;
    let expected = 8 * pauses..8 * pauses * 4 / 3 + 8 * 10;
    assert!(expected.contains(&dials.len()), "{} dials", dials.len());
    assert_eq!(reports, [ErrorKind::NetworkUnreachable.into()]);
    for peer in plan.table().iter() {
        assert_eq!((peer.failures, peer.status), (0, PeerStatus::Unknown));
    }
}

#[test]
fn fault_of_one_family_leaves_the_other() {
    let now = begin();
    let mut plan = plan_of_both_families(now);
    let first = dialed(&actions(&mut plan, now))[0];
    plan.on_over(peer_at(&plan, first).id, &no_route(), now);
    let second = dialed(&actions(&mut plan, now))[0];
    assert_ne!(first.is_ipv4(), second.is_ipv4());
    plan.on_connected(peer_at(&plan, second).id, &info(), now);
    // A success of one family does not end the pause of the other.
    assert!(plan.local_faults.paused_until(first.ip()).is_some());
    assert!(plan.local_faults.paused_until(second.ip()).is_none());
}

#[test]
fn lack_of_resources_pauses_both_families() {
    let now = begin();
    let mut plan = plan_of_both_families(now);
    let first = dialed(&actions(&mut plan, now))[0];
    plan.on_over(peer_at(&plan, first).id, &no_memory(), now);
    assert_eq!(dialed(&actions(&mut plan, now)), []);
    assert!(plan.next_deadline() <= now.instant + SECOND / 4);
    assert_eq!(dialed(&actions(&mut plan, later(now, SECOND / 4))).len(), 1);
}

#[test]
fn dials_under_way_together_count_as_one_fault() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..100, now), now);
    let first = dialed(&actions(&mut plan, now));
    assert_eq!(first.len(), 8);
    for address in first {
        plan.on_over(peer_at(&plan, address).id, &no_memory(), now);
    }
    assert_eq!(reported(&actions(&mut plan, now)).len(), 1);
    assert_eq!(dialed(&actions(&mut plan, later(now, SECOND / 4))).len(), 8);
}

#[test]
fn another_outcome_ends_the_pause() {
    let now = begin();
    let mut plan = plan_of(config(), known(0..8, now), now);
    let first = dialed(&actions(&mut plan, now));
    let id = |plan: &Plan, at: usize| peer_at(plan, first[at]).id;
    let (one, two, three) = (id(&plan, 0), id(&plan, 1), id(&plan, 2));
    plan.on_over(one, &no_route(), now);
    assert!(plan.local_faults.paused_until(first[0].ip()).is_some());
    // This reason does not involve a socket.
    plan.on_over(two, &DisconnectReason::AtCapacity, now);
    assert!(plan.local_faults.paused_until(first[0].ip()).is_some());
    plan.on_over(three, &DisconnectReason::ConnectRefused, now);
    assert!(plan.local_faults.paused_until(first[0].ip()).is_none());
    assert_eq!(reported(&actions(&mut plan, now)).len(), 1);
    // The next fault is reported again.
    let now = later(now, SECOND / 4);
    assert_eq!(dialed(&actions(&mut plan, now)), [first[0]]);
    plan.on_over(one, &no_route(), now);
    assert_eq!(reported(&actions(&mut plan, now)).len(), 1);
}

#[test]
fn waiting_peer_has_no_failure_after_local_fault() {
    let now = begin();
    let mut plan = plan_of(config(), Vec::new(), now);
    plan.fix(&[address(0)], now).unwrap();
    let peer_id = peer_at(&plan, address(0)).id;
    actions(&mut plan, now);
    plan.on_waiting(peer_id, now.instant + SECOND, &no_route(), now);
    assert_eq!(peer_at(&plan, address(0)).failures, 0);
    assert_eq!(reported(&actions(&mut plan, now)).len(), 1);
    let refused = DisconnectReason::ConnectRefused;
    plan.on_waiting(peer_id, now.instant + SECOND, &refused, now);
    assert_eq!(peer_at(&plan, address(0)).failures, 1);
}
