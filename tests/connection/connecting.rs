//! Addresses of peers, and waits for the handshake.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{PeerAddr, PeerConnectionOptions, RestartConfig, Supervisor};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::{Connection, ConnectionConfig, Error, Network, Timeout};

use crate::harness::{Actor, config, reason_of};
use test_support::raw_peer::{ClosedPort, DEADLINE, RawListener};

#[test]
fn connect_accepts_each_kind_of_address() {
    let node = LocalNode::start().unwrap();
    let address = node.address();
    let SocketAddr::V4(v4) = address else {
        panic!("{address}");
    };
    let text = address.to_string();
    let port = address.port();
    for peer in [
        PeerAddr::from(address),
        (&address).into(),
        v4.into(),
        text.as_str().into(),
        (&text).into(),
        text.clone().into(),
        ("127.0.0.1", port).into(),
        ("localhost".to_owned(), port).into(),
        (address.ip(), port).into(),
        (Ipv4Addr::LOCALHOST, port).into(),
    ] {
        let connection = Connection::connect(&peer, &config()).unwrap();
        assert_eq!(connection.peer_addr(), address, "{peer}");
    }
    assert!(Connection::connect(address, &config()).is_ok());
}

/// Without a port, the default port of the network is dialed.
#[test]
fn missing_port_is_that_of_the_network() {
    let network = ConnectionConfig::new(Network::Regtest);
    let host = Ipv4Addr::new(127, 0, 0, 93);
    let error = Connection::connect(host, &network).unwrap_err();
    assert_eq!(
        reason_of::<()>(Err(error)),
        DisconnectReason::ConnectRefused
    );
}

#[test]
fn wait_connected_returns_after_handshake() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    thread::scope(|scope| {
        let waits = scope.spawn(|| actor.handle.wait_connected(DEADLINE));
        let mut peer = listener.accept();
        peer.shake_hands();
        waits.join().unwrap().unwrap();
        actor.handle.wait_connected(Duration::ZERO).unwrap();
    });
}

#[test]
fn wait_connected_returns_reason_of_close() {
    let port = ClosedPort::new();
    let actor = Actor::dial(port.address(), &config());
    let refused = actor.handle.wait_connected(DEADLINE);
    assert_eq!(reason_of(refused), DisconnectReason::ConnectRefused);

    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    thread::scope(|scope| {
        let waits = scope.spawn(|| actor.handle.wait_connected(DEADLINE));
        let _peer = listener.accept();
        actor.handle.disconnect();
        let closed = waits.join().unwrap();
        assert_eq!(reason_of(closed), DisconnectReason::Requested);
    });
}

#[test]
fn wait_connected_timeout_keeps_connection() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    let after = Duration::from_millis(20);
    let error = actor.handle.wait_connected(after).unwrap_err();
    let expected = Error::Timeout {
        peer: listener.address().to_string(),
        which: Timeout::Handshake,
        after,
    };
    assert_eq!(error, expected);
    peer.shake_hands();
    actor.handle.wait_connected(DEADLINE).unwrap();
}

#[test]
fn wait_connected_includes_restarts() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let setup = PeerConnectionOptions::new(config());
    let events = setup.events.subscribe_control();
    let restarts = RestartConfig::default();
    let handle = supervisor
        .spawn_outbound(listener.address(), setup, restarts)
        .unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    handle.wait_connected(DEADLINE).unwrap();
    peer.close();
    while !matches!(
        events.recv_timeout(DEADLINE).unwrap(),
        ControlEvent::ConnectionRestarting { .. }
    ) {}
    thread::scope(|scope| {
        let waits = scope.spawn(|| handle.wait_connected(DEADLINE));
        let mut peer = listener.accept();
        peer.shake_hands();
        waits.join().unwrap().unwrap();
    });
}
