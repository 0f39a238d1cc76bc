//! Handshakes that fail without an invalid message: self-connections, missing capacity, timeouts,
//! closed transports.

use std::io::ErrorKind;

use bsv_p2p::session::{
    AwaitedMessage, ConnectionState, Direction, DisconnectAction, DisconnectReason, Misbehavior,
    NonceRegistry, Output, SessionConfig, TransportClose,
};
use bsv_p2p::wire::{Message, Reject, RejectCode};

use crate::pair::{DIALLER, LISTENER, Pair};
use crate::side::{SECOND, Side, misbehavior, peer_version, send_reject, shortest_version};
use crate::violations::assert_ended;

#[test]
fn self_connection_is_detected_on_both_sides() {
    let registry = NonceRegistry::default();
    let configs = [SessionConfig::default(), SessionConfig::default()];
    let mut pair = Pair::with(configs, [registry.clone(), registry.clone()]);
    pair.deliver(LISTENER);
    let reason = Some(DisconnectReason::SelfConnection);
    assert_eq!(pair.closed[LISTENER], reason);
    assert_eq!(pair.sent_names(LISTENER), [""; 0], "it closes silently");
    assert_eq!(pair.closed[DIALLER], None);
    pair.settle();
    assert_eq!(pair.closed[DIALLER], reason, "what the cut means");
    for side in &pair.sides {
        assert_ended(side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
    assert!(registry.is_empty());
}

#[test]
fn echoed_version_is_self_connection() {
    let mut side = Side::connected(Direction::Outbound);
    let [Message::Version(own)] = &side.take_sent()[..] else {
        panic!("an outbound session begins with a version");
    };
    side.receive(own.clone());
    let reason = DisconnectReason::SelfConnection;
    assert_eq!(side.take(), [Output::Close(reason)]);
    assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
}

/// Two dialing sockets meet, for example by a simultaneous open.
#[test]
fn outbound_version_with_own_nonce_is_self_connection() {
    let registry = NonceRegistry::default();
    let mut sides = [1000, 2000].map(|first_nonce| {
        let config = SessionConfig::default();
        let registry = registry.clone();
        let mut side = Side::new(Direction::Outbound, config, registry, first_nonce);
        side.connect();
        side
    });
    let versions = sides.each_mut().map(|side| side.take_sent().remove(0));
    let [first, second] = &mut sides;
    first.receive(versions[1].clone());
    assert_eq!(first.closed(), Some(&DisconnectReason::SelfConnection));
    let end = second.transport_ends(TransportClose::ConnectionClosed);
    assert_eq!(end, DisconnectReason::SelfConnection);
    assert!(registry.is_empty());
}

#[test]
fn reset_of_self_connection_keeps_its_reason() {
    let registry = NonceRegistry::default();
    let configs = [SessionConfig::default(), SessionConfig::default()];
    let mut pair = Pair::with(configs, [registry.clone(), registry]);
    pair.deliver(LISTENER);
    let end = TransportClose::Failed(ErrorKind::ConnectionReset);
    assert_eq!(
        pair.sides[DIALLER].transport_ends(end),
        DisconnectReason::SelfConnection
    );
}

#[test]
fn nonce_of_other_registry_is_accepted() {
    // Neither side has the other's registry.
    let mut dialer = Side::connected(Direction::Outbound);
    let (config, registry) = (SessionConfig::default(), NonceRegistry::default());
    let mut listener = Side::new(Direction::Inbound, config, registry, 2000);
    listener.connect();
    for message in dialer.take_sent() {
        listener.receive(message);
    }
    for message in listener.take_sent() {
        dialer.receive(message);
    }
    assert_eq!(listener.closed(), None);
    assert_eq!(dialer.session.state(), ConnectionState::Connected);
}

#[test]
fn version_without_nonce_is_no_self_connection() {
    // The node interprets a missing nonce as 1. Our nonce may be 1 like any other number.
    let registry = NonceRegistry::default();
    let own = registry.register(1);
    let mut side = Side::new(Direction::Inbound, SessionConfig::default(), registry, 1000);
    side.connect();
    side.receive(shortest_version());
    assert_eq!(side.closed(), None);
    assert!(!own.is_self_connection());
}

#[test]
fn capacity_reject_in_handshake_means_peer_full() {
    let full = Reject::new("version", RejectCode::TOO_BUSY, "no room");
    for version_first in [false, true] {
        let mut side = Side::connected(Direction::Outbound);
        if version_first {
            side.receive(peer_version());
        }
        side.take();
        side.receive(full.clone());
        assert_eq!(
            side.take(),
            [Output::Close(DisconnectReason::PeerAtCapacity(Box::new(
                full.clone()
            )))]
        );
        assert_ended(&side, DisconnectAction::Backoff, ConnectionState::Rejected);
    }
}

#[test]
fn capacity_reject_after_handshake_means_peer_full() {
    // A listener without capacity completes the handshake first, so that its reject is understood.
    let full = Reject::new("version", RejectCode::TOO_BUSY, "no room");
    let mut side = Side::complete(Direction::Outbound);
    side.receive(full.clone());
    assert_eq!(side.take_delivered(), []);
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::PeerAtCapacity(Box::new(
            full
        )))]
    );
    assert_eq!(side.closed().unwrap().action(), DisconnectAction::Backoff);
}

#[test]
fn busy_reject_of_other_message_keeps_connection() {
    let busy = Reject::new("getdata", RejectCode::TOO_BUSY, "later");
    let mut side = Side::connected(Direction::Outbound);
    side.receive(busy.clone());
    side.receive(peer_version());
    side.receive(Message::Verack);
    side.receive(busy);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn reject_of_version_explains_following_close() {
    let obsolete = Reject::new("version", RejectCode::OBSOLETE, "too old");
    let other = Reject::new("tx", RejectCode::OBSOLETE, "something else");
    for end in [
        TransportClose::ConnectionClosed,
        TransportClose::Failed(ErrorKind::ConnectionReset),
        TransportClose::Failed(ErrorKind::BrokenPipe),
    ] {
        let mut side = Side::connected(Direction::Outbound);
        side.take();
        side.receive(obsolete.clone());
        side.receive(other.clone());
        assert_eq!(side.take(), [], "the peer's move");
        let reason = DisconnectReason::RejectedByPeer(Box::new(obsolete.clone()));
        assert_eq!(side.transport_ends(end), reason);
        assert_eq!(side.take(), [Output::Close(reason)]);
        assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
}

#[test]
fn close_in_handshake_names_missing_message() {
    let closed = |messages: &[Message], end| {
        let mut side = Side::connected(Direction::Outbound);
        for message in messages {
            side.receive(message.clone());
        }
        let reason = side.transport_ends(end);
        assert_ended(&side, DisconnectAction::Backoff, ConnectionState::Failed);
        assert!(reason.is_network_failure());
        reason
    };
    let version = Message::from(peer_version());
    for end in [
        TransportClose::ConnectionClosed,
        TransportClose::Failed(ErrorKind::ConnectionReset),
        TransportClose::Failed(ErrorKind::ConnectionAborted),
        TransportClose::Failed(ErrorKind::BrokenPipe),
    ] {
        let no_version = DisconnectReason::ClosedDuringHandshake {
            missing: AwaitedMessage::Version,
        };
        let no_verack = DisconnectReason::ClosedDuringHandshake {
            missing: AwaitedMessage::Verack,
        };
        assert_eq!(closed(&[], end), no_version);
        assert_eq!(closed(&[Message::Verack], end), no_version);
        assert_eq!(closed(std::slice::from_ref(&version), end), no_verack);
    }
}

#[test]
fn socket_error_in_handshake_backs_off() {
    let mut side = Side::connected(Direction::Outbound);
    let reason = side.transport_ends(TransportClose::Failed(ErrorKind::TimedOut));
    assert_eq!(
        reason,
        DisconnectReason::Unreachable(ErrorKind::TimedOut.into())
    );
    assert_ended(&side, DisconnectAction::Backoff, ConnectionState::Failed);
}

#[test]
fn transport_end_after_handshake_determines_reason() {
    for (end, reason) in [
        (
            TransportClose::ConnectionClosed,
            DisconnectReason::ConnectionClosed,
        ),
        (
            TransportClose::Failed(ErrorKind::ConnectionReset),
            DisconnectReason::ConnectionReset,
        ),
        (
            TransportClose::Failed(ErrorKind::TimedOut),
            DisconnectReason::Io(ErrorKind::TimedOut),
        ),
    ] {
        let mut side = Side::complete(Direction::Outbound);
        assert_eq!(side.transport_ends(end), reason);
        assert_ended(&side, DisconnectAction::Reconnect, ConnectionState::Failed);
    }
}

#[test]
fn handshake_timeout_names_missing_message() {
    let mut pair = Pair::new();
    pair.deliver(LISTENER);
    pair.lose_everything();
    for side in &mut pair.sides {
        side.assert_next_deadline_in(30 * SECOND);
    }
    let timed_out = |missing| {
        let after = 30 * SECOND;
        Some(DisconnectReason::HandshakeTimeout { after, missing })
    };
    assert_eq!(
        pair.sides[DIALLER].closed(),
        timed_out(AwaitedMessage::Version).as_ref()
    );
    assert_eq!(
        pair.sides[LISTENER].closed(),
        timed_out(AwaitedMessage::Verack).as_ref()
    );
    for side in &pair.sides {
        assert_ended(side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
}

#[test]
fn first_fault_determines_disconnect_reason() {
    let mut side = Side::connected_with(Direction::Inbound, |config| config.ban_threshold = 2);
    side.receive(Message::GetAddr);
    side.take();
    side.receive(Message::Verack);
    let outputs = side.take();
    assert_eq!(
        outputs,
        [
            crate::side::before_version("verack", 2),
            Output::Close(DisconnectReason::Misbehaved { score: 2 }),
        ]
    );
    side.receive(peer_version());
    assert_eq!(side.take(), []);

    let mut side = Side::connected_with(Direction::Inbound, |config| config.ban_threshold = 1);
    side.receive(peer_version());
    side.take();
    side.receive(peer_version());
    assert_eq!(
        side.take(),
        [
            send_reject("version", 0x12, "Duplicate version message"),
            misbehavior(Misbehavior::DuplicateVersion, 1),
            Output::Close(DisconnectReason::Misbehaved { score: 1 }),
        ]
    );
}

/// Teranode dials, sends `version` and `verack`, and then rejects our `version`.
#[test]
fn reject_after_early_verack_names_refusal() {
    let text = "Only Bitcoin SV clients are supported";
    let reject = Reject::new("version", RejectCode::NONSTANDARD, text);
    for end in [
        TransportClose::ConnectionClosed,
        TransportClose::Failed(ErrorKind::ConnectionReset),
    ] {
        let mut side = Side::connected(Direction::Inbound);
        side.receive(peer_version());
        side.receive(Message::Verack);
        assert_eq!(side.session.state(), ConnectionState::Connected);
        side.receive(reject.clone());
        assert_eq!(side.closed(), None, "the peer may not mean it");
        let reason = DisconnectReason::RejectedByPeer(Box::new(reject.clone()));
        assert_eq!(side.transport_ends(end), reason);
        assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
    // A reject of another message does not explain the end.
    let mut side = Side::complete(Direction::Inbound);
    side.receive(Reject::new("tx", RejectCode::NONSTANDARD, text));
    let end = side.transport_ends(TransportClose::ConnectionClosed);
    assert_eq!(end, DisconnectReason::ConnectionClosed);
}
