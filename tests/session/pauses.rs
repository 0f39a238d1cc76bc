//! Transfers, pauses and silence: their effects on timeouts.

use bsv_p2p::session::{Direction, DisconnectReason, NonceRegistry, Output, SessionConfig};
use bsv_p2p::wire::{GetData, Inventory, Pong, Txid};

use crate::keepalive::{answered, next_ping, timed_out_ping};
use crate::side::{SECOND, Side, peer_version};

#[test]
fn progressing_transfer_delays_ping_timeout() {
    let mut side = Side::complete(Direction::Outbound);
    let nonce = next_ping(&mut side, 300 * SECOND);
    for _ in 0..10 {
        side.wait(59 * SECOND);
        side.with(|session, now| session.on_partial_frame(now));
    }
    assert_eq!(side.take(), []);
    side.now += 59 * SECOND;
    side.receive(Pong::new(nonce));
    assert_eq!(side.take(), [answered(nonce, 11 * 59 * SECOND)]);

    let mut side = Side::complete(Direction::Outbound);
    next_ping(&mut side, 300 * SECOND);
    side.now += 10 * SECOND;
    side.with(|session, now| session.on_partial_frame(now));
    side.assert_next_deadline_in(60 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn transfer_does_not_delay_next_ping() {
    let mut side = Side::complete(Direction::Outbound);
    side.now += 200 * SECOND;
    side.with(|session, now| session.on_partial_frame(now));
    next_ping(&mut side, 100 * SECOND);
    side.assert_next_deadline_in(60 * SECOND);
}

#[test]
fn pause_shifts_next_ping() {
    let mut side = Side::complete(Direction::Outbound);
    side.now += 100 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 100 * SECOND, now));
    next_ping(&mut side, 300 * SECOND);
}

#[test]
fn pause_shifts_open_ping_and_its_round_trip() {
    let mut side = Side::complete(Direction::Outbound);
    let nonce = next_ping(&mut side, 300 * SECOND);
    let asked = side.with(|session, now| session.ping(now)).nonce.unwrap();
    side.now += 100 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 90 * SECOND, now));
    side.receive(Pong::new(nonce));
    side.receive(Pong::new(asked));
    let taken = 10 * SECOND;
    assert_eq!(
        side.take(),
        [answered(nonce, taken), answered(asked, taken)]
    );

    let mut side = Side::complete(Direction::Outbound);
    next_ping(&mut side, 300 * SECOND);
    side.now += 20 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 15 * SECOND, now));
    side.assert_next_deadline_in(55 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn pause_shifts_timeout_delayed_by_transfer() {
    let mut side = Side::complete(Direction::Outbound);
    next_ping(&mut side, 300 * SECOND);
    side.now += 10 * SECOND;
    side.with(|session, now| session.on_partial_frame(now));
    side.now += 30 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 30 * SECOND, now));
    side.assert_next_deadline_in(60 * SECOND);
    assert_eq!(side.take(), [timed_out_ping(60 * SECOND)]);
}

#[test]
fn pause_shifts_idle_timeout() {
    let mut side = Side::complete_with(Direction::Outbound, |config| {
        config.idle_timeout = 100 * SECOND;
    });
    side.now += 50 * SECOND;
    side.with(|session, now| session.on_reads_paused(now - 30 * SECOND, now));
    side.assert_next_deadline_in(80 * SECOND);
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::IdleTimeout {
            after: 100 * SECOND
        })]
    );
}

#[test]
fn idle_peer_times_out() {
    let mut side = Side::complete_with(Direction::Inbound, |config| {
        config.idle_timeout = 100 * SECOND;
    });
    for _ in 0..2 {
        side.now += 99 * SECOND;
        side.with(|session, now| session.on_received(now));
    }
    side.assert_next_deadline_in(100 * SECOND);
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::IdleTimeout {
            after: 100 * SECOND
        })]
    );
    let consequence = side.closed().unwrap().action();
    assert_eq!(consequence, bsv_p2p::session::DisconnectAction::Backoff);
}

#[test]
fn idle_time_starts_after_handshake() {
    let config = SessionConfig {
        idle_timeout: 20 * SECOND,
        ..SessionConfig::default()
    };
    let registry = NonceRegistry::default();
    let mut side = Side::new(Direction::Inbound, config, registry, 1000);
    side.now += 500 * SECOND;
    side.connect();
    side.wait(25 * SECOND);
    assert_eq!(side.take(), []);
    side.shake_hands(peer_version());
    side.assert_next_deadline_in(20 * SECOND);
}

/// A peer that answers no request of the application, and sends bytes all the time.
#[test]
fn unanswered_getdata_expires_within_an_hour() {
    let mut side = Side::complete(Direction::Outbound);
    let getdata = GetData::from(vec![Inventory::Tx(Txid([7; 32]))]).into();
    side.with(|session, _| session.on_sent(&getdata));
    for minute in 0..=60 {
        side.with(|session, now| session.on_received(now));
        let is_expected = side.session.expected_payloads().transactions;
        assert!(is_expected || minute > 30, "{minute}");
        side.now += 60 * SECOND;
    }
    assert!(!side.session.expected_payloads().transactions);
}
