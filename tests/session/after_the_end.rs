//! A closed session does nothing.

use std::io::ErrorKind;

use bsv_p2p::session::{Direction, DisconnectReason, Disposition, SendError, TransportClose};
use bsv_p2p::wire::{
    Command, FrameDropReason, FrameError, Message, Ping, Pong, Reject, RejectCode,
};

use crate::side::{DIRECTIONS, Fate, SECOND, Side, peer_version, protoconf, unknown};

/// Returns sessions in every state in which they can be closed.
fn stages(direction: Direction) -> Vec<Side> {
    let early = Side::connected(direction);
    let mut with_version = Side::connected(direction);
    with_version.receive(peer_version());
    let complete = Side::complete(direction);
    vec![early, with_version, complete]
}

#[test]
fn closed_session_emits_no_output() {
    for direction in DIRECTIONS {
        for mut side in stages(direction) {
            let reason = DisconnectReason::Shutdown;
            side.with(|session, _| session.close(reason.clone()));
            side.take();
            let state = side.session.state();

            let full = Reject::new("version", RejectCode::TOO_BUSY, "");
            let messages = [
                peer_version().into(),
                Message::Verack,
                protoconf(2_097_152).into(),
                protoconf(1).into(),
                Message::SendHeaders,
                Message::SendHeaders,
                Ping::new(3).into(),
                Ping { nonce: None }.into(),
                Pong::new(1001).into(),
                Pong { nonce: None }.into(),
                full.into(),
                unknown("createstrm", b""),
                unknown("foobar", b""),
            ];
            for message in messages {
                let name = message.command();
                assert_eq!(side.receive(message), Fate::Consumed, "{name}");
            }
            for name in [
                "version",
                "protoconf",
                "addr",
                "ping",
                "reject",
                "inv",
                "authch",
            ] {
                side.receive_bytes(name, &[0xfd, 0xe9]);
            }
            side.with(|session, now| {
                let expected = [1; 4];
                let got = [2; 4];
                let command = Command::new("createstrm");
                let error = bsv_p2p::wire::DecodeError::TooLong {
                    field: "policy",
                    limit: 64,
                    got: 65,
                };
                session.on_malformed(command, &error, now);
                for _ in 0..300 {
                    session.on_dropped(
                        FrameDropReason::ChecksumMismatch {
                            command,
                            expected,
                            got,
                        },
                        now,
                    );
                }
                session.on_partial_frame(now);
                session.on_reads_paused(now - SECOND, now);
                session.on_frame_error(FrameError::TooLong {
                    command: "inv".into(),
                    len: 2,
                    limit: 1,
                });
                session.close(DisconnectReason::InternalError);
                session.ping(now);
            });
            side.wait(10_000 * SECOND);
            let end = TransportClose::Failed(ErrorKind::ConnectionReset);
            assert_eq!(side.transport_ends(end), reason, "the first reason wins");

            assert_eq!(side.take(), []);
            assert_eq!(side.take_delivered(), []);
            assert_eq!(side.session.state(), state);
            assert_eq!(side.session.close_reason(), Some(&reason));
            assert_eq!(side.session.next_deadline(), None);
            let getaddr = side.session.check_outgoing(&Message::GetAddr);
            assert!(matches!(
                getaddr,
                Err(SendError::HandshakeIncomplete { .. })
            ));
        }
    }
}

#[test]
fn output_queued_before_close_is_sent() {
    let mut side = Side::complete(Direction::Inbound);
    let delivery = side.with(|session, now| {
        let delivery = session.on_message(&Ping::new(3).into(), now);
        session.close(DisconnectReason::Requested);
        delivery
    });
    assert_eq!(delivery, Disposition::Handled);
    let names: Vec<_> = side
        .take_sent()
        .iter()
        .map(|message| message.command().to_string())
        .collect();
    assert_eq!(names, ["pong"]);
}

#[test]
fn reason_of_session_precedes_reason_of_transport() {
    let mut side = Side::complete(Direction::Inbound);
    side.receive(protoconf(1));
    let end = TransportClose::ConnectionClosed;
    let reason = side.transport_ends(end);
    assert!(matches!(reason, DisconnectReason::MalformedProtoconf(_)));
    assert_eq!(side.transport_ends(end), reason);
}
