//! Fast, slow and dropped subscribers.

use std::collections::HashSet;
use std::thread;

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{EventBus, PeerConnectionHandle, PeerConnectionOptions};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::DisconnectReason;
use test_support::raw_peer::{ClosedPort, DEADLINE, RawListener, RawPeer, frame, wait_until};

use crate::harness::{
    Actor, config, discarded_frame, discarding_config, message, number_of, numbered,
};

/// The capacity of a receiver's queue.
const QUEUE: usize = 1024;

fn on_bus(bus: &EventBus) -> PeerConnectionOptions {
    PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config())
    }
}

/// Returns a connected actor on a bus, without receivers of its own.
fn connected_on(bus: &EventBus) -> (PeerConnectionHandle, RawPeer) {
    connected_with(bus, config())
}

fn connected_with(bus: &EventBus, config: ConnectionConfig) -> (PeerConnectionHandle, RawPeer) {
    let listener = RawListener::new();
    let setup = PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config)
    };
    let Actor { handle, .. } = Actor::dial_with(listener.address(), setup);
    let mut peer = listener.accept();
    peer.shake_hands();
    (handle, peer)
}

fn burst(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers
        .flat_map(|number| frame(&numbered(number, 4)))
        .collect()
}

#[test]
fn subscription_before_spawn_misses_no_events() {
    let bus = EventBus::new();
    let (control, messages, both) = (
        bus.subscribe_control(),
        bus.subscribe_messages(),
        bus.subscribe(),
    );
    let (handle, mut peer) = connected_on(&bus);
    peer.send_bytes(&burst(0..100));
    peer.close();
    handle.join();
    drop((handle, bus));

    let names: Vec<_> = control.iter().map(|event| event.unwrap().name()).collect();
    let life = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "ConnectionLost",
    ];
    assert_eq!(names, life);
    let numbers: Vec<_> = messages
        .iter()
        .map(|event| number_of(&event.unwrap().message).unwrap())
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    // A receiver of both kinds gets them in the order of their emission.
    let order: Vec<_> = both
        .iter()
        .map(|event| match event.unwrap() {
            Event::Control(event) => event.name().to_owned(),
            Event::Message(event) => number_of(&event.message).unwrap().to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<_> = [life[0].to_owned(), life[1].to_owned()]
        .into_iter()
        .chain((0..100).map(|number: u32| number.to_string()))
        .chain([life[2].to_owned()])
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn message_event_reports_payload_length() {
    let (actor, peer) = Actor::connected(&config());
    peer.send(message(vec![7; 12_345]));
    let event = actor.messages.recv_timeout(DEADLINE).unwrap();
    assert_eq!(event.message.payload_len(), 12_345);
}

#[test]
fn slow_message_receiver_delays_peer_without_loss() {
    let bus = EventBus::new();
    let slow = bus.subscribe_messages();
    let (handle, peer) = connected_on(&bus);
    let messages = 3 * QUEUE as u32;
    thread::scope(|scope| {
        scope.spawn(|| peer.send_bytes(&burst(0..messages)));
        wait_until("the queue is full", || slow.len() >= QUEUE);
        for number in 0..messages {
            let event = slow.recv_timeout(DEADLINE).unwrap();
            assert_eq!(number_of(&event.message), Some(number));
        }
    });
    assert!(slow.is_empty());
    drop(handle);
}

#[test]
fn dropped_message_receiver_blocks_nobody() {
    let bus = EventBus::new();
    let (gone, stuck, reading) = (
        bus.subscribe_messages(),
        bus.subscribe_messages(),
        bus.subscribe_messages(),
    );
    let both = bus.subscribe();
    drop(gone);
    let (_handle, peer) = connected_on(&bus);
    let messages = 3 * QUEUE as u32;
    thread::scope(|scope| {
        scope.spawn(|| peer.send_bytes(&burst(0..messages)));
        scope.spawn(|| {
            for number in 0..messages {
                let event = reading.recv_timeout(DEADLINE).unwrap();
                assert_eq!(number_of(&event.message), Some(number));
            }
        });
        // The connection waits for one of the two receivers, and after its drop for the other.
        wait_until("somebody is full", || {
            stuck.len() >= QUEUE || both.len() >= QUEUE
        });
        drop(stuck);
        wait_until("the other is full", || both.len() >= QUEUE);
        drop(both);
    });
}

#[test]
fn slow_control_receiver_gets_number_of_missed_events() {
    let bus = EventBus::new();
    let (stuck, gone, reading) = (
        bus.subscribe_control(),
        bus.subscribe_control(),
        bus.subscribe_control(),
    );
    let (handle, mut peer) = connected_with(&bus, discarding_config());
    drop(gone);
    let discards = 3000;
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let events = (0..2 + discards).map(|_| reading.recv_timeout(DEADLINE).unwrap());
            let lagged = events.filter(|event| matches!(event, ControlEvent::Lagged { .. }));
            lagged.count()
        });
        for _ in 0..discards / 100 {
            peer.send_bytes(&discarded_frame().repeat(100));
            // The other receiver keeps up.
            peer.ping(1);
            wait_until("the reader keeps up", || reading.is_empty());
        }
        assert_eq!(reader.join().unwrap(), 0, "who reads misses nothing");
    });
    // Two events of the start, then discarded payloads.
    let taken: Vec<_> = stuck.try_iter().map(Result::unwrap).take(QUEUE).collect();
    assert_eq!(taken.len(), QUEUE);
    assert!(!taken.iter().any(|event| event.name() == "Lagged"));
    peer.send_bytes(&discarded_frame());
    peer.close();
    handle.join();
    drop((handle, bus));
    let rest: Vec<_> = stuck.iter().map(Result::unwrap).collect();
    let missed = (2 + discards - QUEUE) as u64;
    assert_eq!(
        rest[0],
        ControlEvent::Lagged {
            subscription: "control 1".into(),
            missed
        }
    );
    assert_eq!(rest[1].name(), "PayloadDiscarded");
    assert_eq!(rest[2].name(), "ConnectionLost");
    assert_eq!(rest.len(), 3);
}

#[test]
fn events_identify_their_connection() {
    let bus = EventBus::new();
    let (control, messages) = (bus.subscribe_control(), bus.subscribe_messages());
    let (one, one_peer) = connected_on(&bus);
    let (other, other_peer) = connected_on(&bus);
    one_peer.send(numbered(1, 4));
    other_peer.send(numbered(2, 4));
    let mut heard = HashSet::new();
    for _ in 0..2 {
        let event = messages.recv_timeout(DEADLINE).unwrap();
        heard.insert((event.peer_id, number_of(&event.message).unwrap()));
    }
    assert_eq!(
        heard,
        HashSet::from([(one.peer_id(), 1), (other.peer_id(), 2)])
    );
    let nobody = ClosedPort::new();
    let third = Actor::dial_with(nobody.address(), on_bus(&bus)).handle;
    third.join();
    let refused = control
        .try_iter()
        .map(Result::unwrap)
        .filter(|event| event.peer() == Some((third.peer_id(), nobody.address())))
        .collect::<Vec<_>>();
    assert!(matches!(
        &refused[..],
        [ControlEvent::ConnectionFailed {
            reason: DisconnectReason::ConnectRefused,
            ..
        }]
    ));
}
