//! Peers that are discovered by seeds and by addresses from other peers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bsv_p2p::discovery::{Deadline, ResolveError, SeedResolver};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::{InMemoryPeerStore, Peer, PeerSource, PeerStore, PeerVersion, UserAgent};
use bsv_p2p::wire::{
    Addr, HeaderChain, Message, NetworkAddress, Ping, Services, TimestampedAddress,
};
use bsv_p2p::{Manager, ManagerConfig, Network};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use test_support::raw_peer::{RawListener, RawPeer};

use crate::harness::*;

mockall::mock! {
    Seeds {}
    impl SeedResolver for Seeds {
        fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError>;
    }
}

fn loopback() -> IpAddr {
    [127, 0, 0, 1].into()
}

/// Returns a configuration with these seeds and the default port of `node`.
fn seeking(seeds: &[&str], node: SocketAddr) -> ManagerConfig {
    let mut config = config();
    config.discovery.seeds = Some(seeds.iter().map(|seed| (*seed).into()).collect());
    config.discovery.default_port = Some(node.port());
    config
}

#[test]
fn failing_seed_does_not_affect_others() {
    let node = LocalNode::start().unwrap();
    let mut seeds = MockSeeds::new();
    seeds.expect_resolve().returning(|name, until| {
        assert!(until.remaining().is_some());
        match name {
            "good.test" => Ok(vec![loopback()]),
            name => Err(ResolveError::NotFound { name: name.into() }),
        }
    });
    let config = seeking(&["bad.test", "good.test"], node.address());
    let manager = manager(config).with_resolver(Arc::new(seeds));
    let events = manager.subscribe_control();
    manager.start().unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let peers = manager.peers().unwrap();
    assert_eq!(peers[0].source, PeerSource::Seed);
    manager.shutdown().unwrap();
    assert!(
        !events
            .iter()
            .map(Result::unwrap)
            .any(|event| matches!(event, ControlEvent::DiscoveryFailed { .. })),
        "one has answered"
    );
}

#[test]
fn resolver_set_after_followed_chain_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let node = LocalNode::start().unwrap();
    let with_headers =
        |manager: Manager| manager.with_headers(folder.path().join("headers")).unwrap();
    let following = |manager: Manager| {
        let chain = HeaderChain::new(Network::Regtest);
        manager.follow_chain(chain).unwrap();
        manager
    };
    for follow in [&with_headers as &dyn Fn(Manager) -> Manager, &following] {
        let mut seeds = MockSeeds::new();
        let resolve = seeds.expect_resolve().withf(|name, _| name == "own.test");
        resolve.returning(|_, _| Ok(vec![loopback()]));
        let manager = manager(seeking(&["own.test"], node.address()));
        let manager = follow(manager).with_resolver(Arc::new(seeds));
        manager.start().unwrap();
        manager.wait_for_peers(1, LIMIT).unwrap();
        manager.shutdown().unwrap();
    }
}

/// A resolver that panics counts as a failure.
#[test]
fn failure_of_all_seeds_is_reported() {
    let node = LocalNode::start().unwrap();
    let mut seeds = MockSeeds::new();
    seeds.expect_resolve().returning(|name, _| match name {
        "none.test" => Err(ResolveError::NotFound { name: name.into() }),
        name => panic!("{name} was too much"),
    });
    let config = seeking(&["none.test", "evil.test"], node.address());
    let manager = manager(config).with_resolver(Arc::new(seeds));
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let (failures, retry_after) = wait_for(&events, |event| match event {
        ControlEvent::DiscoveryFailed {
            failures,
            retry_after,
        } => Some((failures.clone(), *retry_after)),
        _ => None,
    });
    let names: Vec<_> = failures.iter().map(|failure| &*failure.seed).collect();
    assert_eq!(names, ["none.test", "evil.test"]);
    assert!(
        failures[1].to_string().contains("panicked"),
        "{}",
        failures[1]
    );
    assert!(retry_after <= Duration::from_secs(30) && retry_after >= Duration::from_secs(24));
    manager.connect(node.address()).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
}

/// Reports each query, and answers when it is told to or stopped.
struct Slow {
    asked: Sender<()>,
    answer: Receiver<()>,
    heeds: bool,
}

impl SeedResolver for Slow {
    fn resolve(&self, _: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError> {
        self.asked.send(()).unwrap();
        loop {
            if self.answer.recv_timeout(Duration::from_millis(10)).is_ok() {
                return Ok(vec![loopback()]);
            }
            if self.heeds && until.is_cancelled() {
                return Err(ResolveError::Cancelled);
            }
        }
    }
}

fn slow(heeds: bool) -> (Arc<Slow>, Receiver<()>, Sender<()>) {
    let (asked, is_asked) = unbounded();
    let (let_go, answer) = bounded(1);
    let slow = Slow {
        asked,
        answer,
        heeds,
    };
    (Arc::new(slow), is_asked, let_go)
}

#[test]
fn known_peers_are_dialed_before_seeds_answer() {
    let node = LocalNode::start().unwrap();
    let store = InMemoryPeerStore::new(10);
    let now = SystemTime::now();
    let mut known = Peer::new(node.address(), PeerSource::Seed, now).unwrap();
    let version = PeerVersion {
        protocol_version: 70016,
        user_agent: UserAgent::new(b"/good:1/"),
        start_height: 1,
    };
    known.record_connected(0, version, now).unwrap();
    store.create(known, now).unwrap();
    let (resolver, asked, let_go) = slow(true);
    let config = seeking(&["slow.test"], node.address());
    let manager = Manager::with_store(config, Arc::new(store))
        .unwrap()
        .with_resolver(resolver);
    manager.start().unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    asked.recv_timeout(LIMIT).unwrap();
    // The lookup is not waited for.
    assert_within(Duration::from_secs(2), 100, || manager.shutdown().unwrap());
    drop(let_go);
}

#[test]
fn blocked_resolver_delays_shutdown_until_deadline() {
    let mut config = seeking(&["slow.test"], "127.0.0.1:1".parse().unwrap());
    config.shutdown_timeout = Duration::from_millis(300);
    let (resolver, asked, let_go) = slow(false);
    let manager = manager(config).with_resolver(resolver);
    manager.start().unwrap();
    asked.recv_timeout(LIMIT).unwrap();
    let error = manager.shutdown().unwrap_err();
    assert!(error.to_string().contains("seed lookup"), "{error}");
    let_go.send(()).unwrap();
}

#[test]
fn fixed_peers_disable_seed_lookups() {
    let node = LocalNode::start().unwrap();
    let (resolver, asked, _let_go) = slow(true);
    let config = seeking(&["seed.test"], node.address());
    let manager = manager(config).with_resolver(resolver);
    manager.start_fixed([node.address()]).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    manager.shutdown().unwrap();
    assert_eq!(asked.len(), 0);
}

#[cfg(feature = "dns")]
#[test]
fn silent_name_server_delays_nothing() {
    let node = LocalNode::start().unwrap();
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let mut config = seeking(&["seed.test"], node.address());
    config.discovery.name_servers = vec![server.local_addr().unwrap()];
    config.discovery.addresses = vec![node.address()];
    let manager = manager(config);
    manager.start().unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    server.recv(&mut [0; 512]).expect("it is asked");
    assert_within(Duration::from_secs(2), 100, || manager.shutdown().unwrap());
}

#[test]
fn flood_of_fake_addresses_evicts_no_good_peer() {
    let (flooder, node) = (RawListener::new(), LocalNode::start().unwrap());
    let mut config = config();
    config.max_known_peers = 40;
    config.discovery.addresses = vec![flooder.address(), node.address()];
    let manager = manager(config);
    manager.start().unwrap();
    let mut peer = flooder.accept();
    peer.shake_hands();
    manager.wait_for_peers(2, LIMIT).unwrap();
    peer.expect("getaddr");
    // Nothing listens at any of them.
    let made_up = |round: u8| {
        let ports = (0..1000u16).map(|number| {
            let [high, low] = number.to_be_bytes();
            SocketAddr::from(([127, 200 + round, high, low], 1024))
        });
        ports.collect::<Vec<_>>()
    };
    for round in 0..20 {
        peer.send(told(&made_up(round)));
        peer.ping(round.into());
    }
    let is_told = |peer: &Peer| matches!(peer.source, PeerSource::Peer(_));
    until("its share is full", || {
        let peers = manager.peers().unwrap();
        peers.iter().filter(|peer| is_told(peer)).count() == 40 / 8
    });
    let peers = manager.peers().unwrap();
    for address in [flooder.address(), node.address()] {
        assert!(peers.iter().any(|peer| peer.socket_address() == address));
    }
    assert_eq!((peers.len(), manager.connected_count()), (2 + 40 / 8, 2));
}

fn told(addresses: &[SocketAddr]) -> Addr {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let entry = |address: &SocketAddr| TimestampedAddress {
        time: now.as_secs() as u32,
        address: NetworkAddress::new(Services::NETWORK, *address),
    };
    Addr {
        addresses: addresses.iter().map(entry).collect(),
    }
}

#[test]
fn addresses_from_peers_are_dialed() {
    let (listener, node) = (RawListener::new(), LocalNode::start().unwrap());
    let mut config = config();
    config.discovery.addresses = vec![listener.address()];
    let manager = manager(config);
    manager.start().unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    peer.expect("getaddr");
    peer.send(told(&[node.address()]));
    manager.wait_for_peers(2, LIMIT).unwrap();
    let mut source = manager.peers().unwrap().into_iter();
    let source = source.find(|peer| peer.socket_address() == node.address());
    assert_eq!(source.unwrap().source, PeerSource::Peer(loopback()));
}

#[test]
fn inbound_peer_gets_own_address_and_one_sample() {
    let node = LocalNode::start().unwrap();
    let mut config = listening();
    config.target_connections = 1;
    config.discovery.addresses = vec![node.address()];
    // The address of the node itself would be relayed.
    config.discovery.request_addresses = false;
    let own: SocketAddr = "127.0.0.1:7777".parse().unwrap();
    config.listener.external_address = Some(own);
    let (manager, _, address) = running(config);
    manager.wait_for_peers(1, LIMIT).unwrap();
    let mut peer = dial_from([127, 0, 0, 1], address);
    peer.shake_hands();
    let entries = |peer: &mut RawPeer| match peer.expect("addr") {
        Message::Addr(addr) => addr.addresses,
        other => panic!("{other:?}"),
    };
    let told = entries(&mut peer);
    assert_eq!((told.len(), told[0].address.socket_address()), (1, own));
    peer.send(Message::GetAddr);
    peer.send(Message::GetAddr);
    let sample = entries(&mut peer);
    let only = sample[0].address;
    assert_eq!(sample.len(), 1);
    assert_eq!(
        (only.socket_address(), only.services),
        (node.address(), node_services())
    );
    // The second request gets no response.
    peer.send(Ping::new(7));
    loop {
        match peer.next_message() {
            Message::Addr(addr) => panic!("{addr:?}"),
            Message::Pong(_) => break,
            _ => {}
        }
    }
}

fn node_services() -> Services {
    LocalNode::default_config().session.services
}
