//! Handshakes that fail: why, what the peer is told, and what follows.

use std::io::ErrorKind;

use bsv_p2p::session::{
    ConnectionState, Consequence, Direction, DisconnectReason, Misbehavior, NonceRegistry, Output,
    SessionConfig, TransportEnd, UserAgentPolicy,
};
use bsv_p2p::wire::{
    DecodeError, Encode, Message, Reject, RejectCode, Services, Version, WireString,
};

use crate::pair::{DIALLER, LISTENER, Pair};
use crate::side::{
    DIRECTIONS, SECOND, Side, before_verack, misbehavior, peer_version, protoconf, send_reject,
    shortest_version,
};

/// What a session does about the peer's first message, a `version`.
#[track_caller]
fn answer_to(side: &mut Side, version: Version) -> Vec<Output> {
    side.take();
    side.receive(version);
    side.take()
}

/// Asserts what a session did last: it ended, for a reason with this consequence, in this state.
#[track_caller]
fn assert_ended(side: &Side, consequence: Consequence, state: ConnectionState) {
    assert_eq!(side.closed().unwrap().consequence(), consequence);
    assert_eq!(side.session.state(), state);
    assert_eq!(side.session.next_deadline(), None);
}

#[test]
fn a_version_below_the_minimum_is_refused_by_name() {
    for direction in DIRECTIONS {
        for got in [31799, 209, 0, -1, i32::MIN] {
            let mut side = Side::connected(direction);
            let version = Version {
                version: got,
                ..peer_version()
            };
            let minimum = 31800;
            assert_eq!(
                answer_to(&mut side, version),
                [
                    send_reject("version", 0x11, "Version must be 31800 or greater"),
                    Output::Close(DisconnectReason::VersionTooOld { got, minimum }),
                ]
            );
            assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);
        }
    }
}

#[test]
fn the_minimum_version_and_those_of_the_future_are_accepted() {
    for direction in DIRECTIONS {
        for version in [31800, 70015, 70017, i32::MAX] {
            let mut side = Side::connected(direction);
            side.receive(Version {
                version,
                ..peer_version()
            });
            side.receive(Message::Verack);
            assert_eq!(side.session.state(), ConnectionState::Connected);
        }
    }
}

#[test]
fn the_minimum_version_can_be_configured() {
    let mut side = Side::connected_with(Direction::Inbound, |config| {
        config.minimum_protocol_version = 70015;
    });
    let version = Version {
        version: 70014,
        ..peer_version()
    };
    assert_eq!(
        answer_to(&mut side, version)[0],
        send_reject("version", 0x11, "Version must be 70015 or greater")
    );
}

#[test]
fn only_a_peer_that_we_dial_has_to_serve_what_we_need() {
    let required = Services::NETWORK | Services::BLOOM;
    let got = Services(0x21);
    let mut side = Side::connected_with(Direction::Outbound, |config| {
        config.required_services = required;
    });
    assert_eq!(
        answer_to(&mut side, peer_version()),
        [
            send_reject("version", 0x40, "Expected to offer services 00000005"),
            Output::Close(DisconnectReason::ServicesMissing { got, required }),
        ]
    );
    assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);

    let mut inbound = Side::connected_with(Direction::Inbound, |config| {
        config.required_services = required;
    });
    inbound.receive(peer_version());
    assert_eq!(inbound.closed(), None);

    let mut served = Side::connected_with(Direction::Outbound, |config| {
        config.required_services = required;
    });
    served.receive(Version {
        services: Services(0x27),
        ..peer_version()
    });
    assert_eq!(served.closed(), None);
}

#[test]
fn an_agent_of_another_chain_is_banned_without_a_word() {
    for direction in DIRECTIONS {
        for agent in [
            "/Bitcoin ABC:0.21.10/",
            "/Bitcoin Cash Node:27.0.0(EB32.0)/",
            "/BCH Unlimited:1.9.0/",
            "/bcash:1/",
            "/a+b+c/",
            "/Knuth:0.30/",
            "/Flowee:2020/",
            "/Satoshi:27.0.0/",
            "/btcwire:0.5.0/btcd:0.24.2/",
        ] {
            let mut side = Side::connected(direction);
            let version = Version {
                user_agent: Some(agent.into()),
                ..peer_version()
            };
            let outputs = answer_to(&mut side, version);
            let [Output::Close(DisconnectReason::BannedUserAgent { user_agent, why })] =
                &outputs[..]
            else {
                panic!("{agent}: {outputs:?}");
            };
            assert_eq!(user_agent, &WireString::from(agent));
            assert!(why.starts_with("it matches \"*"), "{why}");
            assert_ended(&side, Consequence::Ban, ConnectionState::Failed);
        }
    }
}

#[test]
fn an_empty_or_missing_agent_is_fine_and_other_policies_may_be_chosen() {
    let closes = |policy: UserAgentPolicy, user_agent: Option<WireString>| {
        let mut side =
            Side::connected_with(Direction::Inbound, |config| config.user_agents = policy);
        let missing = user_agent.is_none();
        side.receive(Version {
            user_agent,
            start_height: Some(1).filter(|_| !missing),
            relay: Some(true).filter(|_| !missing),
            ..peer_version()
        });
        side.closed().is_some()
    };
    let strict = || UserAgentPolicy::Require(vec!["*bitcoin sv*".into()]);
    assert!(!closes(UserAgentPolicy::default(), None));
    assert!(!closes(UserAgentPolicy::default(), Some("".into())));
    assert!(!closes(UserAgentPolicy::Any, Some("/bcash/".into())));
    assert!(!closes(strict(), Some("/Bitcoin SV:1.2.2/".into())));
    assert!(closes(strict(), Some("/else:1/".into())));
    assert!(closes(strict(), None));
}

#[test]
fn a_version_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let long_agent = Version {
        user_agent: Some("x".repeat(257).into()),
        ..peer_version()
    };
    let whole = peer_version().encode_to_vec();
    let with_id = |id: &[u8]| [&whole[..], id].concat();
    let cases = [
        (vec![], "error parsing message"),
        (whole[..45].to_vec(), "error parsing message"),
        (whole[..60].to_vec(), "error parsing message"),
        (whole[..85].to_vec(), "error parsing message"),
        (long_agent.encode_to_vec(), "Array length limit exceeded"),
        (with_id(&[2, 0, 5]), "Badly formatted association ID"),
        (with_id(&[2, 1, 5]), "Badly formatted association ID"),
        (with_id(&[17, 0, 5]), "error parsing message"),
    ];
    for direction in DIRECTIONS {
        for (payload, text) in &cases {
            let mut side = Side::connected(direction);
            side.take();
            side.receive_bytes("version", payload);
            let outputs = side.take();
            let error: Result<Box<Version>, _> = bsv_p2p::wire::Decode::decode_from(payload);
            assert_eq!(
                outputs,
                [
                    send_reject("version", 0x60, text),
                    Output::Close(DisconnectReason::MalformedVersion(error.unwrap_err())),
                ]
            );
            assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);
        }
    }
}

#[test]
fn a_second_protoconf_ends_the_connection_silently() {
    for second in [&protoconf(2_097_152).encode_to_vec()[..], &[0], &[]] {
        let mut side = Side::complete(Direction::Outbound);
        side.receive(protoconf(2_097_152));
        side.take();
        side.receive_bytes("protoconf", second);
        assert_eq!(
            side.take(),
            [Output::Close(DisconnectReason::SecondProtoconf)]
        );
        assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);
    }
}

#[test]
fn a_protoconf_that_cannot_be_read_ends_the_connection_silently() {
    let long_policies = bsv_p2p::wire::Protoconf {
        stream_policies: Some("x".repeat(651).into()),
        ..protoconf(2_097_152)
    };
    for payload in [
        &[][..],
        &[0],
        &[1, 0, 0, 0x20],
        &[2, 0, 0, 0x20, 0],
        &long_policies.encode_to_vec(),
    ] {
        let mut side = Side::complete(Direction::Inbound);
        side.receive_bytes("protoconf", payload);
        let outputs = side.take();
        assert!(
            matches!(
                &outputs[..],
                [Output::Close(DisconnectReason::MalformedProtoconf(_))]
            ),
            "{outputs:?}"
        );
        assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);
    }
}

#[test]
fn a_protoconf_below_one_mebibyte_ends_the_connection() {
    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(1_048_575));
    let error = DecodeError::BadValue {
        field: "max receive payload",
        expected: "at least 1048576",
        got: 1_048_575,
    };
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::MalformedProtoconf(error))]
    );
    assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);

    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(1_048_576));
    assert_eq!(side.take(), []);
}

#[test]
fn a_protoconf_before_the_verack_is_dropped_even_if_it_cannot_be_read() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.take();
    side.receive_bytes("protoconf", &[0]);
    assert_eq!(side.take(), [before_verack("protoconf", 1)]);
    side.receive(protoconf(1));
    assert_eq!(side.take(), [before_verack("protoconf", 2)]);
    side.receive(Message::Verack);
    side.receive(protoconf(2_097_152));
    assert_eq!(side.session.state(), ConnectionState::Connected);
    assert_eq!(side.session.peer_max_payload(), 2_097_152);
}

#[test]
fn a_connection_to_ourselves_is_recognised_on_both_sides() {
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
        assert_ended(side, Consequence::CoolDown, ConnectionState::Failed);
    }
    assert!(registry.is_empty());
}

#[test]
fn a_reset_of_a_connection_to_ourselves_means_the_same() {
    let registry = NonceRegistry::default();
    let configs = [SessionConfig::default(), SessionConfig::default()];
    let mut pair = Pair::with(configs, [registry.clone(), registry]);
    pair.deliver(LISTENER);
    let end = TransportEnd::Failed(ErrorKind::ConnectionReset);
    assert_eq!(
        pair.sides[DIALLER].transport_ends(end),
        DisconnectReason::SelfConnection
    );
}

#[test]
fn the_nonce_of_another_owner_is_no_connection_to_ourselves() {
    // Both sides send the nonce 1000, but neither knows the other's registry.
    let mut dialler = Side::connected(Direction::Outbound);
    let mut listener = Side::connected(Direction::Inbound);
    for message in dialler.take_sent() {
        listener.receive(message);
    }
    for message in listener.take_sent() {
        dialler.receive(message);
    }
    assert_eq!(listener.closed(), None);
    assert_eq!(dialler.session.state(), ConnectionState::Connected);
}

#[test]
fn a_version_without_a_nonce_never_comes_from_ourselves() {
    // The node takes 1 for a missing nonce; ours may be 1 as any other number.
    let registry = NonceRegistry::default();
    let own = registry.register(1);
    let mut side = Side::new(Direction::Inbound, SessionConfig::default(), registry, 1000);
    side.connect();
    side.receive(shortest_version());
    assert_eq!(side.closed(), None);
    assert!(!own.was_met());
}

#[test]
fn a_peer_without_room_for_us_is_told_from_a_broken_one() {
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
            [Output::Close(DisconnectReason::PeerFull(Box::new(
                full.clone()
            )))]
        );
        assert_ended(&side, Consequence::BackOff, ConnectionState::Rejected);
    }
}

#[test]
fn a_peer_may_say_that_it_has_no_room_after_the_handshake() {
    // A listener without room completes the handshake first, so that its reject is understood.
    let full = Reject::new("version", RejectCode::TOO_BUSY, "no room");
    let mut side = Side::complete(Direction::Outbound);
    side.receive(full.clone());
    assert_eq!(side.take_delivered(), []);
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::PeerFull(Box::new(full)))]
    );
    assert_eq!(side.closed().unwrap().consequence(), Consequence::BackOff);
}

#[test]
fn being_too_busy_for_something_else_is_no_refusal_of_the_connection() {
    let busy = Reject::new("getdata", RejectCode::TOO_BUSY, "later");
    let mut side = Side::connected(Direction::Outbound);
    side.receive(busy.clone());
    side.receive(peer_version());
    side.receive(Message::Verack);
    side.receive(busy);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn a_refusal_of_our_version_explains_the_close_that_follows() {
    let obsolete = Reject::new("version", RejectCode::OBSOLETE, "too old");
    let other = Reject::new("tx", RejectCode::OBSOLETE, "something else");
    for end in [
        TransportEnd::EndOfStream,
        TransportEnd::Failed(ErrorKind::ConnectionReset),
        TransportEnd::Failed(ErrorKind::BrokenPipe),
    ] {
        let mut side = Side::connected(Direction::Outbound);
        side.take();
        side.receive(obsolete.clone());
        side.receive(other.clone());
        assert_eq!(side.take(), [], "the peer's move");
        let reason = DisconnectReason::RefusedByPeer(Box::new(obsolete.clone()));
        assert_eq!(side.transport_ends(end), reason);
        assert_eq!(side.take(), [Output::Close(reason)]);
        assert_ended(&side, Consequence::CoolDown, ConnectionState::Failed);
    }
}

#[test]
fn a_close_in_the_handshake_names_what_was_missing() {
    let closed = |messages: &[Message], end| {
        let mut side = Side::connected(Direction::Outbound);
        for message in messages {
            side.receive(message.clone());
        }
        let reason = side.transport_ends(end);
        assert_ended(&side, Consequence::BackOff, ConnectionState::Failed);
        assert!(reason.is_network_failure());
        reason
    };
    let version = Message::from(peer_version());
    for end in [
        TransportEnd::EndOfStream,
        TransportEnd::Failed(ErrorKind::ConnectionReset),
        TransportEnd::Failed(ErrorKind::ConnectionAborted),
        TransportEnd::Failed(ErrorKind::BrokenPipe),
    ] {
        let no_version = DisconnectReason::ClosedInHandshake {
            missing: "no version has come",
        };
        let no_verack = DisconnectReason::ClosedInHandshake {
            missing: "a version has come, but no verack",
        };
        assert_eq!(closed(&[], end), no_version);
        assert_eq!(closed(&[Message::Verack], end), no_version);
        assert_eq!(closed(std::slice::from_ref(&version), end), no_verack);
    }
}

#[test]
fn another_failure_of_the_socket_in_the_handshake_restarts_nothing_at_once() {
    let mut side = Side::connected(Direction::Outbound);
    let reason = side.transport_ends(TransportEnd::Failed(ErrorKind::TimedOut));
    assert_eq!(reason, DisconnectReason::Unreachable(ErrorKind::TimedOut));
    assert_ended(&side, Consequence::BackOff, ConnectionState::Failed);
}

#[test]
fn the_end_of_the_transport_after_the_handshake_is_named_by_its_kind() {
    for (end, reason) in [
        (TransportEnd::EndOfStream, DisconnectReason::EndOfStream),
        (
            TransportEnd::Failed(ErrorKind::ConnectionReset),
            DisconnectReason::ConnectionReset,
        ),
        (
            TransportEnd::Failed(ErrorKind::TimedOut),
            DisconnectReason::Io(ErrorKind::TimedOut),
        ),
    ] {
        let mut side = Side::complete(Direction::Outbound);
        assert_eq!(side.transport_ends(end), reason);
        assert_ended(&side, Consequence::Restart, ConnectionState::Failed);
    }
}

#[test]
fn a_handshake_that_hangs_is_ended_with_what_is_missing() {
    let mut pair = Pair::new();
    pair.deliver(LISTENER);
    pair.lose_everything();
    for side in &mut pair.sides {
        side.assert_next_deadline_in(30 * SECOND);
    }
    let timed_out = |missing| {
        let after = 30 * SECOND;
        Some(DisconnectReason::HandshakeTimedOut { after, missing })
    };
    assert_eq!(
        pair.sides[DIALLER].closed(),
        timed_out("no version has come").as_ref()
    );
    assert_eq!(
        pair.sides[LISTENER].closed(),
        timed_out("a version has come, but no verack").as_ref()
    );
    for side in &pair.sides {
        assert_ended(side, Consequence::CoolDown, ConnectionState::Failed);
    }
}

#[test]
fn the_first_of_several_faults_counts() {
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
            misbehavior(Misbehavior::SecondVersion, 1),
            Output::Close(DisconnectReason::Misbehaved { score: 1 }),
        ]
    );
}
