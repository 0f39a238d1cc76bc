//! Second streams of peers: which peers get one, that it does not count as another peer, and that
//! limits do not reject it.

use std::net::SocketAddr;

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::manager::PeerSelector;
use bsv_p2p::peers::PeerId;
use bsv_p2p::session::StreamSetupError;
use bsv_p2p::wire::{StreamPolicy, StreamType};
use bsv_p2p::{Manager, ManagerConfig};

use crate::harness::*;

/// The events of a peer with two streams at its listener.
const LET_IN: [&str; 4] = [
    "InboundConnectionAccepted",
    "ConnectionEstablished",
    "HandshakeComplete",
    "StreamOpened",
];

/// Returns a manager that keeps `address` connected.
fn dialing(config: ManagerConfig, address: SocketAddr) -> (Manager, EventReceiver<ControlEvent>) {
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start_fixed([address]).unwrap();
    (manager, events)
}

/// Returns the events up to the first with this name, inclusive.
#[track_caller]
fn up_to(events: &EventReceiver<ControlEvent>, name: &str) -> Vec<ControlEvent> {
    let mut seen = Vec::new();
    wait_for(events, |event| {
        seen.push(event.clone());
        (event.name() == name).then_some(())
    });
    seen
}

fn names(events: &[ControlEvent]) -> Vec<&str> {
    events.iter().map(ControlEvent::name).collect()
}

/// Returns the only peer of these events.
#[track_caller]
fn only_peer(events: &[ControlEvent]) -> PeerId {
    let (first, _) = events[0].peer().unwrap();
    for event in events {
        assert_eq!(event.peer().unwrap().0, first, "{event}");
    }
    first
}

/// Asserts that both sides have one peer with two streams and nothing else. Then the dialing side
/// disconnects.
#[track_caller]
fn assert_one_peer_with_two_streams(listening: ManagerConfig, dialing_with: ManagerConfig) {
    let (listener, heard, address) = running(listening);
    let (dialer, events) = dialing(dialing_with, address);
    let told = up_to(&events, "StreamOpened");
    assert_eq!(names(&told), &LET_IN[1..]);
    let peer_id = only_peer(&told);
    let ControlEvent::StreamOpened { stream, policy, .. } = told[2] else {
        unreachable!()
    };
    let expected = (StreamType::Data1, StreamPolicy::BlockPriority);
    assert_eq!((stream, policy), expected);
    let heard_first = up_to(&heard, "StreamOpened");
    assert_eq!(names(&heard_first), LET_IN);
    let heard_of = only_peer(&heard_first);
    until("it is known what the second connection was", || {
        listener.metrics().streams_attached == 1
    });
    dialer.ping(peer_id, LIMIT).unwrap();
    listener.ping(PeerSelector::Best, LIMIT).unwrap();
    for manager in [&listener, &dialer] {
        until("there is one connection", || {
            manager.connections().len() == 1
        });
        assert_eq!(manager.connections()[0].streams.len(), 2);
        let metrics = manager.metrics();
        assert_eq!((metrics.connected, metrics.slots_taken), (1, 1));
        let ends = (
            metrics.connections_lost,
            metrics.connections_failed,
            metrics.inbound_rejected,
        );
        assert_eq!((metrics.inbound_rejected_capacity, ends), (0, (0, 0, 0)));
        assert!(listener.peers().unwrap().is_empty());
    }
    until("the second connection is counted", || {
        listener.metrics().inbound_accepted == 2
    });
    dialer.shutdown().unwrap();
    assert_eq!(
        names(&events.iter().map(Result::unwrap).collect::<Vec<_>>()),
        ["ConnectionLost"]
    );
    let left = up_to(&heard, "ConnectionLost");
    assert_eq!(names(&left), ["ConnectionLost"]);
    assert_eq!(only_peer(&left), heard_of);
    listener.shutdown().unwrap();
    assert_eq!(heard.iter().count(), 0);
}

#[test]
fn connected_managers_use_two_streams() {
    assert_one_peer_with_two_streams(listening(), config());
}

#[test]
fn second_stream_uses_no_slot() {
    let mut config = listening();
    config.max_connections = 1;
    assert_one_peer_with_two_streams(config, self::config());
}

#[test]
fn second_stream_is_exempt_from_address_limits() {
    let mut config = listening();
    config.allow_private = Some(false);
    config.listener.max_per_address = 1;
    config.listener.max_handshakes_per_address = 1;
    config.listener.max_handshakes = 1;
    assert_one_peer_with_two_streams(config, self::config());
}

#[test]
fn concurrent_peers_get_two_streams_each() {
    const PEERS: usize = 8;
    let (listener, heard, address) = running(listening());
    let dialers = [(); PEERS].map(|()| dialing(config(), address));
    for (_, events) in &dialers {
        assert_eq!(names(&up_to(events, "StreamOpened")), &LET_IN[1..]);
    }
    let mut opened = 0;
    wait_for(&heard, |event| {
        assert!(LET_IN.contains(&event.name()), "{event}");
        opened += usize::from(event.name() == "StreamOpened");
        (opened == PEERS).then_some(())
    });
    until("the second connections are counted", || {
        listener.metrics().streams_attached == PEERS as u64
    });
    assert_eq!(listener.metrics().slots_taken, PEERS);
}

#[test]
fn refused_streams_are_reported_once() {
    let mut config = listening();
    config.connection.session.multistreams = false;
    let (listener, heard, address) = running(config);
    let (dialer, events) = dialing(self::config(), address);
    let told = up_to(&events, "StreamRefused");
    assert_eq!(names(&told)[..2], LET_IN[1..3]);
    let [_, _, ControlEvent::StreamRefused { error, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(*error, StreamSetupError::AssociationNotEchoed);
    assert_one_stream(&dialer);
    dialer.shutdown().unwrap();
    assert_eq!(
        names(&events.iter().map(Result::unwrap).collect::<Vec<_>>()),
        ["ConnectionLost"]
    );
    let told = up_to(&heard, "ConnectionLost");
    assert_eq!(names(&told)[..3], LET_IN[..3]);
    assert_eq!(told.len(), 4);
    listener.shutdown().unwrap();
}

#[test]
fn disabled_streams_emit_no_stream_events() {
    let without: [fn(&mut ManagerConfig); 2] = [
        |config| config.connection.session.multistreams = false,
        |config| config.connection.session.stream_policies = vec![StreamPolicy::Default],
    ];
    for change in without {
        let (listener, heard, address) = running(listening());
        let mut config = config();
        change(&mut config);
        let (dialer, events) = dialing(config, address);
        dialer.wait_for_peers(1, LIMIT).unwrap();
        assert_one_stream(&dialer);
        listener.wait_for_peers(1, LIMIT).unwrap();
        dialer.shutdown().unwrap();
        let told: Vec<_> = events.iter().map(Result::unwrap).collect();
        assert_eq!(names(&told)[..2], LET_IN[1..3]);
        assert_eq!(names(&told)[2..], ["ConnectionLost"]);
        assert_eq!(names(&up_to(&heard, "ConnectionLost"))[..3], LET_IN[..3]);
    }
}

/// Asserts that all traffic uses one stream.
#[track_caller]
fn assert_one_stream(manager: &Manager) {
    manager.ping(PeerSelector::Best, LIMIT).unwrap();
    let connections = manager.connections();
    assert_eq!(connections.len(), 1);
    let streams = connections[0].streams.iter().map(|one| one.stream);
    assert_eq!(streams.collect::<Vec<_>>(), [StreamType::General]);
}

#[test]
fn reconnected_peer_gets_second_stream_again() {
    let (listener, heard, address) = running(listening());
    let (_dialer, events) = dialing(config(), address);
    let mut before: Option<(PeerId, PeerId)> = None;
    for round in 0..3 {
        let told = up_to(&events, "StreamOpened");
        let (ends, opened) = told.split_at(usize::from(round > 0));
        assert_eq!(names(opened), LET_IN[1..], "{round}");
        let peer_id = only_peer(&told);
        assert!(ends.iter().all(|end| end.name() == "ConnectionRestarting"));
        // The listener sees another peer each time, and the end of the last one may follow the
        // start of the next.
        let (mut old, mut new) = (Vec::new(), Vec::new());
        wait_for(&heard, |event| {
            let (of, _) = event.peer().unwrap();
            let is_old = before.is_some_and(|(_, before)| before == of);
            let of_which = if is_old { &mut old } else { &mut new };
            of_which.push(event.clone());
            (old.len() + new.len() == ends.len() + LET_IN.len()).then_some(())
        });
        assert_eq!(names(&old), &["ConnectionLost"][..ends.len()]);
        assert_eq!(names(&new), LET_IN, "{round}");
        let heard_of = only_peer(&new);
        assert!(before.is_none_or(|(before, _)| before == peer_id));
        before = Some((peer_id, heard_of));
        listener.disconnect(heard_of).unwrap();
    }
}
