//! Subscribers: those that keep up, those that do not, and those that go away.

use std::collections::HashSet;
use std::thread;

use bsv_p2p::connection::{EventBus, PeerConnectionOptions};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::DisconnectReason;

use crate::harness::{Actor, config, message, number_of, numbered};
use crate::raw_peer::{ClosedPort, DEADLINE, RawListener, RawPeer, frame, wait_until};

/// How many events the queue of a receiver holds.
const QUEUE: usize = 1024;

fn on_bus(bus: &EventBus) -> PeerConnectionOptions {
    PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config())
    }
}

/// A connected actor on a bus, without receivers of its own.
fn connected_on(bus: &EventBus) -> (bsv_p2p::connection::PeerConnectionHandle, RawPeer) {
    let listener = RawListener::new();
    let Actor { handle, .. } = Actor::dial_with(listener.address(), on_bus(bus));
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
fn a_subscription_made_before_the_spawn_misses_nothing() {
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

    let names: Vec<_> = control.iter().map(|event| event.name()).collect();
    let life = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "ConnectionLost",
    ];
    assert_eq!(names, life);
    let numbers: Vec<_> = messages
        .iter()
        .map(|event| number_of(&event.message).unwrap())
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    // Who hears both hears them in the order in which they happened.
    let order: Vec<_> = both
        .iter()
        .map(|event| match event {
            Event::Control(event) => event.name().to_owned(),
            Event::Message(event) => number_of(&event.message).unwrap().to_string(),
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
fn a_message_says_how_long_its_payload_was() {
    let (actor, peer) = Actor::connected(&config());
    peer.send(message(vec![7; 12_345]));
    let event = actor.messages.recv_timeout(DEADLINE).unwrap();
    assert_eq!(event.message.payload_len(), 12_345);
}

#[test]
fn a_receiver_of_messages_that_is_slow_makes_the_peer_wait_and_misses_nothing() {
    let bus = EventBus::new();
    let slow = bus.subscribe_messages();
    let (handle, peer) = connected_on(&bus);
    let messages = 3 * QUEUE as u32;
    thread::scope(|scope| {
        scope.spawn(|| peer.send_bytes(&burst(0..messages)));
        wait_until("the queue is full", || slow.is_full());
        for number in 0..messages {
            let event = slow.recv_timeout(DEADLINE).unwrap();
            assert_eq!(number_of(&event.message), Some(number));
        }
    });
    assert!(slow.is_empty());
    drop(handle);
}

#[test]
fn a_receiver_of_messages_that_goes_away_holds_nobody_up() {
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
        // The connection waits for one of the two. When it has gone, it waits for the other.
        wait_until("somebody is full", || stuck.is_full() || both.is_full());
        drop(stuck);
        wait_until("the other is full", || both.is_full());
        drop(both);
    });
}

/// A frame whose payload cannot be read: it scores nothing, and is told as one event.
fn malformed() -> Vec<u8> {
    let mut bytes = frame(&message(vec![1]));
    bytes[4..16].copy_from_slice(b"feefilter\0\0\0");
    bytes
}

#[test]
fn a_control_receiver_that_does_not_read_is_told_how_much_it_missed() {
    let bus = EventBus::new();
    let (stuck, gone, reading) = (
        bus.subscribe_control(),
        bus.subscribe_control(),
        bus.subscribe_control(),
    );
    let (handle, mut peer) = connected_on(&bus);
    drop(gone);
    let misbehaviors = 3000;
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let events = (0..2 + misbehaviors).map(|_| reading.recv_timeout(DEADLINE).unwrap());
            let lagged = events.filter(|event| matches!(event, ControlEvent::Lagged { .. }));
            lagged.count()
        });
        for _ in 0..misbehaviors / 100 {
            peer.send_bytes(&malformed().repeat(100));
            // The rejects have to be read, and the receiver that reads keeps up.
            peer.ping(1);
            wait_until("the reader keeps up", || reading.is_empty());
        }
        assert_eq!(reader.join().unwrap(), 0, "who reads misses nothing");
    });
    // Two events of the beginning, then misbehaviour.
    let taken: Vec<_> = stuck.try_iter().take(QUEUE).collect();
    assert_eq!(taken.len(), QUEUE);
    assert!(!taken.iter().any(|event| event.name() == "Lagged"));
    peer.send_bytes(&malformed());
    peer.close();
    handle.join();
    drop((handle, bus));
    let rest: Vec<_> = stuck.iter().collect();
    let missed = (2 + misbehaviors - QUEUE) as u64;
    assert_eq!(
        rest[0],
        ControlEvent::Lagged {
            subscription: "control 1".into(),
            missed
        }
    );
    assert_eq!(rest[1].name(), "PeerMisbehavior");
    assert_eq!(rest[2].name(), "ConnectionLost");
    assert_eq!(rest.len(), 3);
}

#[test]
fn connections_on_one_bus_are_told_apart() {
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
