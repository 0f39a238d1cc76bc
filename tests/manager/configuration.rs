//! Configuration updates of a running manager.

use std::net::TcpListener;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use test_support::raw_peer::RawPeer;

use crate::harness::*;
use test_support::with_sources::with_sources;

/// Tried with a value out of range, another network, another magic and too few slots for the fixed
/// peers.
#[test]
fn invalid_update_changes_nothing() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let manager = manager(config());
    let before = manager.config();
    assert_eq!(manager.update_config(config()), Err(Error::NotRunning));
    manager
        .start_fixed(nodes.each_ref().map(LocalNode::address))
        .unwrap();
    let refused = |change: &dyn Fn(&mut bsv_p2p::ManagerConfig)| {
        let mut config = config();
        change(&mut config);
        match manager.update_config(config) {
            Err(Error::Config(error)) => error.field,
            other => panic!("{other:?}"),
        }
    };
    let wrong = [
        refused(&|config| config.max_connections = 0),
        refused(&|config| config.connection.network = Network::Mainnet),
        refused(&|config| config.connection.magic = Some(Network::Stn.magic())),
        refused(&|config| (config.max_connections, config.target_connections) = (1, 1)),
    ];
    let fields = [
        "max_connections",
        "connection.network",
        "connection.magic",
        "max_connections",
    ];
    assert_eq!(wrong, fields);
    assert_eq!(manager.config(), before);
    assert_eq!(manager.wait_for_peers(2, LIMIT), Ok(2));
}

/// Existing connections stay open.
#[test]
fn listener_can_be_moved_and_stopped() {
    let (manager, events, first) = running(listening());
    let mut kept = RawPeer::dial(first);
    kept.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let mut config = manager.config();
    config.listener.address = Some("127.0.0.2:0".parse().unwrap());
    manager.update_config(config.clone()).unwrap();
    let second = started(&events);
    assert_ne!(second.ip(), first.ip());
    drop(TcpListener::bind(first).expect("the first port is free"));
    RawPeer::dial(second).shake_hands();
    config.listener.enabled = false;
    manager.update_config(config.clone()).unwrap();
    drop(TcpListener::bind(second).expect("the second port is free"));
    assert_eq!(manager.snapshot().unwrap().listening, None);
    kept.ping(7);
    // An update without changes of the listener keeps it open.
    config.listener.enabled = true;
    config.listener.address = Some(second);
    manager.update_config(config.clone()).unwrap();
    assert_eq!(started(&events), second);
    config.listener.max_per_address = 9;
    manager.update_config(config).unwrap();
    assert_eq!(manager.snapshot().unwrap().listening, Some(second));
}

#[test]
fn occupied_port_is_reported_and_retried() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = listening();
    config.listener.address = Some(other.local_addr().unwrap());
    config.listener.bind_retry = Duration::from_millis(20);
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    wait_for(&events, |event| match event {
        ControlEvent::ListenerBindFailed { address, .. } => {
            assert_eq!(*address, other.local_addr().unwrap());
            Some(())
        }
        _ => None,
    });
    drop(other);
    started(&events);
}

#[test]
fn updated_timers_reach_live_connections_within_a_second() {
    let (manager, events, address) = running(listening());
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let mut config = manager.config();
    // The default interval is five minutes.
    config.connection.session.ping_interval = Duration::from_millis(100);
    config.connection.session.ping_timeout = Duration::from_millis(200);
    manager.update_config(config).unwrap();
    peer.expect_ping();
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionLost { reason, .. } => {
            assert!(reason.to_string().contains("ping"), "{reason}");
            Some(())
        }
        _ => None,
    });
}

#[test]
fn changed_maximum_applies_to_new_connections_only() {
    let mut config = listening();
    config.max_connections = 1;
    let (manager, _events, address) = running(config.clone());
    let mut first = RawPeer::dial(address);
    first.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let turned_away = || {
        let name = address.to_string();
        let regtest = ConnectionConfig::new(Network::Regtest);
        let told = Connection::connect(&name, &regtest).and_then(|mut peer| peer.receive());
        with_sources(&told.unwrap_err())
    };
    assert!(turned_away().contains("connection limit"));
    config.max_connections = 2;
    manager.update_config(config.clone()).unwrap();
    let mut second = RawPeer::dial(address);
    second.shake_hands();
    manager.wait_for_peers(2, LIMIT).unwrap();
    config.max_connections = 1;
    manager.update_config(config).unwrap();
    assert!(turned_away().contains("connection limit"));
    for peer in [&mut first, &mut second] {
        peer.ping(9);
    }
    assert_eq!(manager.connected_count(), 2);
    drop(second);
    until("one has gone", || manager.connected_count() == 1);
    assert!(turned_away().contains("connection limit"));
}

#[test]
fn higher_target_dials_more_known_peers() {
    let nodes = [(); 3].map(|()| LocalNode::start().unwrap());
    let mut config = config();
    config.target_connections = 0;
    let manager = manager(config.clone());
    manager.start().unwrap();
    for node in &nodes {
        let peer_id = manager.connect(node.address()).unwrap();
        manager.wait_for_peers(1, LIMIT).unwrap();
        manager.disconnect(peer_id).unwrap();
        until("it has gone", || manager.connections().is_empty());
    }
    // The peers are in cool-down, because the application disconnected them.
    let snapshot = manager.snapshot().unwrap();
    assert_eq!(snapshot.waiting.len(), 3);
    config.target_connections = 3;
    manager.update_config(config).unwrap();
    assert_eq!(manager.connected_count(), 0);
    let again = manager.connect(nodes[0].address()).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    assert_eq!(manager.connections()[0].peer_id, again);
}
