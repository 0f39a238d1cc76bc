//! A supervised connection and a node that goes and comes back.

use std::time::Duration;

use bsv_p2p::connection::{PeerConnectionHandle, PeerConnectionOptions, RestartConfig, Supervisor};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use crossbeam_channel::Receiver;

use crate::peer::{SOON, assert_good_standing, config, is_cut};
use crate::support::RealNode;

/// Dials the node as often as it takes.
fn keep(
    node: &RealNode,
    supervisor: &Supervisor,
) -> (PeerConnectionHandle, Receiver<ControlEvent>) {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(200);
    config.session.ping_timeout = Duration::from_secs(1);
    let setup = PeerConnectionOptions::new(config);
    let events = setup.events.subscribe_control();
    let restarts = RestartConfig {
        backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(200),
        max_retries: None,
        ..RestartConfig::default()
    };
    let handle = supervisor
        .spawn_outbound(node.address(), setup, restarts)
        .unwrap();
    (handle, events)
}

#[track_caller]
fn expect_handshake(events: &Receiver<ControlEvent>) {
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
fn expect_restart(events: &Receiver<ControlEvent>) -> DisconnectReason {
    loop {
        match events.recv_timeout(SOON).expect("the end is noticed") {
            ControlEvent::ConnectionRestarting { reason, .. } => return reason,
            // It may have been under way when the node went.
            ControlEvent::StreamOpened { .. } | ControlEvent::StreamRefused { .. } => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn restarts_of_the_node_are_survived_whether_it_was_killed_or_stopped() {
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
fn a_node_that_hangs_is_noticed_by_its_missing_pong_and_found_again_when_it_goes_on() {
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
