//! Two programs that send each other more than the sockets hold at the same time do not deadlock.

use std::thread;
use std::time::Duration;

use bsv_p2p::wire::Message;
use bsv_p2p::{Connection, ConnectionConfig};
use bytes::Bytes;

use crate::harness::{Actor, SeededRandom, config, message, two_actors, two_connections};

/// The number of messages of each side.
const MESSAGES: usize = 200;
/// The length of each message.
const LEN: usize = 1_000_000;
/// The timeout of a send. Both sides keep reading during it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the messages of one side: all different, sliced from one buffer.
fn messages(seed: u64) -> impl Iterator<Item = Message> {
    let mut random = SeededRandom::new(seed);
    let words = (LEN + MESSAGES) / 8 + 1;
    let source: Vec<u8> = (0..words)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    let source = Bytes::from(source);
    (0..MESSAGES).map(move |at| message(source.slice(at..at + LEN)))
}

#[test]
fn two_actors_exchange_200_mb_at_once() {
    fn send(actor: &Actor, seed: u64) {
        for message in messages(seed) {
            actor.handle.send(&message, PATIENCE).unwrap();
        }
        actor.handle.flush(PATIENCE).unwrap();
    }
    fn receive(actor: &Actor, seed: u64) {
        let first = actor.messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(*first.message, Message::SendHeaders);
        for (at, expected) in messages(seed).enumerate() {
            let event = actor.messages.recv_timeout(PATIENCE).unwrap();
            assert!(*event.message == expected, "message {at}");
        }
    }
    let (one, other) = two_actors(&config());
    thread::scope(|scope| {
        scope.spawn(|| send(&one, 1));
        scope.spawn(|| send(&other, 2));
        scope.spawn(|| receive(&one, 2));
        scope.spawn(|| receive(&other, 1));
    });
}

#[test]
fn two_connections_exchange_200_mb_at_once() {
    let config = ConnectionConfig {
        max_receive_queue_bytes: 256 * 1024 * 1024,
        ..config()
    };
    let exchange = |mut connection: Connection, own: u64, other: u64| {
        for message in messages(own) {
            connection.send(&message).unwrap();
        }
        assert_eq!(connection.receive().unwrap(), Message::SendHeaders);
        for (at, expected) in messages(other).enumerate() {
            let received = connection.receive().unwrap();
            assert!(received == expected, "message {at}");
        }
        assert_eq!(connection.dropped_messages(), 0);
        connection
    };
    let (one, other) = two_connections(&config);
    thread::scope(|scope| {
        let one = scope.spawn(|| exchange(one, 1, 2));
        let other = scope.spawn(|| exchange(other, 2, 1));
        // Both stay open until both are done.
        drop((one.join().unwrap(), other.join().unwrap()));
    });
}

#[test]
fn messages_above_buffer_are_dropped_and_counted() {
    let exchange = |mut connection: Connection, own: u64, other: u64| {
        for message in messages(own) {
            connection.send(&message).unwrap();
        }
        let mut received = 0;
        let mut expected = messages(other);
        while received + connection.dropped_messages() < MESSAGES as u64 {
            let message = connection.receive().unwrap();
            assert!(
                expected.any(|expected| message == expected),
                "message {received} is one of the peer's, behind those before"
            );
            received += 1;
        }
        assert!(received > 0);
        (connection, received)
    };
    let (mut one, mut other) = two_connections(&config());
    for connection in [&mut one, &mut other] {
        assert_eq!(connection.receive().unwrap(), Message::SendHeaders);
    }
    thread::scope(|scope| {
        let one = scope.spawn(|| exchange(one, 1, 2));
        let other = scope.spawn(|| exchange(other, 2, 1));
        let ((one, one_received), (other, other_received)) =
            (one.join().unwrap(), other.join().unwrap());
        assert_eq!(one_received + one.dropped_messages(), MESSAGES as u64);
        assert_eq!(other_received + other.dropped_messages(), MESSAGES as u64);
    });
}
