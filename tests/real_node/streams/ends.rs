//! The end of a peer with two streams, and its reconnection.

use std::time::Duration;

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::{ConnectionConfig, Manager, ManagerConfig, Network};
use test_support::real_node::RealNode;

use super::{
    assert_answers, assert_two_streams, dial_twice, listening, node_with_coins, up_to_two_streams,
    wait_for,
};
use crate::peer::{Actor, SOON, config, config_with_fast_pings, is_cut};

/// Returns a manager that keeps the node connected, and redials soon.
fn keeping(node: &RealNode, connection: ConnectionConfig) -> (Manager, EventReceiver<Event>) {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.connection = connection;
    config.restarts.backoff = Duration::from_millis(50);
    config.restarts.max_backoff = Duration::from_millis(200);
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe();
    manager.start_fixed([node.address()]).unwrap();
    (manager, events)
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn restarted_node_gets_both_streams_back() {
    let node = node_with_coins(&[]);
    let (manager, events) = keeping(&node, config());
    for turn in 0..4 {
        let mut ends = 0;
        let opened = wait_for(&events, "both streams", |event| match event {
            Event::Control(ControlEvent::StreamOpened { peer_id, .. }) => Some(*peer_id),
            Event::Control(ControlEvent::ConnectionRestarting { reason, .. }) => {
                // A starting node refuses connections for a while.
                ends += usize::from(is_cut(reason));
                None
            }
            _ => None,
        });
        assert_eq!(ends, usize::from(turn > 0), "one end for both streams");
        let peer = manager.connection(opened).unwrap();
        // A killed node may have lost its chain, and answers nothing before it has a recent block.
        node.generate(1);
        assert_answers(&node, &peer);
        if turn % 2 == 0 {
            node.kill();
        } else {
            node.shutdown();
        }
        node.restart();
    }
}

/// Returns the end of a connection with both streams, which must be its only remaining event.
#[track_caller]
fn only_end(actor: Actor, node: &RealNode) -> DisconnectReason {
    // The statistics show the end when the thread has ended, which is after its last event.
    node.wait_until("neither stream stands", SOON, || {
        let streams = actor.handle.statistics().streams;
        streams.len() == 2 && streams.iter().all(|one| !one.is_open)
    });
    let told: Vec<_> = actor.life().into_iter().filter_map(control).collect();
    let behind = told
        .iter()
        .position(|event| matches!(event, ControlEvent::StreamOpened { .. }));
    match &told[behind.expect("a second stream") + 1..] {
        [ControlEvent::ConnectionLost { reason, .. }] => reason.clone(),
        other => panic!("one end: {other:#?}"),
    }
}

fn control(event: Event) -> Option<ControlEvent> {
    match event {
        Event::Control(event) => Some(event),
        _ => None,
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn killed_node_ends_both_streams_once() {
    let node = node_with_coins(&[]);
    let actor = dial_twice(&node, config());
    node.kill();
    let reason = only_end(actor, &node);
    assert!(is_cut(&reason), "{reason:?}");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn stalled_node_loses_both_streams() {
    let node = node_with_coins(&[]);
    let actor = dial_twice(&node, config_with_fast_pings());
    assert_two_streams(&node);
    node.stop_process();
    let reason = only_end(actor, &node);
    let after = config_with_fast_pings().session.ping_timeout;
    assert_eq!(reason, DisconnectReason::PingTimeout { after });
    node.continue_process();
    node.wait_until("the node has lost both as well", SOON, || {
        node.peer_info().is_empty()
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn resumed_node_gets_both_streams_with_same_id() {
    let node = node_with_coins(&[]);
    let (manager, events) = keeping(&node, config_with_fast_pings());
    let (first, _) = up_to_two_streams(&events);
    assert_two_streams(&node);
    node.stop_process();
    // The system accepts connections for a stopped process.
    let mut told = Vec::new();
    wait_for(&events, "the next attempt", |event| {
        told.extend(control(event.clone()));
        matches!(
            event,
            Event::Control(ControlEvent::ConnectionEstablished { .. })
        )
        .then_some(())
    });
    node.continue_process();
    let (again, rest) = up_to_two_streams(&events);
    told.extend(rest);
    assert_eq!(again, first);
    let names: Vec<_> = told.iter().map(ControlEvent::name).collect();
    assert_eq!(
        names,
        [
            "ConnectionRestarting",
            "ConnectionEstablished",
            "HandshakeComplete",
            "StreamOpened"
        ]
    );
    let ControlEvent::ConnectionRestarting { reason, .. } = &told[0] else {
        unreachable!()
    };
    let after = config_with_fast_pings().session.ping_timeout;
    assert_eq!(*reason, DisconnectReason::PingTimeout { after });
    assert_answers(&node, &manager.connection(again).unwrap());
    assert_two_streams(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn restarted_inbound_node_is_a_new_peer() {
    let node = node_with_coins(&[]);
    let (manager, events, address) = listening(|_| {});
    let mut ids = Vec::new();
    for _ in 0..3 {
        node.add_node_onetry(address);
        let (opened, seen) = up_to_two_streams(&events);
        let names: Vec<_> = seen.iter().map(ControlEvent::name).collect();
        assert_eq!(
            names,
            [
                "InboundConnectionAccepted",
                "ConnectionEstablished",
                "HandshakeComplete",
                "StreamOpened"
            ]
        );
        assert!(!ids.contains(&opened));
        ids.push(opened);
        assert_two_streams(&node);
        node.kill();
        wait_for(&events, "one end", |event| match event {
            Event::Control(ControlEvent::ConnectionLost {
                peer_id, reason, ..
            }) => {
                assert_eq!(*peer_id, opened);
                assert!(is_cut(reason), "{reason:?}");
                Some(())
            }
            Event::Control(other) => panic!("{other}"),
            _ => None,
        });
        node.restart();
        // An end of the other stream would have been reported by now.
        assert_eq!(manager.snapshot().unwrap().connections.len(), 0);
    }
    assert_eq!(manager.metrics().slots_taken, 0);
}
