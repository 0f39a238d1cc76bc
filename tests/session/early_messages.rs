//! Messages of a handshake that are early, repeated, or out of place.

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectAction, DisconnectReason, Misbehavior, Output,
};
use bsv_p2p::wire::{
    AssociationId, Authch, Authresp, FeeFilter, Message, Ping, Pong, Reject, RejectCode, SendCmpct,
    StreamAck, StreamType, Version,
};

use crate::handshake::{handshake_complete, own_protoconf};
use crate::side::{
    DIRECTIONS, Fate, SECOND, Side, before_verack, before_version, misbehavior, peer_version,
    protoconf, send, send_reject, unknown,
};

#[test]
fn verack_before_version_scores_but_counts() {
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
fn second_verack_changes_nothing() {
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        assert_eq!(side.receive(Message::Verack), Fate::Consumed);
        assert_eq!(side.take(), []);
        assert_eq!(side.session.state(), ConnectionState::Connected);
        side.assert_next_deadline_in(300 * SECOND);
    }
}

#[test]
fn second_version_is_rejected_and_scored() {
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
                    misbehavior(Misbehavior::DuplicateVersion, score),
                ]
            );
        }
        // The duplicate is rejected before it is decoded.
        side.receive_bytes("version", &[1, 2, 3]);
        assert_eq!(
            side.take(),
            [
                send_reject("version", 0x12, "Duplicate version message"),
                misbehavior(Misbehavior::DuplicateVersion, 4),
            ]
        );
        assert_eq!(side.session.peer_info().unwrap().version, 70016);
        side.receive(Message::Verack);
        assert_eq!(side.session.state(), ConnectionState::Connected);
    }
}

/// Returns a message of every kind that requires the handshake.
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
fn messages_before_version_are_dropped_and_scored() {
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
fn messages_before_verack_are_dropped_and_scored() {
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
        // Undecodable messages are treated alike: the handshake is checked first.
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
fn reject_before_handshake_is_consumed_then_delivered() {
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
fn createstrm_without_streams_is_rejected_with_reason() {
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
            // A connection that has received a version cannot become a stream.
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
fn unexpected_streamack_ends_connection() {
    let ack = StreamAck {
        association_id: AssociationId::Null,
        stream_type: StreamType::Data1,
    };
    let close = Output::Close(DisconnectReason::UnexpectedStreamAck);
    let reject = send_reject("streamack", 0x40, "Invalid streamack");
    // The second cannot be decoded. A node decodes only the first message.
    for message in [Message::from(ack), unknown("streamack", b"")] {
        for direction in DIRECTIONS {
            let mut before_version = Side::connected(direction);
            before_version.take();
            assert_eq!(before_version.receive(message.clone()), Fate::Consumed);
            assert_eq!(before_version.take(), std::slice::from_ref(&close));

            let mut before_verack = Side::connected(direction);
            before_verack.receive(peer_version());
            let mut second_stream = Side::complete(direction);
            second_stream.session.set_stream(StreamType::Data1);
            for mut side in [before_verack, Side::complete(direction), second_stream] {
                side.take();
                assert_eq!(side.receive(message.clone()), Fate::Consumed);
                assert_eq!(side.take(), [reject.clone(), close.clone()]);
                let reason = side.closed().unwrap();
                assert_eq!(reason.action(), DisconnectAction::Cooldown);
            }
        }
    }
}
