//! Advertised, relayed and announced addresses.

use super::*;
use crate::peers::PeerId;
use crate::wire::NetworkAddress;

const MINUTE: Duration = Duration::from_secs(60);

fn seconds(time: std::time::SystemTime) -> u32 {
    let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH);
    u32::try_from(since.unwrap().as_secs()).unwrap()
}

fn entry(address: SocketAddr, time: std::time::SystemTime) -> TimestampedAddress {
    TimestampedAddress {
        time: seconds(time),
        address: NetworkAddress::new(Services::NETWORK, address),
    }
}

fn entries(numbers: std::ops::Range<u32>, now: Now) -> Vec<TimestampedAddress> {
    numbers
        .map(|number| entry(address(number), now.wall))
        .collect()
}

/// Connects to the peer with this number.
fn dialed_one(plan: &mut Plan, number: u32, now: Now) -> PeerId {
    let peer_id = plan.connect(address(number), |_| false, now).unwrap();
    plan.on_connected(peer_id, &info(), now);
    actions(plan, now);
    peer_id
}

/// Accepts a connection from this address and completes its handshake.
fn let_in(plan: &mut Plan, from: SocketAddr, now: Now) -> PeerId {
    let (peer_id, admission) = ask(plan, from, &Blind, now);
    assert_eq!(admission, Admission::Accept);
    plan.on_connected(peer_id, &info(), now);
    actions(plan, now);
    peer_id
}

/// Returns a configuration that disables automatic dialing.
fn quiet() -> ManagerConfig {
    let mut config = config();
    config.target_connections = 0;
    config
}

fn told(actions: &[Action]) -> Vec<(PeerId, Vec<TimestampedAddress>)> {
    let told = actions.iter().filter_map(|action| match action {
        Action::SendAddresses { peer_id, addresses } => Some((*peer_id, addresses.clone())),
        _ => None,
    });
    told.collect()
}

#[test]
fn advertised_address_keeps_its_timestamp() {
    let now = begin();
    let mut plan = plan_of(quiet(), Vec::new(), now);
    let source = dialed_one(&mut plan, 0, now);
    let ago = |time: Duration| now.wall - time;
    let told = [
        entry(address(1), now.wall),
        entry(address(2), ago(DAY)),
        entry(address(3), now.wall + 10 * MINUTE),
        entry(address(4), now.wall + 11 * MINUTE),
        TimestampedAddress {
            time: 100_000_000,
            ..entry(address(5), now.wall)
        },
        entry(address(6), ago(7 * DAY - 3 * HOUR)),
        // This address was last seen too long ago.
        entry(address(7), ago(7 * DAY - HOUR)),
        entry("10.0.0.1:8333".parse().unwrap(), now.wall),
        entry("203.0.113.9:8333".parse().unwrap(), now.wall),
        entry(SocketAddr::new(address(8).ip(), 0), now.wall),
    ];
    plan.on_heard(source, &told, now);
    let hearsay = 2 * HOUR;
    for (number, seen) in [
        (1, ago(hearsay)),
        (2, ago(DAY + hearsay)),
        (3, ago(hearsay)),
        (4, ago(5 * DAY + hearsay)),
        (5, ago(5 * DAY + hearsay)),
        (6, ago(7 * DAY - HOUR)),
    ] {
        let peer = peer_at(&plan, address(number));
        let seen_at = seconds(peer.last_seen);
        assert_eq!(seen_at, seconds(seen), "{number}");
        assert_eq!(peer.source, PeerSource::Peer(address(0).ip()));
        assert_eq!((peer.services, peer.status), (1, PeerStatus::Unknown));
    }
    assert_eq!(plan.table().iter().count(), 7);
    // A second advertisement with an older timestamp has no effect.
    plan.on_heard(source, &[entry(address(1), ago(DAY))], now);
    let seen = peer_at(&plan, address(1)).last_seen;
    assert_eq!(seconds(seen), seconds(ago(hearsay)));
}

#[test]
fn useless_addresses_and_excess_ports_are_ignored() {
    let now = begin();
    let mut config = quiet();
    config.connection.session.required_services = Services::NETWORK;
    let mut plan = plan_of(config, Vec::new(), now);
    let source = dialed_one(&mut plan, 0, now);
    let mut useless = entry(address(1), now.wall);
    useless.address.services = Services(0);
    let ip = address(2).ip();
    let ports = (9001..=9009).map(|port| entry(SocketAddr::new(ip, port), now.wall));
    let told: Vec<_> = ports.chain([useless]).collect();
    plan.on_heard(source, &told, now);
    plan.on_heard(source, &told, now);
    assert_eq!(plan.table().iter().count(), 1 + 4);
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn advertised_service_ports_are_ignored() {
    let now = begin();
    let mut plan = plan_of(quiet(), Vec::new(), now);
    let source = dialed_one(&mut plan, 0, now);
    let_in(&mut plan, address(1), now);
    let services = [22, 25, 53, 80, 443, 6667, 8080].map(|port| {
        let address = SocketAddr::new(address(2).ip(), port);
        entry(address, now.wall)
    });
    plan.on_heard(source, &services, now);
    assert_eq!(plan.table().iter().count(), 1);
    assert_eq!(actions(&mut plan, now), [], "none is passed on");
    let usual = entry(address(2), now.wall);
    plan.on_heard(source, &[usual], now);
    assert_eq!(plan.table().iter().count(), 2);
    assert_eq!(told(&actions(&mut plan, now)).len(), 1);
}

/// The store may have been written by an earlier version, which accepted these ports.
#[test]
fn stored_service_ports_are_forgotten_unless_configured() {
    let now = begin();
    let peer = |text: &str, source| Peer::new(at(text), source, now.wall).unwrap();
    let advertised = PeerSource::Peer(address(0).ip());
    let mut proven = peer("8.8.4.4:443", advertised);
    proven.last_connected = Some(now.wall);
    let mut config = config();
    config.discovery.addresses = vec![at("8.6.6.6:80")];
    let forgotten = peer("8.7.7.7:443", advertised);
    let id = forgotten.id;
    let known = vec![
        forgotten,
        proven,
        peer("8.9.9.9:25", PeerSource::Manual),
        peer("8.5.5.5:8333", advertised),
    ];
    let mut plan = plan_of(config, known, now);
    let mut dialed = dialed(&actions(&mut plan, now));
    dialed.sort();
    let expected = ["8.5.5.5:8333", "8.6.6.6:80", "8.8.4.4:443", "8.9.9.9:25"];
    assert_eq!(dialed, expected.map(at));
    assert_eq!(plan.take_changes().peers.get(&id), Some(&None));
}

#[test]
fn unusual_advertised_ports_are_dialed_last() {
    let mut now = begin();
    for seed in 0..20 {
        let mut config = config();
        config.target_connections = 2;
        config.discovery.default_port = Some(7333);
        let bans = Arc::new(RwLock::new(BanList::new(config.bans.clone())));
        let mut plan = Plan::new(Arc::new(config), bans, Vec::new(), random(seed), now);
        let source = dialed_one(&mut plan, 0, now);
        let usual = [at("8.5.5.5:8333"), at("8.6.6.6:7333")];
        let unusual = (100..150).map(|number| SocketAddr::new(address(number).ip(), 9333));
        let entries: Vec<_> = usual
            .into_iter()
            .chain(unusual)
            .map(|address| entry(address, now.wall))
            .collect();
        plan.on_heard(source, &entries, now);
        let mut order = Vec::new();
        for _ in 0..4 {
            let [dialed] = dialed(&actions(&mut plan, now))[..] else {
                panic!("one peer is missing");
            };
            order.push(dialed);
            let peer_id = peer_at(&plan, dialed).id;
            plan.on_over(peer_id, &DisconnectReason::ConnectRefused, now);
        }
        order[..2].sort();
        assert_eq!(order[..2], usual, "{order:?}");
        assert_eq!((order[2].port(), order[3].port()), (9333, 9333));
        // After the pause, the address with a usual port is preferred again.
        now = later(now, 5 * SECOND);
        let next = dialed(&actions(&mut plan, now));
        assert!(usual.contains(&next[0]), "{next:?}");
    }
}

/// These addresses are ignored even if private addresses are allowed.
#[test]
fn unspecified_and_overlay_addresses_are_ignored() {
    let now = begin();
    let mut config = quiet();
    config.allow_private = Some(true);
    let mut plan = plan_of(config, Vec::new(), now);
    let source = dialed_one(&mut plan, 0, now);
    let nowhere = ["0.0.0.0:8333", "[::]:8333", "[fd87:d87e:eb43:1::1]:8333"];
    let entries = nowhere.map(|text| entry(at(text), now.wall));
    plan.on_heard(source, &entries, now);
    assert_eq!(plan.table().iter().count(), 1);
    let near = entry(at("[fd87:d87e:eb44::1]:8333"), now.wall);
    plan.on_heard(source, &[near], now);
    assert_eq!(plan.table().iter().count(), 2);
}

#[test]
fn address_flood_keeps_working_peers() {
    let mut now = begin();
    let mut config = quiet();
    config.max_known_peers = 400;
    let mut plan = plan_of(config, Vec::new(), now);
    // 100 known-good and 100 advertised peers, followed by a flood for a day.
    let mut works = Vec::new();
    for number in 0..100 {
        let mut peer = Peer::new(address(number), PeerSource::Seed, now.wall).unwrap();
        let version = PeerVersion {
            protocol_version: 70016,
            user_agent: UserAgent::new(b"/good:1/"),
            start_height: 1,
        };
        peer.record_connected(1, version, now.wall).unwrap();
        works.push(peer.id);
        assert!(plan.remember(peer, now));
    }
    let mut honest = Vec::new();
    for source in 200..204 {
        let peer_id = dialed_one(&mut plan, source, now);
        let numbers = 25 * source..25 * source + 25;
        plan.on_heard(peer_id, &entries(numbers.clone(), now), now);
        honest.extend(numbers.map(|number| peer_at(&plan, address(number)).id));
    }
    let flooder = dialed_one(&mut plan, 300, now);
    for round in 0..60 {
        now = later(now, 20 * MINUTE);
        let numbers = 10_000 + 500 * round..10_500 + 500 * round;
        plan.on_heard(flooder, &entries(numbers, now), now);
        let known = plan.table().iter().count();
        assert!((200 + 5 + 50..=400).contains(&known), "{known}");
        let of_it = |peer: &&Peer| peer.source == PeerSource::Peer(address(300).ip());
        assert_eq!(plan.table().iter().filter(of_it).count(), 400 / 8);
    }
    for peer_id in works.iter().chain(&honest) {
        assert!(plan.table().get(*peer_id).is_some());
    }
    // After 8 days the forged addresses are terrible and are evicted for new ones.
    now = later(now, 8 * DAY);
    plan.on_heard(flooder, &entries(50_000..50_010, now), now);
    assert!(plan.table().find(address(50_009)).is_some());
    let of_it = |peer: &&Peer| peer.source == PeerSource::Peer(address(300).ip());
    assert_eq!(plan.table().iter().filter(of_it).count(), 10);
}

#[test]
fn advertisers_share_dials_equally() {
    let now = begin();
    let mut tries_of_one = 0;
    for seed in 0..200 {
        let mut config = config();
        config.target_connections = 3;
        let bans = Arc::new(RwLock::new(BanList::new(config.bans.clone())));
        let mut plan = Plan::new(Arc::new(config), bans, Vec::new(), random(seed), now);
        let flooder = dialed_one(&mut plan, 0, now);
        let modest = dialed_one(&mut plan, 1, now);
        plan.on_heard(flooder, &entries(1000..2000, now), now);
        plan.on_heard(modest, &entries(7..8, now), now);
        tries_of_one += usize::from(dialed(&actions(&mut plan, now)) == [address(7)]);
    }
    assert!((60..140).contains(&tries_of_one), "{tries_of_one} of 200");
}

#[test]
fn fixed_peers_disable_address_exchange() {
    let now = begin();
    let mut config = config();
    config.discovery.request_addresses = true;
    let mut plan = plan_of(config, Vec::new(), now);
    plan.fix(&[address(0)], now).unwrap();
    actions(&mut plan, now);
    let fixed = peer_at(&plan, address(0)).id;
    plan.on_connected(fixed, &info(), now);
    assert_eq!(actions(&mut plan, now), []);
    plan.on_heard(fixed, &entries(1..9, now), now);
    assert_eq!(plan.table().iter().count(), 1);
}

#[test]
fn outbound_peers_get_one_getaddr() {
    let now = begin();
    let mut config = config();
    config.discovery.request_addresses = true;
    let mut plan = plan_of(config, known(0..1, now), now);
    actions(&mut plan, now);
    let peer_id = peer_at(&plan, address(0)).id;
    plan.on_connected(peer_id, &info(), now);
    assert_eq!(
        actions(&mut plan, now),
        [Action::AskForAddresses { peer_id }]
    );
    let (inbound, _) = ask(&mut plan, address(9), &Blind, now);
    plan.on_connected(inbound, &info(), now);
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn getaddr_reply_is_same_sample_all_day() {
    let mut now = begin();
    let mut plan = plan_of(quiet(), known(0..200, now), now);
    let asks = let_in(&mut plan, address(900), now);
    let sample = |plan: &mut Plan, now| {
        plan.on_asked_for_addresses(asks, now);
        let told = told(&actions(plan, now));
        assert_eq!((told.len(), told[0].0), (1, asks));
        told[0].1.clone()
    };
    // Two peers that must not be advertised.
    let (private, inaccessible) = (peer_at(&plan, address(0)).id, peer_at(&plan, address(1)).id);
    plan.change(private, |peer| peer.source = PeerSource::Manual);
    plan.change(inaccessible, |peer| {
        peer.set_status(PeerStatus::Inaccessible, now.wall).unwrap();
    });
    let first = sample(&mut plan, now);
    assert_eq!(first.len(), (198 * 23usize).div_ceil(100));
    let mut distinct: Vec<_> = first
        .iter()
        .map(|entry| entry.address.socket_address())
        .collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), first.len());
    assert!(!distinct.contains(&address(0)) && !distinct.contains(&address(1)));
    assert!(
        distinct
            .iter()
            .all(|address| plan.table().find(*address).is_some())
    );
    now = later(now, DAY - SECOND);
    assert_eq!(sample(&mut plan, now), first);
    now = later(now, SECOND);
    let second = sample(&mut plan, now);
    assert_ne!(second, first);
    // The sample is replaced once the number of known addresses has doubled.
    for peer in known(200..397, now) {
        plan.remember(peer, now);
    }
    assert_eq!(sample(&mut plan, now), second);
    for peer in known(397..398, now) {
        plan.remember(peer, now);
    }
    assert_eq!(sample(&mut plan, now).len(), (396 * 23usize).div_ceil(100));
}

#[test]
fn getaddr_reply_has_at_most_1000_addresses() {
    let now = begin();
    let mut plan = plan_of(quiet(), Vec::new(), now);
    let asks = let_in(&mut plan, address(30_000), now);
    plan.on_asked_for_addresses(asks, now);
    assert_eq!(actions(&mut plan, now), []);
    let mut plan = plan_of(quiet(), known(0..5000, now), now);
    let asks = let_in(&mut plan, address(30_000), now);
    plan.on_asked_for_addresses(asks, now);
    assert_eq!(told(&actions(&mut plan, now))[0].1.len(), 1000);
}

#[test]
fn connected_peer_is_advertised_despite_old_timestamp() {
    let now = begin();
    let mut plan = plan_of(quiet(), known(0..1, now), now);
    let later = later(now, 30 * DAY);
    let asks = let_in(&mut plan, address(900), later);
    plan.on_asked_for_addresses(asks, later);
    assert_eq!(actions(&mut plan, later), []);
    let connected = dialed_one(&mut plan, 0, now);
    plan.gossip = Gossip::new(later);
    plan.on_asked_for_addresses(asks, later);
    assert_eq!(
        told(&actions(&mut plan, later)),
        [(asks, vec![entry(address(0), later.wall)])]
    );
    // The time of the disconnect is recorded.
    plan.on_over(connected, &DisconnectReason::ConnectionClosed, later);
    assert_eq!(peer_at(&plan, address(0)).last_seen, later.wall);
}

#[test]
fn fresh_address_relays_to_two_inbound_peers() {
    let now = begin();
    let mut config = quiet();
    config.max_connections = 100;
    let mut plan = plan_of(config, Vec::new(), now);
    let source = dialed_one(&mut plan, 0, now);
    let inbound: Vec<PeerId> = (1..6)
        .map(|number| let_in(&mut plan, address(number), now))
        .collect();
    let news = entry(address(400), now.wall);
    plan.on_heard(source, &[news], now);
    let passed_on = told(&actions(&mut plan, now));
    assert_eq!(passed_on.len(), 2);
    assert_ne!(passed_on[0].0, passed_on[1].0);
    for (to, what) in passed_on {
        assert!(inbound.contains(&to));
        assert_eq!(what, [news]);
    }
    plan.on_heard(inbound[0], &[news], now);
    assert_eq!(actions(&mut plan, now), [], "it was passed on");
    // The address is not returned to its source. Old and private addresses and long `addr` messages
    // are not relayed.
    let mut alone = plan_of(quiet(), Vec::new(), now);
    let teller = let_in(&mut alone, address(1), now);
    alone.on_heard(teller, &[news], now);
    assert_eq!(actions(&mut alone, now), []);
    let old = entry(address(401), now.wall - 11 * MINUTE);
    let private = entry("10.0.0.1:8333".parse().unwrap(), now.wall);
    plan.on_heard(source, &[old, private], now);
    plan.on_heard(source, &entries(410..421, now), now);
    assert_eq!(actions(&mut plan, now), []);
}

#[test]
fn own_address_is_advertised_repeatedly() {
    let now = begin();
    let mut config = quiet();
    config.listener.external_address = Some(address(50));
    let mut plan = plan_of(config.clone(), Vec::new(), now);
    let mut peers = [
        plan.connect(address(1), |_| false, now).unwrap(),
        let_in(&mut plan, address(2), now),
    ];
    peers.sort();
    plan.on_connected(peers[0], &info(), now);
    plan.on_connected(peers[1], &info(), now);
    let own = |address, now: Now| {
        let mut own = entry(address, now.wall);
        own.address.services = Services(0);
        vec![own]
    };
    let sorted = |actions: Vec<Action>| {
        let mut told = told(&actions);
        told.sort_by_key(|(peer_id, _)| *peer_id);
        told
    };
    let all = |address, now| peers.map(|peer_id| (peer_id, own(address, now)));
    assert_eq!(sorted(actions(&mut plan, now)), all(address(50), now));
    let soon = later(now, 8 * HOUR - SECOND);
    assert_eq!(told(&actions(&mut plan, soon)), []);
    let due = later(now, 8 * HOUR);
    assert!(plan.next_deadline() <= due.instant);
    assert_eq!(sorted(actions(&mut plan, due)), all(address(50), due));
    config.listener.external_address = Some(address(51));
    plan.update_config(Arc::new(config), due);
    assert_eq!(sorted(actions(&mut plan, due)), all(address(51), due));
    // Our own address is ignored if a peer advertises it.
    plan.on_heard(peers[0], &[entry(address(51), now.wall)], now);
    assert!(plan.table().find(address(51)).is_none());
}
