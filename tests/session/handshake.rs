//! Handshakes that succeed, in every order in which they can.

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectReason, Misbehavior, NonceRegistry, Output, PeerInfo,
    SessionConfig, SessionEvent, USER_AGENT,
};
use bsv_p2p::wire::{
    AssociationId, Authch, Authresp, Encode, FeeFilter, Message, NetworkAddress, Ping, Pong,
    Protoconf, Reject, RejectCode, SendCmpct, Services, StreamAck, StreamType, Version,
};
use uuid::Uuid;

use crate::pair::{DIALLER, LISTENER, Pair};
use crate::side::{
    DIRECTIONS, Fate, SECOND, Side, UNIX_TIME, before_verack, before_version, misbehavior,
    peer_address, peer_version, protoconf, send, send_ping, send_reject, shortest_version, unknown,
};

fn own_version(nonce: u64) -> Version {
    Version {
        version: 70016,
        services: Services::NONE,
        timestamp: UNIX_TIME,
        receiver: NetworkAddress::new(Services::NONE, peer_address()),
        sender: Some(NetworkAddress::unset(Services::NONE)),
        nonce: Some(nonce),
        user_agent: Some(USER_AGENT.into()),
        start_height: Some(0),
        relay: Some(true),
        association_id: Some(AssociationId::Null),
    }
}

fn own_protoconf() -> Protoconf {
    Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some("Default".into()),
    }
}

fn handshake_complete(version: &Version) -> Output {
    let peer = Box::new(PeerInfo::from(version));
    Output::Event(SessionEvent::HandshakeComplete(peer))
}

/// The peer's verack is all that is missing.
#[track_caller]
fn assert_completed_by_verack(side: &mut Side) {
    side.receive(Message::Verack);
    assert_eq!(
        side.take(),
        [
            handshake_complete(&peer_version()),
            send(Message::SendHeaders),
            send_ping(1001),
        ]
    );
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn the_side_that_dials_sends_its_version_first_and_the_rest_in_a_fixed_order() {
    let mut side = Side::connected(Direction::Outbound);
    assert_eq!(side.take(), [send(own_version(1000))]);
    side.receive(peer_version());
    assert_eq!(
        side.take(),
        [send(Message::Verack), send(own_protoconf())],
        "nothing else before the peer's verack"
    );
    assert_eq!(side.session.state(), ConnectionState::AwaitingHandshake);
    assert_completed_by_verack(&mut side);
}

#[test]
fn the_side_that_is_dialled_is_silent_until_the_peers_version() {
    let mut side = Side::connected(Direction::Inbound);
    assert_eq!(side.take(), []);
    side.receive(peer_version());
    assert_eq!(
        side.take(),
        [
            send(own_version(1000)),
            send(Message::Verack),
            send(own_protoconf()),
        ]
    );
    assert_completed_by_verack(&mut side);
}

#[test]
fn our_version_says_what_the_configuration_says() {
    let mut side = Side::connected_with(Direction::Outbound, |config| {
        config.protocol_version = 70015;
        config.services = Services::NETWORK;
        config.user_agent = "/mine:3/".into();
        config.start_height = 812_345;
        config.relay = false;
        config.limits.general = 1_048_576;
    });
    let version = Version {
        version: 70015,
        services: Services::NETWORK,
        sender: Some(NetworkAddress::unset(Services::NETWORK)),
        user_agent: Some("/mine:3/".into()),
        start_height: Some(812_345),
        relay: Some(false),
        ..own_version(1000)
    };
    assert_eq!(side.take(), [send(version)]);
    side.receive(peer_version());
    let protoconf = Protoconf {
        max_receive_payload: 1_048_576,
        ..own_protoconf()
    };
    assert_eq!(side.take(), [send(Message::Verack), send(protoconf)]);
}

/// Every schedule of two wires that keep their order, each tried from the start.
fn for_each_interleaving(mut check: impl FnMut(&Pair)) -> usize {
    let mut schedules = 0;
    let mut open: Vec<Vec<usize>> = vec![vec![]];
    while let Some(schedule) = open.pop() {
        let mut pair = Pair::new();
        for side in &schedule {
            assert!(pair.deliver(*side));
        }
        let ways: Vec<usize> = [DIALLER, LISTENER]
            .into_iter()
            .filter(|side| pair.flying(*side) > 0)
            .collect();
        if ways.is_empty() {
            schedules += 1;
            check(&pair);
        }
        for side in ways {
            open.push([&schedule[..], &[side]].concat());
        }
    }
    schedules
}

#[test]
fn two_sessions_complete_their_handshake_in_every_interleaving() {
    let schedules = for_each_interleaving(|pair| {
        for side in [DIALLER, LISTENER] {
            assert_eq!(pair.sides[side].session.state(), ConnectionState::Connected);
            assert_eq!(pair.completions(side), 1);
            assert_eq!(pair.closed[side], None);
            assert_eq!(
                pair.sent_names(side),
                [
                    "version",
                    "verack",
                    "protoconf",
                    "sendheaders",
                    "ping",
                    "pong"
                ]
            );
            let session = &pair.sides[side].session;
            assert_eq!(session.peer_max_payload(), 2_097_152);
            assert!(session.wants_headers());
            assert!(session.round_trip().last.is_some());
            let events = &pair.events[side];
            assert!(
                events
                    .iter()
                    .all(|event| !matches!(event, SessionEvent::Misbehavior { .. })),
                "{events:?}"
            );
        }
    });
    assert!(schedules > 10, "only {schedules} interleavings were tried");
}

#[test]
fn two_sessions_complete_their_handshake_even_if_messages_overtake_each_other() {
    // Not what TCP does: here version, verack and protoconf arrive in any order at all.
    let shaking = |pair: &Pair, side: usize| -> Vec<usize> {
        let reorderable = ["version", "verack", "protoconf"];
        let belongs = |at: &usize| reorderable.contains(&pair.command(side, *at).name());
        (0..pair.flying(side)).filter(belongs).collect()
    };
    let mut schedules = 0;
    let mut early_veracks = 0;
    let mut open: Vec<Vec<(usize, usize)>> = vec![vec![]];
    while let Some(schedule) = open.pop() {
        let mut pair = Pair::new();
        for (side, at) in &schedule {
            pair.deliver_at(*side, *at);
        }
        let before = open.len();
        for side in [DIALLER, LISTENER] {
            for at in shaking(&pair, side) {
                open.push([&schedule[..], &[(side, at)]].concat());
            }
        }
        if open.len() > before {
            continue;
        }
        schedules += 1;
        pair.settle();
        for side in [DIALLER, LISTENER] {
            assert_eq!(pair.sides[side].session.state(), ConnectionState::Connected);
            assert_eq!(pair.completions(side), 1);
            assert_eq!(
                pair.sent_names(side)[..3],
                ["version", "verack", "protoconf"]
            );
            let early = |event: &SessionEvent| {
                matches!(
                    event,
                    SessionEvent::Misbehavior {
                        misbehavior: Misbehavior::BeforeVersion { command },
                        ..
                    } if command.name() == "verack"
                )
            };
            early_veracks += usize::from(pair.events[side].iter().any(early));
        }
    }
    assert!(schedules > 20, "only {schedules} orders were tried");
    assert!(early_veracks > 0);
}

#[test]
fn nothing_leaves_before_the_peers_verack_but_version_verack_and_protoconf() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.receive(peer_version());
        let delivery = side.receive(Authch {
            version: 1,
            challenge: [9; 32],
        });
        assert_eq!(delivery, Fate::Consumed);
        side.wait(20 * SECOND);
        let sent = side.take_sent();
        assert_eq!(
            sent,
            [
                own_version(1000).into(),
                Message::Verack,
                own_protoconf().into()
            ],
            "{direction}"
        );
    }
}

#[test]
fn a_handshake_takes_as_long_as_its_messages() {
    let latency = 3 * SECOND;
    let mut pair = Pair::new().with_latency(latency);
    pair.run_for(2 * latency - SECOND);
    assert_eq!(pair.completions(DIALLER), 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completions(DIALLER), 1);
    assert_eq!(pair.completions(LISTENER), 0);
    pair.run_for(latency);
    assert_eq!(pair.completions(LISTENER), 1);
    pair.run_for(2 * latency);
    for side in pair.sides {
        assert_eq!(side.session.round_trip().last, Some(2 * latency));
    }
}

#[test]
fn our_version_declines_streams_even_if_the_peers_offers_them() {
    let id = AssociationId::Uuid(Uuid::from_u128(5));
    let version = Version {
        association_id: Some(id),
        ..peer_version()
    };
    let mut side = Side::connected(Direction::Inbound);
    side.receive(version);
    let Some(Output::Send(own)) = side.take().into_iter().next() else {
        panic!("no version");
    };
    assert_eq!(own.command().name(), "version");
    let bytes = own.encode_to_vec();
    assert_eq!(bytes[bytes.len() - 2..], [1, 0], "relay, then no identity");
    assert_eq!(side.session.peer().unwrap().association_id, Some(id));
}

#[test]
fn what_the_peer_said_of_itself_is_told_once_and_kept() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        assert_eq!(side.session.peer(), None);
        side.receive(peer_version());
        side.receive(Message::Verack);
        let expected = PeerInfo {
            version: 70016,
            services: Services(0x21),
            timestamp: UNIX_TIME + 3,
            user_agent: "/Bitcoin SV:1.2.2/".into(),
            start_height: 800_000,
            relay: true,
            association_id: None,
        };
        assert_eq!(
            side.take_events(),
            [SessionEvent::HandshakeComplete(Box::new(expected.clone()))]
        );
        assert_eq!(side.session.peer(), Some(&expected));
    }
}

#[test]
fn the_shortest_version_is_accepted_and_completed_with_what_the_node_takes() {
    let shortest = shortest_version();
    assert_eq!(shortest.encoded_len(), 46);
    let mut side = Side::connected(Direction::Inbound);
    side.receive(shortest);
    side.receive(Message::Verack);
    let peer = side.session.peer().unwrap();
    assert_eq!(peer.user_agent, "");
    assert_eq!(peer.start_height, -1);
    assert!(peer.relay);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn a_verack_before_the_version_is_scored_but_counts() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.take();
        assert_eq!(side.receive(Message::Verack), Fate::Consumed);
        assert_eq!(side.take(), [before_version("verack", 1)], "{direction}");
        side.receive(peer_version());
        let outputs = side.take();
        let expected = [
            send(Message::Verack),
            send(own_protoconf()),
            handshake_complete(&peer_version()),
            send(Message::SendHeaders),
        ];
        let tail = &outputs[outputs.len() - 5..];
        assert_eq!(tail[..4], expected, "{direction}");
        assert_eq!(side.session.state(), ConnectionState::Connected);
    }
}

#[test]
fn a_second_verack_changes_nothing() {
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        assert_eq!(side.receive(Message::Verack), Fate::Consumed);
        assert_eq!(side.take(), []);
        assert_eq!(side.session.state(), ConnectionState::Connected);
        side.assert_next_deadline_in(300 * SECOND);
    }
}

#[test]
fn a_second_version_is_answered_with_a_reject_scored_and_otherwise_ignored() {
    let other = Version {
        version: 31900,
        user_agent: Some("/other/".into()),
        ..peer_version()
    };
    for verack_first in [false, true] {
        let mut side = Side::connected(Direction::Inbound);
        side.receive(peer_version());
        if verack_first {
            side.receive(Message::Verack);
        }
        side.take();
        for score in 1..=3 {
            assert_eq!(side.receive(other.clone()), Fate::Consumed);
            assert_eq!(
                side.take(),
                [
                    send_reject("version", 0x12, "Duplicate version message"),
                    misbehavior(Misbehavior::SecondVersion, score),
                ]
            );
        }
        // It is judged before it is read.
        side.receive_bytes("version", &[1, 2, 3]);
        assert_eq!(
            side.take(),
            [
                send_reject("version", 0x12, "Duplicate version message"),
                misbehavior(Misbehavior::SecondVersion, 4),
            ]
        );
        assert_eq!(side.session.peer().unwrap().version, 70016);
        side.receive(Message::Verack);
        assert_eq!(side.session.state(), ConnectionState::Connected);
    }
}

/// A message of every kind that waits for the handshake.
fn ordinary_messages() -> Vec<Message> {
    vec![
        Message::GetAddr,
        Message::SendHeaders,
        protoconf(2_097_152).into(),
        Ping::new(5).into(),
        Pong::new(5).into(),
        FeeFilter { rate: 1 }.into(),
        SendCmpct {
            announce: false,
            version: 1,
        }
        .into(),
        unknown("foobar", b"x"),
        unknown("", b""),
    ]
}

#[test]
fn messages_before_the_version_are_dropped_and_score_one_each() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.take();
        let mut score = 0;
        let authch = Authch {
            version: 1,
            challenge: [9; 32],
        };
        let messages = [
            ordinary_messages(),
            vec![authch.into(), unknown("authresp", b"")],
        ];
        for message in messages.concat() {
            score += 1;
            let name = message.command();
            assert_eq!(side.receive(message), Fate::Consumed);
            assert_eq!(side.take(), [before_version(name.name(), score)]);
        }
        assert!(!side.session.wants_headers());
        assert_eq!(side.session.peer_max_payload(), 1_048_576);
    }
}

#[test]
fn messages_before_the_verack_are_dropped_and_score_one_each() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.receive(peer_version());
        side.take();
        let mut score = 0;
        for message in ordinary_messages() {
            score += 1;
            let name = message.command();
            assert_eq!(side.receive(message), Fate::Consumed);
            assert_eq!(side.take(), [before_verack(name.name(), score)]);
        }
        // So are those that cannot be read: the gate comes first.
        side.receive_bytes("addr", &[0xfd, 0xe9, 0x03]);
        assert_eq!(side.take(), [before_verack("addr", score + 1)]);
        assert!(!side.session.wants_headers());
        assert_eq!(side.session.peer_max_payload(), 1_048_576);
    }
}

#[test]
fn challenges_between_version_and_verack_are_no_fault() {
    let mut side = Side::connected(Direction::Outbound);
    side.receive(peer_version());
    side.take();
    let authch = Authch {
        version: 1,
        challenge: [9; 32],
    };
    assert_eq!(side.receive(authch), Fate::Consumed);
    let authresp = Authresp {
        public_key: [2; 33],
        client_nonce: 7,
        signature: vec![0x30; 70],
    };
    assert_eq!(side.receive(authresp), Fate::Consumed);
    assert_eq!(side.take(), []);
}

#[test]
fn a_reject_is_heard_in_any_state_and_delivered_once_connected() {
    let reject = Reject::new("tx", RejectCode::DUST, "dust");
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.take();
        assert_eq!(side.receive(reject.clone()), Fate::Consumed);
        side.receive(peer_version());
        side.take();
        assert_eq!(side.receive(reject.clone()), Fate::Consumed);
        assert_eq!(side.take(), []);
        side.receive(Message::Verack);
        side.take();
        assert_eq!(side.receive(reject.clone()), Fate::Delivered);
        assert_eq!(side.take(), []);
    }
}

#[test]
fn a_request_for_a_stream_is_refused_in_any_state_with_what_is_wrong_with_it() {
    let policy = [&[13][..], b"BlockPriority"].concat();
    let of = |id: &[u8], kind: u8| [id, &[kind], &policy].concat();
    let id = [&[17, 0][..], &[7; 16]].concat();
    for direction in DIRECTIONS {
        for (payload, text) in [
            (of(&id, 2), "No node found with association ID"),
            (of(&[0], 2), "NULL association ID"),
            (of(&id, 6), "StreamType out of range"),
            (vec![], "Badly formatted message"),
        ] {
            let before_version = Side::connected(direction);
            let mut before_verack = Side::connected(direction);
            before_verack.receive(peer_version());
            // A connection that has had a version can become no stream.
            let late = "Invalid createstream scenario";
            for (mut side, code, text) in [
                (before_version, 0x60, text),
                (before_verack, 0x40, late),
                (Side::complete(direction), 0x40, late),
            ] {
                side.take();
                assert_eq!(side.receive_bytes("createstrm", &payload), Fate::Consumed);
                assert_eq!(
                    side.take(),
                    [
                        send_reject("createstrm", code, text),
                        Output::Close(DisconnectReason::StreamRefused),
                    ]
                );
                assert_eq!(side.session.state(), ConnectionState::Failed);
            }
        }
    }
}

#[test]
fn an_answer_to_a_request_for_a_stream_changes_nothing() {
    let mut side = Side::connected(Direction::Outbound);
    side.take();
    let answer = StreamAck {
        association_id: AssociationId::Null,
        stream_type: StreamType::Data1,
    };
    assert_eq!(side.receive(answer), Fate::Consumed);
    assert_eq!(side.receive(unknown("streamack", b"")), Fate::Consumed);
    assert_eq!(side.take(), []);
    assert_eq!(side.closed(), None);
}

#[test]
fn sendheaders_goes_only_to_peers_that_know_it_and_if_wanted() {
    let names = |peer: i32, wanted: bool| -> Vec<String> {
        let mut side = Side::connected_with(Direction::Outbound, |config| {
            config.send_headers = wanted;
        });
        side.receive(Version {
            version: peer,
            ..peer_version()
        });
        side.take();
        side.receive(Message::Verack);
        let name = |message: Message| message.command().name().to_owned();
        side.take_sent().into_iter().map(name).collect()
    };
    assert_eq!(names(70012, true), ["sendheaders", "ping"]);
    assert_eq!(names(70011, true), ["ping"]);
    assert_eq!(names(70016, false), ["ping"]);
}

#[test]
fn the_peers_protoconf_counts_from_its_verack_on() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.receive(protoconf(8_388_608));
    assert_eq!(side.session.peer_max_payload(), 1_048_576, "too early");
    side.receive(Message::Verack);
    side.take();
    assert_eq!(side.receive(protoconf(8_388_608)), Fate::Consumed);
    assert_eq!(side.take(), [], "it may be sent again");
    assert_eq!(side.session.peer_max_payload(), 8_388_608);
}

#[test]
fn a_protoconf_with_one_field_is_fine() {
    let mut side = Side::complete(Direction::Outbound);
    side.receive_bytes("protoconf", &[1, 0, 0, 0x10, 0]);
    assert_eq!(side.take(), []);
    assert_eq!(side.session.peer_max_payload(), 1_048_576);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn little_is_read_before_the_handshake_is_complete() {
    let block = bsv_p2p::wire::Command::new("block");
    let mut side = Side::connected(Direction::Inbound);
    assert_eq!(side.session.limits().limit(block), 65_536);
    side.receive(peer_version());
    assert_eq!(side.session.limits().limit(block), 65_536);
    side.receive(Message::Verack);
    assert_eq!(side.session.limits(), SessionConfig::default().limits);
}

#[test]
fn a_nonce_is_entered_while_an_outbound_handshake_is_open() {
    let registry = NonceRegistry::default();
    let config = SessionConfig::default();
    let mut outbound = Side::new(Direction::Outbound, config.clone(), registry.clone(), 1000);
    assert!(registry.is_empty());
    outbound.connect();
    assert_eq!(registry.len(), 1);
    outbound.shake_hands(peer_version());
    assert!(registry.is_empty(), "the handshake is complete");

    let mut inbound = Side::new(Direction::Inbound, config.clone(), registry.clone(), 2000);
    inbound.connect();
    inbound.receive(peer_version());
    assert!(registry.is_empty(), "an inbound session enters none");

    let mut closed = Side::new(Direction::Outbound, config, registry.clone(), 3000);
    closed.connect();
    closed.with(|session, _| session.close(DisconnectReason::Shutdown));
    assert!(registry.is_empty(), "the connection has ended");
}
