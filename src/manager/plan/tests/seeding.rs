//! DNS seed lookups: schedule, results and failures.

use super::*;
use crate::discovery::ResolveError;
use crate::event::SeedFailure;

const SEED: &str = "seed.test";

fn seeded() -> ManagerConfig {
    let mut config = config();
    config.discovery.seeds = Some(vec![SEED.into()]);
    config
}

fn asks() -> Action {
    let seeds = vec![SEED.into()];
    Action::AskSeeds { seeds }
}

fn failure() -> SeedFailure {
    SeedFailure {
        seed: SEED.into(),
        error: ResolveError::NotFound { name: SEED.into() },
    }
}

/// Returns the delay until the next seed lookup.
fn next_round(plan: &Plan, now: Now) -> Duration {
    let due = plan.seeding_due().expect("a round is due");
    due.saturating_duration_since(now.instant)
}

#[test]
fn seeds_are_resolved_hourly_while_dialing() {
    let now = begin();
    let mut plan = plan_of(seeded(), known(0..3, now), now);
    let first = actions(&mut plan, now);
    assert_eq!(first[0], asks());
    assert_eq!(dialed(&first).len(), 3, "nobody waits for a name server");
    let connected = peer_at(&plan, address(0)).id;
    plan.on_connected(connected, &info(), now);
    let much_later = later(now, 10 * HOUR);
    assert_eq!(plan.seeding_due(), None, "they are being asked");
    assert!(!actions(&mut plan, much_later).contains(&asks()));

    let ip = address(77).ip();
    plan.on_seed_answer(&[ip], much_later);
    plan.on_seeds_asked(1, Vec::new(), much_later);
    let found = actions(&mut plan, much_later);
    assert!(dialed(&found).contains(&SocketAddr::new(ip, 8333)));
    assert_eq!(peer_at(&plan, address(77)).source, PeerSource::Seed);
    assert_eq!(next_round(&plan, much_later), HOUR);
    assert!(actions(&mut plan, later(much_later, HOUR)).contains(&asks()));
}

#[test]
fn seeds_are_skipped_if_not_needed() {
    let now = begin();
    let mut fixed = plan_of(seeded(), Vec::new(), now);
    fixed.fix(&[address(1)], now).unwrap();
    assert_eq!(fixed.seeding_due(), None);
    assert!(!actions(&mut fixed, now).contains(&asks()));

    let mut config = seeded();
    config.target_connections = 0;
    let mut idle = plan_of(config, Vec::new(), now);
    assert_eq!(actions(&mut idle, now), []);
    assert_eq!(actions(&mut idle, later(now, DAY)), []);

    let mut without = plan_of(super::config(), Vec::new(), now);
    assert_eq!(actions(&mut without, now), []);
    assert_eq!(
        next_round(&without, now),
        MINUTE,
        "its addresses are taken again"
    );
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn failed_seeds_are_reported_and_back_off() {
    let mut now = begin();
    let mut plan = plan_of(seeded(), known(0..1, now), now);
    actions(&mut plan, now);
    let mut expected = 30 * SECOND;
    for _ in 0..12 {
        plan.on_seeds_asked(1, vec![failure()], now);
        let told = actions(&mut plan, now);
        let retry_after = next_round(&plan, now);
        let event = ControlEvent::DiscoveryFailed {
            failures: vec![failure()],
            retry_after,
        };
        assert_eq!(told, [Action::Tell(Box::new(event))]);
        assert!(retry_after <= expected && retry_after >= expected / 5 * 4);
        now = later(now, retry_after);
        assert_eq!(actions(&mut plan, now), [asks()]);
        expected = (2 * expected).min(HOUR);
    }
    // A successful lookup resets the backoff.
    plan.on_seeds_asked(1, Vec::new(), now);
    assert!(actions(&mut plan, now).is_empty());
    assert!(next_round(&plan, now) <= HOUR);
    now = later(now, HOUR);
    actions(&mut plan, now);
    plan.on_seeds_asked(1, vec![failure()], now);
    assert!(next_round(&plan, now) <= 30 * SECOND);
}

#[test]
fn one_seed_that_answers_is_no_failure() {
    let now = begin();
    let mut plan = plan_of(seeded(), Vec::new(), now);
    actions(&mut plan, now);
    plan.on_seeds_asked(2, vec![failure()], now);
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn seeds_are_resolved_each_minute_without_candidates() {
    let now = begin();
    let mut plan = plan_of(seeded(), Vec::new(), now);
    actions(&mut plan, now);
    plan.on_seed_answer(&[address(1).ip()], now);
    plan.on_seeds_asked(1, Vec::new(), now);
    let peer_id = peer_at(&plan, address(1)).id;
    assert_eq!(dialed(&actions(&mut plan, now)), [address(1)]);
    assert_eq!(next_round(&plan, now), MINUTE);
    // A connected peer cancels the early lookup.
    plan.seeding = Seeding::new(now);
    actions(&mut plan, now);
    plan.on_seeds_asked(1, Vec::new(), now);
    plan.on_connected(peer_id, &info(), now);
    actions(&mut plan, now);
    assert_eq!(next_round(&plan, now), HOUR);
    // The peer disconnects and may not be dialed for an hour.
    plan.on_over(peer_id, &DisconnectReason::DuplicateProtoconf, now);
    actions(&mut plan, now);
    assert_eq!(next_round(&plan, now), MINUTE);
}

#[test]
fn seed_addresses_get_configured_port() {
    let now = begin();
    let answer = [
        "8.8.4.4",
        "127.0.0.2",
        "192.168.7.7",
        "203.0.113.1",
        "::ffff:8.9.4.4",
    ];
    let answer = answer.map(|text| text.parse().unwrap());
    let known = |config: ManagerConfig| {
        let mut plan = plan_of(config, Vec::new(), now);
        plan.on_seed_answer(&answer, now);
        let known = plan.table().iter().map(Peer::socket_address);
        let mut known: Vec<String> = known.map(|address| address.to_string()).collect();
        known.sort();
        known
    };
    assert_eq!(known(seeded()), ["8.8.4.4:8333", "8.9.4.4:8333"]);
    let mut other = seeded();
    other.discovery.default_port = Some(99);
    assert_eq!(known(other), ["8.8.4.4:99", "8.9.4.4:99"]);
    let regtest = [
        "127.0.0.2:18444",
        "192.168.7.7:18444",
        "8.8.4.4:18444",
        "8.9.4.4:18444",
    ];
    assert_eq!(known(ManagerConfig::new(Network::Regtest)), regtest);
}

#[test]
fn configured_addresses_are_candidates_at_once() {
    let now = begin();
    let mut config = config();
    config.discovery.addresses = vec![address(5)];
    let mut plan = plan_of(config.clone(), Vec::new(), now);
    assert_eq!(dialed(&actions(&mut plan, now)), [address(5)]);
    assert!(!peer_at(&plan, address(5)).manual);
    config.discovery.addresses.push(address(6));
    config.discovery.seeds = Some(vec![SEED.into()]);
    plan.update_config(Arc::new(config.clone()), now);
    let updated = actions(&mut plan, now);
    assert_eq!(dialed(&updated), [address(6)]);
    assert!(updated.contains(&asks()));
    plan.on_seeds_asked(1, Vec::new(), now);
    plan.update_config(Arc::new(config), now);
    assert!(!actions(&mut plan, now).contains(&asks()), "nothing is new");
}
