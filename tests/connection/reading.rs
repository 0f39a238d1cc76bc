//! Reading messages: in pieces, late, with pauses and pings in between.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Message, Ping, Pong};
use bsv_p2p::{Connection, ConnectionConfig};
use crossbeam_channel::{after, bounded};
use test_support::raw_peer::{DEADLINE, RawPeer, frame, wait_until};

use crate::harness::{Actor, SeededRandom, config, connected, message, numbered, reason_of};

/// Returns a stream with small, empty and longer messages, and with pings that are not delivered.
fn stream(messages: usize, longest: usize) -> (Vec<u8>, Vec<Message>) {
    let mut random = SeededRandom::new(messages as u64);
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for number in 0..messages {
        if random.below(5) == 0 {
            bytes.extend(frame(&Ping::new(number as u64 + 1).into()));
        }
        let next = if random.below(8) == 0 {
            message(Vec::new())
        } else {
            numbered(number as u32, random.below(longest))
        };
        bytes.extend(frame(&next));
        expected.push(next);
    }
    (bytes, expected)
}

/// Writes `bytes` in pieces of random length below `longest`.
fn write_in_pieces(peer: &RawPeer, mut bytes: &[u8], longest: usize) {
    let mut random = SeededRandom::new(longest as u64);
    while !bytes.is_empty() {
        let piece = bytes.len().min(1 + random.below(longest));
        peer.send_bytes(&bytes[..piece]);
        bytes = &bytes[piece..];
    }
}

#[test]
fn frames_in_random_pieces_decode_to_same_messages() {
    for (messages, longest_message, longest_piece) in
        [(60, 80, 1), (300, 500, 60), (60, 100_000, 70_000)]
    {
        let (bytes, expected) = stream(messages, longest_message);
        let (mut connection, peer) = connected(&config());
        let (actor, actors_peer) = Actor::connected(&config());
        thread::scope(|scope| {
            scope.spawn(|| write_in_pieces(&peer, &bytes, longest_piece));
            scope.spawn(|| write_in_pieces(&actors_peer, &bytes, longest_piece));
            for expected in &expected {
                assert_eq!(&connection.receive().unwrap(), expected);
                assert_eq!(&actor.next_message(), expected);
            }
        });
    }
}

#[test]
fn receive_timeout_within_message_loses_no_bytes() {
    let (mut connection, peer) = connected(&config());
    let bytes = frame(&numbered(1, 20));
    for at in 0..bytes.len() {
        peer.send_bytes(&bytes[..at]);
        let received = connection.receive_timeout(Duration::from_millis(1));
        assert_eq!(received.unwrap(), None, "{at} bytes");
        peer.send_bytes(&bytes[at..]);
        assert_eq!(connection.receive().unwrap(), numbered(1, 20), "{at} bytes");
    }
    let long = numbered(2, 300_000);
    for piece in frame(&long).chunks(40_000) {
        let received = connection.receive_timeout(Duration::from_millis(1));
        assert_eq!(received.unwrap(), None);
        peer.send_bytes(piece);
    }
    assert_eq!(connection.receive().unwrap(), long);
}

#[test]
fn receive_with_zero_timeout_returns_available_message() {
    let (mut connection, mut peer) = connected(&config());
    assert_eq!(connection.receive_timeout(Duration::ZERO).unwrap(), None);
    peer.send(Ping::new(1));
    peer.send(message("there"));
    wait_until("it is there", || {
        connection.receive_timeout(Duration::ZERO).unwrap() == Some(message("there"))
    });
    assert_eq!(peer.expect("pong"), Message::Pong(Pong::new(1)));
}

#[test]
fn receive_timeout_waits_for_given_time() {
    let (mut connection, _peer) = connected(&config());
    for wait in [5, 120, 400].map(Duration::from_millis) {
        let began = Instant::now();
        assert_eq!(connection.receive_timeout(wait).unwrap(), None);
        let took = began.elapsed();
        assert!(
            took >= wait && took < wait + Duration::from_secs(1),
            "{took:?}"
        );
    }
}

#[test]
fn stalled_payload_closes_with_missing_bytes() {
    let config = ConnectionConfig {
        read_stall_timeout: Duration::from_millis(200),
        ..config()
    };
    for (len, sent) in [(1_000, 300), (500_000, 200_000)] {
        let stalled = DisconnectReason::ReadStall {
            len: len as u64,
            missing: (len - sent) as u64,
        };
        let missing = len - sent;
        let text = format!("message of {len} bytes stalled with {missing} bytes missing");
        assert_eq!(stalled.to_string(), text);
        let bytes = frame(&message(vec![7; len]));
        let in_time = |began: Instant| {
            let took = began.elapsed();
            let (least, most) = (Duration::from_millis(190), Duration::from_secs(2));
            assert!(took >= least && took < most, "{took:?}");
        };

        let (mut connection, peer) = connected(&config);
        peer.send_bytes(&bytes[..24 + sent]);
        let began = Instant::now();
        assert_eq!(reason_of(connection.receive()), stalled);
        in_time(began);

        let (actor, peer) = Actor::connected(&config);
        let began = Instant::now();
        peer.send_bytes(&bytes[..24 + sent]);
        assert_eq!(actor.expect_end().1, stalled);
        in_time(began);
    }
}

#[test]
fn slow_progress_does_not_stall_payload() {
    let config = ConnectionConfig {
        read_stall_timeout: Duration::from_secs(2),
        ..config()
    };
    let long = numbered(1, 5 * 64 * 1024);
    let (actor, peer) = Actor::connected(&config);
    // Longer than the stall timeout in total, but with 64 KiB in each interval.
    for piece in frame(&long).chunks(66_000) {
        let _ = after(Duration::from_millis(450)).recv();
        peer.send_bytes(piece);
    }
    assert_eq!(actor.next_message(), long);
}

#[test]
fn pings_are_answered_before_receive_returns() {
    let (mut connection, mut peer) = connected(&config());
    // Several pings in one segment with a message: the pongs need no later call.
    let words = [
        frame(&Ping::new(1).into()),
        frame(&message("hello")),
        frame(&Ping::new(2).into()),
    ];
    peer.send_bytes(&words.concat());
    assert_eq!(connection.receive().unwrap(), message("hello"));
    assert_eq!(peer.expect("pong"), Message::Pong(Pong::new(1)));

    // Pings are answered in every call: during a wait for a message, for a pong, or for nothing.
    peer.send(Ping::new(3));
    assert_eq!(
        connection
            .receive_timeout(Duration::from_millis(300))
            .unwrap(),
        None
    );
    while peer.expect("pong") != Message::Pong(Pong::new(3)) {}
    peer.send(Ping::new(4));
    thread::scope(|scope| {
        scope.spawn(|| {
            let nonce = peer.expect_ping();
            peer.send(Pong::new(nonce));
        });
        connection.ping(DEADLINE).unwrap();
    });
    // The ping came before the pong: it was answered without another call.
    peer.close_writing();
    assert_eq!(
        reason_of(connection.receive()),
        DisconnectReason::ConnectionClosed
    );
}

#[test]
fn connect_returns_after_complete_handshake() {
    let (_connection, mut peer) = connected(&config());
    // `connected` waits for our verack and our ping without another call. No other message follows.
    drop(_connection);
    assert_eq!(peer.rest(), []);
}

/// The application makes no calls for longer than the timeout.
#[test]
fn unused_connection_survives_ping_timeout() {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(50);
    config.session.ping_timeout = Duration::from_millis(400);
    config.session.idle_timeout = Duration::from_millis(400);
    let (mut connection, mut peer) = connected(&config);
    let (asked, is_asked) = bounded(1);
    let (answer, may_answer) = bounded::<()>(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let nonce = peer.expect_ping();
            asked.send(()).unwrap();
            let _ = may_answer.recv();
            peer.send(Pong::new(nonce));
            while let Some(message) = peer.next() {
                if let Message::Ping(Ping { nonce: Some(nonce) }) = message {
                    peer.send(Pong::new(nonce));
                }
            }
        });
        let nothing_for = |connection: &mut Connection, wait| {
            assert_eq!(connection.receive_timeout(wait).unwrap(), None);
        };
        while is_asked.try_recv().is_err() {
            nothing_for(&mut connection, Duration::from_millis(5));
        }
        // A ping is pending, and the peer sends nothing for much longer than either timeout.
        let _ = after(Duration::from_millis(1000)).recv();
        nothing_for(&mut connection, Duration::from_millis(1));
        drop(answer);
        connection.ping(DEADLINE).unwrap();
        nothing_for(&mut connection, Duration::from_millis(500));
        drop(connection);
    });
}

#[test]
fn unanswered_ping_times_out_despite_frequent_calls() {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(50);
    config.session.ping_timeout = Duration::from_millis(300);
    let (mut connection, _peer) = connected(&config);
    let began = Instant::now();
    let reason = loop {
        if let Err(error) = connection.receive_timeout(Duration::from_millis(1)) {
            break reason_of::<()>(Err(error));
        }
    };
    let after = Duration::from_millis(300);
    assert_eq!(reason, DisconnectReason::PingTimeout { after });
    assert!(began.elapsed() < DEADLINE);
}

#[test]
fn ping_timeout_pauses_during_large_message() {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(10);
    config.session.ping_timeout = Duration::from_secs(2);
    let (actor, peer) = Actor::connected(&config);
    let long = numbered(1, 1_000_000);
    let (done, is_done) = bounded(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            // No pong for longer than the timeout, but steady bytes.
            for piece in frame(&long).chunks(100_000) {
                peer.send_bytes(piece);
                let _ = after(Duration::from_millis(250)).recv();
            }
            done.send(()).unwrap();
        });
        assert_eq!(actor.next_message(), long);
        is_done.recv_timeout(DEADLINE).unwrap();
    });
    // Without progress the missing pong counts.
    let after = Duration::from_secs(2);
    let reason = actor.expect_end().1;
    assert_eq!(reason, DisconnectReason::PingTimeout { after });
}
