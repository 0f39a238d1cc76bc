//! A supervised connection to a node that is restarted.

use std::time::Duration;

use bsv_p2p::connection::{
    EventReceiver, PeerConnectionHandle, PeerConnectionOptions, RestartConfig, Supervisor,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use test_support::real_node::RealNode;

use crate::peer::{SOON, assert_good_standing, config, is_cut};

/// Dials the node as often as necessary.
fn keep(
    node: &RealNode,
    supervisor: &Supervisor,
) -> (PeerConnectionHandle, EventReceiver<ControlEvent>) {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(200);
    config.session.ping_timeout = Duration::from_secs(1);
    let setup = PeerConnectionOptions::new(config);
    let events = setup.events.subscribe_control();
    let restarts = RestartConfig {
        backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(200),
        max_delayed_restarts: None,
        ..RestartConfig::default()
    };
    let handle = supervisor
        .spawn_outbound(node.address(), setup, restarts)
        .unwrap();
    (handle, events)
}

#[track_caller]
fn expect_handshake(events: &EventReceiver<ControlEvent>) {
    loop {
        match events
            .recv_timeout(3 * SOON)
            .expect("the connection is up again")
        {
            ControlEvent::HandshakeComplete { .. } => return,
            ControlEvent::ConnectionEstablished { .. }
            | ControlEvent::ConnectionRestarting { .. } => {}
            other => panic!("{other}"),
        }
    }
}

#[track_caller]
fn expect_restart(events: &EventReceiver<ControlEvent>) -> DisconnectReason {
    loop {
        match events.recv_timeout(SOON).expect("the end is noticed") {
            ControlEvent::ConnectionRestarting { reason, .. } => return reason,
            // It may have been in progress when the node was stopped.
            ControlEvent::StreamOpened { .. } | ControlEvent::StreamRefused { .. } => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn supervised_connection_survives_node_restarts() {
    let node = RealNode::start(&[]);
    let supervisor = Supervisor::start().unwrap();
    let (peer, events) = keep(&node, &supervisor);
    expect_handshake(&events);
    for kill in [true, false, true] {
        if kill {
            node.kill();
        } else {
            node.shutdown();
        }
        let reason = expect_restart(&events);
        assert!(is_cut(&reason), "{reason}");
        node.restart();
        expect_handshake(&events);
        assert_eq!(peer.state(), ConnectionState::Connected);
        assert!(peer.statistics().last_error.is_some());
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn stalled_node_is_lost_and_reconnected() {
    let node = RealNode::start(&[]);
    let supervisor = Supervisor::start().unwrap();
    let (_peer, events) = keep(&node, &supervisor);
    expect_handshake(&events);
    node.stop_process();
    let reason = expect_restart(&events);
    assert!(
        matches!(reason, DisconnectReason::PingTimeout { .. }),
        "{reason}"
    );
    node.continue_process();
    expect_handshake(&events);
    assert_good_standing(&node);
}
