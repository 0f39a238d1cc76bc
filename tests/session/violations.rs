//! Failed handshakes: the reason, the reject that is sent, and the consequence.

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectAction, DisconnectReason, Output, UserAgentPolicy,
};
use bsv_p2p::wire::{DecodeError, Encode, Message, Services, Version, WireString};

use crate::side::{DIRECTIONS, Side, before_verack, peer_version, protoconf, send_reject};

/// Returns the outputs of a session for the first message of the peer, a `version`.
#[track_caller]
fn answer_to(side: &mut Side, version: Version) -> Vec<Output> {
    side.take();
    side.receive(version);
    side.take()
}

/// Asserts that a session ended for a reason with this consequence, in this state.
#[track_caller]
pub(crate) fn assert_ended(side: &Side, consequence: DisconnectAction, state: ConnectionState) {
    assert_eq!(side.closed().unwrap().action(), consequence);
    assert_eq!(side.session.state(), state);
    assert_eq!(side.session.next_deadline(), None);
}

#[test]
fn obsolete_version_is_rejected_with_minimum() {
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
            assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
        }
    }
}

#[test]
fn minimum_and_future_versions_are_accepted() {
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
fn minimum_version_is_configurable() {
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
fn required_services_apply_to_outbound_peers() {
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
    assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);

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
fn agent_of_another_chain_cools_down_silently() {
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
            let [Output::Close(DisconnectReason::UserAgentRejected { user_agent, rule })] =
                &outputs[..]
            else {
                panic!("{agent}: {outputs:?}");
            };
            assert_eq!(user_agent, &WireString::from(agent));
            assert!(rule.starts_with("matches \"*"), "{rule}");
            assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
        }
    }
}

#[test]
fn user_agent_policy_decides_on_missing_agents() {
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
fn malformed_version_is_rejected_with_reason() {
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
            assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
        }
    }
}

#[test]
fn second_protoconf_closes_without_reject() {
    for second in [&protoconf(2_097_152).encode_to_vec()[..], &[0], &[]] {
        let mut side = Side::complete(Direction::Outbound);
        side.receive(protoconf(2_097_152));
        side.take();
        side.receive_bytes("protoconf", second);
        assert_eq!(
            side.take(),
            [Output::Close(DisconnectReason::DuplicateProtoconf)]
        );
        assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
}

#[test]
fn malformed_protoconf_closes_without_reject() {
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
        assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);
    }
}

#[test]
fn protoconf_below_1_mib_ends_connection() {
    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(1_048_575));
    let error = DecodeError::InvalidValue {
        field: "max receive payload",
        expected: "at least 1048576",
        got: 1_048_575,
    };
    assert_eq!(
        side.take(),
        [Output::Close(DisconnectReason::MalformedProtoconf(error))]
    );
    assert_ended(&side, DisconnectAction::Cooldown, ConnectionState::Failed);

    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(1_048_576));
    assert_eq!(side.take(), []);
}

#[test]
fn protoconf_before_verack_is_dropped_unread() {
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
