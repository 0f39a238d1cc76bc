//! Pings, and the timeouts of handshakes and pongs.

use std::time::Duration;

use bsv_p2p::session::{
    AwaitedMessage, Direction, DisconnectReason, Misbehavior, NonceRegistry, Output, SessionConfig,
    SessionEvent,
};
use bsv_p2p::wire::{Command, DecodeError, Message, Ping, Pong, StreamType, Version};

use crate::pair::{DIALLER, LISTENER, Pair};
use crate::side::{
    DIRECTIONS, Fate, NANOSECOND, SECOND, Side, misbehavior, peer_version, send, send_ping,
    send_reject,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn timed_out_ping(after: Duration) -> Output {
    Output::Close(DisconnectReason::PingTimeout { after })
}

pub(crate) fn answered(nonce: u64, round_trip: Duration) -> Output {
    let stream = StreamType::General;
    Output::Event(SessionEvent::Pong {
        nonce,
        round_trip,
        stream,
    })
}

/// Waits for the ping that is due at the interval, and returns its nonce.
#[track_caller]
pub(crate) fn next_ping(side: &mut Side, after: Duration) -> u64 {
    side.assert_next_deadline_in(after);
    let outputs = side.take();
    let [Output::Send(Message::Ping(Ping { nonce: Some(nonce) }))] = outputs[..] else {
        panic!("not a ping: {outputs:?}");
    };
    nonce
}

#[test]
fn handshake_timeout_starts_at_connection() {
    for direction in DIRECTIONS {
        let config = SessionConfig::default();
        let mut side = Side::new(direction, config, NonceRegistry::default(), 1000);
        side.now += 100 * SECOND;
        side.connect();
        side.take();
        side.wait(10 * SECOND);
        side.receive(Message::Verack);
        side.take();
        side.assert_next_deadline_in(20 * SECOND);
        assert_eq!(
            side.take(),
            [Output::Close(DisconnectReason::HandshakeTimeout {
                after: 30 * SECOND,
                missing: AwaitedMessage::Version,
            })]
        );
    }
}

#[test]
fn nothing_that_moves_prolongs_the_handshake() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.take();
    side.now += 29 * SECOND;
    side.with(|session, now| {
        session.on_received(now);
        session.on_partial_frame(now);
        session.on_reads_paused(now - 5 * SECOND, now);
    });
    side.assert_next_deadline_in(SECOND);
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::HandshakeTimeout {
            after: 30 * SECOND,
            missing: AwaitedMessage::Verack,
        })]
    );
}

#[test]
fn pings_go_out_at_the_interval() {
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        for expected in 1002..1012 {
            let nonce = next_ping(&mut side, 300 * SECOND);
            assert_eq!(nonce, expected);
            side.receive(Pong::new(nonce));
            assert_eq!(side.take(), [answered(nonce, Duration::ZERO)]);
        }
    }
}

#[test]
fn no_ping_is_sent_while_one_is_open() {
    let mut side = Side::complete_with(Direction::Outbound, |config| {
        config.ping_interval = 10 * SECOND;
        config.ping_timeout = 1000 * SECOND;
        config.idle_timeout = HOUR;
    });
    let nonce = next_ping(&mut side, 10 * SECOND);
    for _ in 0..500 {
        side.wait(SECOND);
        side.receive(Message::GetAddr);
        assert_eq!(side.take(), []);
    }
    // The pong arrives after the next interval has passed: the next ping is due.
    side.receive(Pong::new(nonce));
    assert_eq!(side.take(), [answered(nonce, 500 * SECOND)]);
    assert!(side.session.next_deadline().unwrap() <= side.now);
    side.look_at_clock();
    assert_eq!(side.take(), [send_ping(nonce + 1)]);
    side.assert_next_deadline_in(1000 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(1000 * SECOND)]);
}

#[test]
fn unanswered_ping_closes_after_timeout() {
    let mut side = Side::complete(Direction::Inbound);
    next_ping(&mut side, 300 * SECOND);
    side.now += 59 * SECOND;
    side.receive(Message::GetAddr);
    side.assert_next_deadline_in(SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
    let reason = side.closed().unwrap();
    assert_eq!(reason.action(), bsv_p2p::session::DisconnectAction::Backoff);
}

#[test]
fn first_ping_must_be_answered() {
    let mut side = Side::connected(Direction::Outbound);
    side.receive(peer_version());
    side.receive(Message::Verack);
    side.take();
    side.assert_next_deadline_in(60 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn pong_with_other_nonce_is_ignored() {
    let mut side = Side::complete(Direction::Inbound);
    let nonce = next_ping(&mut side, 300 * SECOND);
    for other in [nonce - 1, nonce + 1, u64::MAX] {
        assert_eq!(side.receive(Pong::new(other)), Fate::Consumed);
    }
    assert_eq!(side.take(), []);
    side.assert_next_deadline_in(60 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn pong_without_nonce_ends_open_ping() {
    for payload in [&[][..], &[1, 2, 3], &[0; 8]] {
        let mut side = Side::complete(Direction::Inbound);
        let before = side.session.round_trip();
        let nonce = next_ping(&mut side, 300 * SECOND);
        side.receive_bytes("pong", payload);
        assert_eq!(side.take(), []);
        assert_eq!(side.session.round_trip(), before);
        assert_eq!(next_ping(&mut side, 300 * SECOND), nonce + 1);
    }
}

#[test]
fn unexpected_pong_is_ignored() {
    let mut side = Side::complete(Direction::Inbound);
    for nonce in [0, 1, 1001] {
        assert_eq!(side.receive(Pong::new(nonce)), Fate::Consumed);
    }
    assert_eq!(side.take(), []);
    next_ping(&mut side, 300 * SECOND);
}

/// Bytes after the nonce are ignored.
#[test]
fn pong_counts_once_and_is_truncated() {
    let mut side = Side::complete(Direction::Inbound);
    let nonce = next_ping(&mut side, 300 * SECOND);
    side.now += SECOND;
    let long = [&nonce.to_le_bytes()[..], b"more"].concat();
    side.receive_bytes("pong", &long);
    assert_eq!(side.take(), [answered(nonce, SECOND)]);
    side.receive(Pong::new(nonce));
    assert_eq!(side.take(), []);
}

#[test]
fn round_trips_are_measured_and_smoothed() {
    let mut side = Side::connected(Direction::Outbound);
    side.receive(peer_version());
    side.receive(Message::Verack);
    side.take();
    assert_eq!(side.session.round_trip().last, None);
    side.now += 8 * SECOND;
    side.receive(Pong::new(1001));
    side.take();
    let nonce = next_ping(&mut side, 292 * SECOND);
    side.now += 16 * SECOND;
    side.receive(Pong::new(nonce));
    let round_trip = side.session.round_trip();
    assert_eq!(round_trip.last, Some(16 * SECOND));
    assert_eq!(round_trip.min, Some(8 * SECOND));
    assert_eq!(round_trip.smoothed, Some(9 * SECOND));
}

#[test]
fn ping_of_application_changes_no_deadline() {
    let mut side = Side::complete(Direction::Inbound);
    let deadline = side.session.next_deadline();
    let first = side.with(|session, now| session.ping(now)).nonce.unwrap();
    side.now += SECOND;
    let second = side.with(|session, now| session.ping(now)).nonce.unwrap();
    assert_eq!(side.session.next_deadline(), deadline);
    side.now += SECOND;
    side.receive(Pong::new(second));
    side.receive(Pong::new(first));
    assert_eq!(
        side.take(),
        [answered(second, SECOND), answered(first, 2 * SECOND)]
    );
    // An unanswered ping has no effect: its caller has its own timeout.
    side.with(|session, now| session.ping(now));
    let own = next_ping(&mut side, 298 * SECOND);
    side.receive(Pong::new(own));
    side.take();
    next_ping(&mut side, 300 * SECOND);
}

/// They get no pongs.
#[test]
fn old_peers_get_pings_without_nonce() {
    for (version, old) in [(31800, true), (60000, true), (60001, false)] {
        let mut side = Side::connected(Direction::Outbound);
        side.receive(Version {
            version,
            ..peer_version()
        });
        side.take();
        side.receive(Message::Verack);
        let first = if old {
            send(Ping { nonce: None })
        } else {
            send_ping(1001)
        };
        assert_eq!(side.take().pop(), Some(first), "{version}");
        side.receive(Ping::new(9));
        let pong = if old {
            vec![]
        } else {
            vec![send(Pong::new(9))]
        };
        assert_eq!(side.take(), pong);
        if old {
            for payload in [&[][..], &[1, 2, 3]] {
                side.receive_bytes("ping", payload);
                assert_eq!(side.take(), [], "it need not have a nonce");
            }
            // No pong is expected.
            for _ in 0..3 {
                side.assert_next_deadline_in(300 * SECOND);
                assert_eq!(side.take(), [send(Ping { nonce: None })]);
                side.with(|session, now| session.on_received(now));
            }
        }
    }
}

#[test]
fn lower_protocol_version_of_both_is_used() {
    let mut side = Side::connected_with(Direction::Outbound, |config| {
        config.protocol_version = 60000;
    });
    side.receive(peer_version());
    side.take();
    side.receive(Message::Verack);
    assert_eq!(side.take_sent(), [Ping { nonce: None }.into()]);
    side.receive(Ping::new(9));
    assert_eq!(side.take(), []);
}

#[test]
fn ping_is_answered_immediately() {
    let mut side = Side::complete(Direction::Inbound);
    for nonce in [0, 5, u64::MAX] {
        assert_eq!(side.receive(Ping::new(nonce)), Fate::Consumed);
        assert_eq!(side.take(), [send(Pong::new(nonce))]);
    }
    side.receive_bytes("ping", b"12345678 and more");
    let nonce = u64::from_le_bytes(*b"12345678");
    assert_eq!(side.take(), [send(Pong::new(nonce))]);
}

#[test]
fn ping_with_truncated_nonce_scores_zero() {
    let mut side = Side::complete(Direction::Inbound);
    for len in 0..8 {
        side.receive_bytes("ping", &[7; 8][..len]);
        let error = DecodeError::Truncated {
            field: "ping nonce",
            needed: 8,
            left: len as u64,
        };
        let command = Command::new("ping");
        assert_eq!(
            side.take(),
            [
                send_reject("ping", 0x01, "error parsing message"),
                misbehavior(Misbehavior::Malformed { command, error }, 0),
            ]
        );
    }
    assert_eq!(side.closed(), None);
}

#[test]
fn early_looks_at_the_clock_do_nothing() {
    let mut side = Side::complete(Direction::Outbound);
    let mut pings = 0;
    let start = side.now;
    while side.now < start + HOUR {
        let deadline = side.session.next_deadline().unwrap();
        side.now = (side.now + 7 * SECOND).min(deadline - NANOSECOND);
        side.look_at_clock();
        assert_eq!(side.take(), []);
        assert_eq!(side.session.next_deadline(), Some(deadline));
        if side.now + NANOSECOND == deadline {
            side.wait(NANOSECOND);
            let sent = side.take_sent();
            let [Message::Ping(Ping { nonce: Some(nonce) })] = sent[..] else {
                panic!("at a deadline: {sent:?}");
            };
            side.receive(Pong::new(nonce));
            side.take();
            pings += 1;
        }
    }
    assert_eq!(pings, 12);
}

#[test]
fn two_sessions_keep_each_other_alive() {
    let latency = Duration::from_millis(700);
    let mut pair = Pair::new().with_latency(latency);
    pair.run_for(24 * HOUR);
    for side in [DIALLER, LISTENER] {
        assert_eq!(pair.closed[side], None);
        let names = pair.sent_names(side);
        let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
        assert_eq!(count("ping"), 24 * 12);
        assert_eq!(count("pong"), 24 * 12);
        let round_trip = pair.sides[side].session.round_trip();
        assert_eq!(round_trip.smoothed, Some(2 * latency));
    }
}

#[test]
fn silent_link_times_out_on_both_sides() {
    let mut pair = Pair::new();
    pair.run_for(HOUR);
    let start = pair.now();
    pair.set_clock(start);
    loop {
        pair.lose_everything();
        let deadlines = pair.sides.iter();
        let Some(next) = deadlines
            .filter_map(|side| side.session.next_deadline())
            .min()
        else {
            break;
        };
        pair.set_clock(next);
        for side in &mut pair.sides {
            side.look_at_clock();
        }
    }
    assert!(pair.now() <= start + 361 * SECOND);
    for side in &pair.sides {
        let after = 60 * SECOND;
        let reason = DisconnectReason::PingTimeout { after };
        assert_eq!(side.closed(), Some(&reason));
    }
}
