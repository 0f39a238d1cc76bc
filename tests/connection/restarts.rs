//! Connections that are reopened.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, PeerConnectionHandle, PeerConnectionOptions, RestartConfig,
    Supervisor,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use test_support::raw_peer::{ClosedPort, DEADLINE, RawListener, wait_until};

use crate::harness::{PROMPT, config, message, numbered, reason_of};

/// A supervised connection, and its events.
struct Supervised {
    handle: PeerConnectionHandle,
    events: EventReceiver<ControlEvent>,
}

impl Supervised {
    fn dial(supervisor: &Supervisor, address: SocketAddr, restarts: &RestartConfig) -> Self {
        Self::dial_with(
            supervisor,
            address,
            restarts,
            PeerConnectionOptions::new(config()),
        )
    }

    fn dial_with(
        supervisor: &Supervisor,
        address: SocketAddr,
        restarts: &RestartConfig,
        setup: PeerConnectionOptions,
    ) -> Self {
        let events = setup.events.subscribe_control();
        let handle = supervisor
            .spawn_outbound(address, setup, restarts.clone())
            .unwrap();
        Self { handle, events }
    }

    #[track_caller]
    fn next(&self) -> ControlEvent {
        let event = self.events.recv_timeout(DEADLINE).expect("an event");
        assert_eq!(event.peer().map(|(id, _)| id), Some(self.handle.peer_id()));
        event
    }

    #[track_caller]
    fn expect(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.next().name(), *name);
        }
    }

    #[track_caller]
    fn expect_restart(&self) -> (DisconnectReason, Duration) {
        match self.next() {
            ControlEvent::ConnectionRestarting { reason, after, .. } => (reason, after),
            other => panic!("it should be opened again: {other}"),
        }
    }

    #[track_caller]
    fn expect_failure(&self) -> DisconnectReason {
        match self.next() {
            ControlEvent::ConnectionFailed { reason, .. } => reason,
            other => panic!("it should be over: {other}"),
        }
    }
}

/// Pauses of 20 ms at most.
fn hasty() -> RestartConfig {
    RestartConfig {
        backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(20),
        ..RestartConfig::default()
    }
}

/// Pauses of an hour.
fn patient() -> RestartConfig {
    RestartConfig {
        backoff: Duration::from_secs(3600),
        max_backoff: Duration::from_secs(3600),
        ..RestartConfig::default()
    }
}

const UP: [&str; 2] = ["ConnectionEstablished", "HandshakeComplete"];

#[test]
fn lost_connection_restarts_immediately_with_same_identity() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let peer = Supervised::dial(&supervisor, listener.address(), &patient());
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    for restarts in 1..=3 {
        raw.close();
        let (reason, after) = peer.expect_restart();
        assert_eq!(reason, DisconnectReason::ConnectionClosed);
        assert_eq!(after, Duration::ZERO);
        raw = listener.accept();
        raw.shake_hands();
        peer.expect(&UP);
        let statistics = peer.handle.statistics();
        assert_eq!(statistics.restarts, restarts);
        assert_eq!(
            statistics.last_error,
            Some(DisconnectReason::ConnectionClosed)
        );
        assert!(statistics.connected_since.is_some());
        peer.handle.try_send(message("still here")).unwrap();
        raw.expect("test");
    }
    raw.close();
    let (_, after) = peer.expect_restart();
    assert!(after > Duration::ZERO, "the window has three restarts");
}

#[test]
fn unreachable_peer_is_retried_up_to_maximum() {
    let supervisor = Supervisor::start().unwrap();
    let nobody = ClosedPort::new();
    let restarts = RestartConfig {
        max_delayed_restarts: Some(2),
        ..hasty()
    };
    let peer = Supervised::dial(&supervisor, nobody.address(), &restarts);
    for _ in 0..2 {
        let (reason, after) = peer.expect_restart();
        assert_eq!(reason, DisconnectReason::ConnectRefused);
        assert!((15..=20).contains(&after.as_millis()), "{after:?}");
    }
    assert_eq!(peer.expect_failure(), DisconnectReason::ConnectRefused);
    peer.handle.join();
    assert_eq!(peer.handle.state(), ConnectionState::Failed);
    assert!(peer.events.is_empty());
}

#[test]
fn returning_peer_is_reconnected() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let restarts = RestartConfig {
        max_immediate_restarts: 0,
        max_delayed_restarts: None,
        ..hasty()
    };
    let peer = Supervised::dial(&supervisor, listener.address(), &restarts);
    for _ in 0..5 {
        let mut raw = listener.accept();
        raw.shake_hands();
        peer.expect(&UP);
        raw.reset();
        let (reason, after) = peer.expect_restart();
        assert_eq!(reason, DisconnectReason::ConnectionReset);
        assert!(after > Duration::ZERO);
    }
}

#[test]
fn between_two_connections_sends_end_with_the_reason() {
    let supervisor = Supervisor::start().unwrap();
    let nobody = ClosedPort::new();
    let peer = Supervised::dial(&supervisor, nobody.address(), &patient());
    peer.expect_restart();
    let refused = peer.handle.send(message("x"), DEADLINE);
    assert_eq!(reason_of(refused), DisconnectReason::ConnectRefused);
    assert_eq!(peer.handle.state(), ConnectionState::Failed);
}

#[test]
fn disconnect_cancels_pending_restart() {
    let supervisor = Supervisor::start().unwrap();
    let nobody = ClosedPort::new();
    let peer = Supervised::dial(&supervisor, nobody.address(), &patient());
    peer.expect_restart();
    let began = Instant::now();
    peer.handle.disconnect();
    peer.handle.join();
    assert!(began.elapsed() < PROMPT);
    assert_eq!(peer.expect_failure(), DisconnectReason::Requested);
    peer.handle.disconnect();
    assert!(peer.events.is_empty());
}

#[test]
fn disconnect_by_application_prevents_restart() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let peer = Supervised::dial(&supervisor, listener.address(), &hasty());
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    peer.handle.disconnect();
    peer.handle.join();
    peer.expect(&["ConnectionLost"]);
    assert!(peer.events.is_empty());
}

#[test]
fn disconnect_during_restart_emits_one_final_event() {
    let supervisor = Supervisor::start().unwrap();
    let nobody = ClosedPort::new();
    let restarts = RestartConfig {
        backoff: Duration::from_micros(100),
        max_backoff: Duration::from_micros(100),
        max_delayed_restarts: None,
        ..RestartConfig::default()
    };
    for round in 0..200 {
        let peer = Supervised::dial(&supervisor, nobody.address(), &restarts);
        for _ in 0..round % 4 {
            peer.expect_restart();
        }
        peer.handle.disconnect();
        peer.handle.join();
        let ends = peer
            .events
            .try_iter()
            .map(Result::unwrap)
            .filter(|event| event.name() == "ConnectionFailed")
            .count();
        assert_eq!(ends, 1, "round {round}");
    }
}

#[test]
fn connection_without_supervisor_lives_but_never_restarts() {
    let supervisor = Supervisor::start().unwrap();
    let (listener, nobody) = (RawListener::new(), ClosedPort::new());
    let standing = Supervised::dial(&supervisor, listener.address(), &hasty());
    let mut raw = listener.accept();
    raw.shake_hands();
    standing.expect(&UP);
    let waiting = Supervised::dial(&supervisor, nobody.address(), &patient());
    waiting.expect_restart();
    drop(supervisor);
    assert_eq!(waiting.expect_failure(), DisconnectReason::Shutdown);
    waiting.handle.join();
    standing.handle.try_send(message("alive")).unwrap();
    raw.expect("test");
    raw.close();
    standing.expect_restart();
    assert_eq!(standing.expect_failure(), DisconnectReason::Shutdown);
    standing.handle.join();
}

#[test]
fn restart_waits_for_free_slot() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let slots = ConnectionSlots::new(1);
    let setup = PeerConnectionOptions {
        slot: slots.reserve(),
        ..PeerConnectionOptions::new(config())
    };
    // Long enough for another connection to reserve the slot.
    let restarts = RestartConfig {
        max_immediate_restarts: 0,
        backoff: Duration::from_millis(800),
        max_backoff: Duration::from_millis(800),
        ..hasty()
    };
    let peer = Supervised::dial_with(&supervisor, listener.address(), &restarts, setup);
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    assert_eq!(slots.count(), 1);
    raw.close();
    // The slot is free before the event, and reserved by another connection before the restart.
    let mut other = None;
    wait_until("the slot is free", || {
        other = slots.reserve();
        other.is_some()
    });
    peer.expect_restart();
    let early = peer.events.recv_timeout(Duration::from_millis(1200));
    assert!(early.is_err(), "there is no slot: {early:?}");
    assert_eq!(slots.count(), 1);
    drop(other);
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    assert_eq!(slots.count(), 1);
}

#[test]
fn invalid_restart_configuration_is_rejected_with_field() {
    let supervisor = Supervisor::start().unwrap();
    let wrong = RestartConfig {
        backoff: Duration::ZERO,
        ..RestartConfig::default()
    };
    let setup = PeerConnectionOptions::new(config());
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let refused = supervisor.spawn_outbound(address, setup, wrong);
    assert!(matches!(refused, Err(Error::Config(error)) if error.field == "backoff"));
}

#[test]
fn configuration_updated_between_runs_applies_to_next() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let restarts = RestartConfig {
        max_immediate_restarts: 0,
        backoff: Duration::from_millis(500),
        max_backoff: Duration::from_millis(500),
        ..RestartConfig::default()
    };
    let setup = PeerConnectionOptions::new(config());
    let messages = setup.events.subscribe_messages();
    let peer = Supervised::dial_with(&supervisor, listener.address(), &restarts, setup);
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    raw.close();
    peer.expect_restart();
    let mut narrow = config();
    narrow.session.limits.buffered = 100_000;
    narrow.max_payload_memory = 100_000;
    narrow.payload_memory_timeout = Duration::from_millis(50);
    peer.handle.update_config(narrow).unwrap();
    let mut raw = listener.accept();
    raw.shake_hands();
    peer.expect(&UP);
    raw.send(numbered(1, 90_000));
    let _held = messages.recv_timeout(DEADLINE).unwrap();
    raw.send(numbered(2, 90_000));
    let (reason, _) = peer.expect_restart();
    assert_eq!(reason, DisconnectReason::PayloadMemoryExhausted);
}
