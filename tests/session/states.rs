//! The states of a connection, and calls that are invalid in them.

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectReason, InvalidTransition, NonceRegistry, Session,
    SessionConfig,
};
use bsv_p2p::wire::Message;

use crate::side::{DIRECTIONS, Fate, SECOND, Side, UNIX_TIME, peer_address, peer_version};

fn fresh(direction: Direction) -> Side {
    let registry = NonceRegistry::default();
    Side::new(direction, SessionConfig::default(), registry, 1000)
}

fn assert_invalid(
    result: Result<(), InvalidTransition>,
    from: ConnectionState,
    to: ConnectionState,
) {
    let error = result.unwrap_err();
    assert_eq!((error.from, error.to), (from, to));
}

#[test]
fn outbound_connection_passes_states_in_order() {
    let mut side = fresh(Direction::Outbound);
    assert_eq!(side.session.state(), ConnectionState::Disconnected);
    assert_eq!(side.session.next_deadline(), None);
    side.session.on_connect_started().unwrap();
    assert_eq!(side.session.state(), ConnectionState::Connecting);
    assert_eq!(side.session.next_deadline(), None);
    let now = side.now;
    side.session
        .on_connected(peer_address(), UNIX_TIME, now)
        .unwrap();
    assert_eq!(side.session.state(), ConnectionState::AwaitingHandshake);
    assert_eq!(side.session.next_deadline(), Some(now + 30 * SECOND));
    side.receive(peer_version());
    assert_eq!(side.session.state(), ConnectionState::AwaitingHandshake);
    side.receive(Message::Verack);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn dialing_twice_is_an_error_and_changes_nothing() {
    let mut side = fresh(Direction::Outbound);
    side.session.on_connect_started().unwrap();
    assert_invalid(
        side.with(|session, _| session.on_connect_started()),
        ConnectionState::Connecting,
        ConnectionState::Connecting,
    );
    assert_eq!(side.session.state(), ConnectionState::Connecting);
    assert_eq!(side.take(), []);
}

#[test]
fn connecting_twice_is_an_error_and_changes_nothing() {
    for direction in DIRECTIONS {
        let mut awaiting = Side::connected(direction);
        awaiting.take();
        let complete = Side::complete(direction);
        for mut side in [awaiting, complete] {
            let from = side.session.state();
            let deadline = side.session.next_deadline();
            side.now += SECOND;
            let again =
                |session: &mut Session, now| session.on_connected(peer_address(), UNIX_TIME, now);
            let to = ConnectionState::AwaitingHandshake;
            assert_invalid(side.with(again), from, to);
            let to = ConnectionState::Connecting;
            let dialed = side.with(|session, _| session.on_connect_started());
            assert_invalid(dialed, from, to);
            assert_eq!(side.session.state(), from);
            assert_eq!(side.session.next_deadline(), deadline);
            assert_eq!(side.take(), []);
        }
    }
}

#[test]
fn closed_session_cannot_be_reopened() {
    for (reason, state) in [
        (DisconnectReason::Shutdown, ConnectionState::Disconnected),
        (DisconnectReason::Requested, ConnectionState::Disconnected),
        (DisconnectReason::Duplicate, ConnectionState::Disconnected),
        (DisconnectReason::AtCapacity, ConnectionState::Rejected),
        (DisconnectReason::InternalError, ConnectionState::Failed),
    ] {
        for direction in DIRECTIONS {
            let mut side = Side::connected(direction);
            side.with(|session, _| session.close(reason.clone()));
            side.take();
            assert_eq!(side.session.state(), state, "{reason}");
            assert!(
                side.with(|session, _| session.on_connect_started())
                    .is_err()
            );
            let connected =
                |session: &mut Session, now| session.on_connected(peer_address(), UNIX_TIME, now);
            assert!(side.with(connected).is_err(), "{reason}");
            assert_eq!(side.session.state(), state, "{reason}");
            assert_eq!(side.session.next_deadline(), None);
            assert_eq!(side.take(), []);
        }
    }
}

#[test]
fn failed_dial_is_failure_but_canceled_is_not() {
    for (reason, state) in [
        (DisconnectReason::ConnectRefused, ConnectionState::Failed),
        (DisconnectReason::Shutdown, ConnectionState::Disconnected),
    ] {
        let mut side = fresh(Direction::Outbound);
        side.session.on_connect_started().unwrap();
        side.with(|session, _| session.close(reason.clone()));
        assert_eq!(side.session.state(), state);
        assert_eq!(side.closed(), Some(&reason));

        let mut side = fresh(Direction::Outbound);
        side.with(|session, _| session.close(reason));
        assert_eq!(side.session.state(), state, "before it began");
    }
}

#[test]
fn session_without_connection_ignores_input() {
    for direction in DIRECTIONS {
        let mut side = fresh(direction);
        assert_eq!(side.receive(peer_version()), Fate::Consumed);
        assert_eq!(side.receive(Message::Verack), Fate::Consumed);
        side.receive_bytes("version", &[1]);
        side.receive_bytes("createstrm", &[1]);
        side.wait(100 * SECOND);
        assert_eq!(side.take(), []);
        side.connect();
        side.shake_hands(peer_version());
        assert_eq!(side.session.state(), ConnectionState::Connected);
    }
}

#[test]
fn invalid_configuration_is_rejected() {
    let with = |change: fn(&mut SessionConfig)| {
        let mut config = SessionConfig::default();
        change(&mut config);
        let nonces = Box::new(|| 1);
        let registry = NonceRegistry::default();
        let now = std::time::Instant::now();
        Session::new(Direction::Inbound, config, registry, nonces, now)
            .err()
            .map(|error| error.field)
    };
    use std::time::Duration;
    assert_eq!(with(|_| ()), None);
    assert_eq!(
        with(|config| config.user_agent = "/sBcH/".into()),
        Some("user_agent")
    );
    assert_eq!(
        with(|config| config.ban_threshold = 0),
        Some("ban_threshold")
    );
    // A timeout that overflows the clock.
    assert_eq!(
        with(|config| config.idle_timeout = Duration::MAX),
        Some("idle_timeout")
    );
    assert_eq!(
        with(|config| config.handshake_timeout = Duration::MAX),
        Some("handshake_timeout")
    );
    // A limit that bans peers which rely on our protoconf.
    assert_eq!(
        with(|config| config.limits.ceiling = 2_097_151),
        Some("limits.ceiling")
    );
}

#[test]
fn maximum_timeouts_do_not_overflow() {
    let year = 365 * 24 * 3600 * SECOND;
    let mut side = Side::complete_with(Direction::Outbound, |config| {
        config.handshake_timeout = 100 * year;
        config.ping_interval = 100 * year;
        config.ping_timeout = 100 * year;
        config.idle_timeout = 100 * year;
    });
    side.assert_next_deadline_in(100 * year);
}
