//! The end of a `Connection`: its iterator, and orderly closes.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Message, Ping};

use crate::harness::{Actor, PROMPT, connected, message, numbered, reason_of};
use test_support::raw_peer::{DEADLINE, wait_until};

/// A message is unread on the closing side, so that dropping the connection would reset it.
#[test]
fn close_lets_peer_read_everything() {
    let (mut connection, mut peer) = connected(&crate::harness::config());
    peer.send(message("unread"));
    for number in 0..20 {
        connection.send(numbered(number, 50_000)).unwrap();
    }
    thread::scope(|scope| {
        let closed = scope.spawn(|| {
            let began = Instant::now();
            connection.close();
            began.elapsed()
        });
        for number in 0..20 {
            assert_eq!(peer.expect("test"), numbered(number, 50_000));
        }
        // The end is orderly, not a reset.
        assert_eq!(peer.tcp().read(&mut [0]).unwrap(), 0);
        peer.close();
        let took = closed.join().unwrap();
        assert!(took < PROMPT, "took {took:?}");
    });
}

#[test]
fn close_waits_a_second_for_the_peer() {
    let (connection, peer) = connected(&crate::harness::config());
    let began = Instant::now();
    connection.close();
    let took = began.elapsed();
    let limit = Duration::from_secs(1);
    assert!(took >= limit && took < limit + PROMPT, "took {took:?}");
    drop(peer);
}

#[test]
fn messages_end_with_reason_of_close() {
    let (mut connection, mut peer) = connected(&crate::harness::config());
    for number in 0..3 {
        peer.send(numbered(number, 4));
    }
    peer.close();
    let mut messages = connection.messages();
    for number in 0..3 {
        assert_eq!(messages.next(), Some(Ok(numbered(number, 4))));
    }
    let last = messages.next().unwrap();
    assert_eq!(reason_of(last), DisconnectReason::ConnectionClosed);
    assert_eq!(messages.next(), None);

    let items: Vec<Result<Message, Error>> = (&mut connection).into_iter().collect();
    assert!(matches!(items[..], [Err(Error::Disconnected { .. })]));
}

#[test]
fn send_accepts_messages_by_value_or_reference() {
    let (mut connection, mut peer) = connected(&crate::harness::config());
    let (actor, mut other) = Actor::connected(&crate::harness::config());
    let message = numbered(1, 8);
    connection.send(Ping::new(7)).unwrap();
    connection.send(&message).unwrap();
    connection.send(message.clone()).unwrap();
    connection.send_unchecked(&message).unwrap();
    actor.handle.send(Ping::new(7), DEADLINE).unwrap();
    actor.handle.send(&message, DEADLINE).unwrap();
    actor.handle.try_send(message.clone()).unwrap();
    actor.handle.send_unchecked(&message, DEADLINE).unwrap();
    for peer in [&mut peer, &mut other] {
        assert_eq!(peer.expect_ping(), 7);
        for _ in 0..3 {
            assert_eq!(peer.expect("test"), message);
        }
    }
    wait_until("everything is written", || {
        actor.handle.send_queue().messages == 0
    });
}
