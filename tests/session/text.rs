//! Texts about hostile peers: each is one line, in which content of the peer is escaped.

use bsv_p2p::Error;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerId;
use bsv_p2p::session::{DisconnectReason, Misbehavior, Output, PeerInfo, SessionEvent};
use bsv_p2p::wire::{
    FrameDropReason, FrameError, InvalidCommand, Reject, RejectCode, Version, WireString,
};

use crate::side::{DIRECTIONS, Side, peer_address, peer_version};

/// Line ends, terminal codes, right-to-left text, and a character without a width.
const HOSTILE: &str =
    "abc\n12:00 ERROR\r\u{0}\u{1b}[2J\u{9b}31m\u{7f}\u{2028}\u{202e}\u{200b}\u{feff}";

#[track_caller]
fn assert_one_line(text: &str) {
    assert!(
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{text}"
    );
    assert!(!text.is_empty());
}

#[track_caller]
fn assert_reason(reason: &DisconnectReason) {
    assert_one_line(&reason.to_string());
    assert_one_line(&format!("{reason:?}"));
    let (peer_id, address) = (PeerId::from_u128(0), peer_address());
    let reason = reason.clone();
    let lost = ControlEvent::ConnectionLost {
        peer_id,
        address,
        reason: reason.clone(),
    };
    assert_one_line(&lost.to_string());
    let peer = address.to_string();
    assert_one_line(&Error::Disconnected { peer, reason }.to_string());
}

#[track_caller]
fn assert_misbehavior(misbehavior: &Misbehavior) {
    assert_one_line(&misbehavior.to_string());
    assert_one_line(&format!("{misbehavior:?}"));
}

/// Checks all outputs of a session, and returns the reason of its end.
#[track_caller]
fn assert_outputs(side: &mut Side) -> Option<DisconnectReason> {
    for output in side.take() {
        assert_one_line(&format!("{output:?}"));
        match output {
            Output::Event(SessionEvent::Misbehavior { misbehavior, .. }) => {
                assert_misbehavior(&misbehavior);
            }
            Output::Close(reason) => assert_reason(&reason),
            _ => {}
        }
    }
    assert_one_line(&format!("{:?}", side.session));
    side.closed().cloned()
}

#[test]
fn hostile_user_agent_is_escaped_in_every_event() {
    for direction in DIRECTIONS {
        for agent in [HOSTILE, &HOSTILE[3..]] {
            let version = Version {
                user_agent: Some(agent.into()),
                ..peer_version()
            };
            let info = Box::new(PeerInfo::from(&version));
            let event = ControlEvent::HandshakeComplete {
                peer_id: PeerId::from_u128(0),
                address: peer_address(),
                info,
            };
            assert_one_line(&event.to_string());
            let mut side = Side::connected(direction);
            side.receive(version);
            let refused = assert_outputs(&mut side);
            let expected = agent.contains("abc");
            assert_eq!(
                matches!(refused, Some(DisconnectReason::UserAgentRejected { .. })),
                expected
            );
        }
    }
}

#[test]
fn hostile_reject_is_escaped_in_disconnect_reason() {
    for code in [RejectCode::TOO_BUSY, RejectCode::OBSOLETE, RejectCode(0xee)] {
        let reject = Reject::new("version", code, HOSTILE);
        assert_reason(&DisconnectReason::PeerAtCapacity(Box::new(reject.clone())));
        assert_reason(&DisconnectReason::RejectedByPeer(Box::new(reject.clone())));
        for direction in DIRECTIONS {
            let mut side = Side::connected(direction);
            side.receive(reject.clone());
            assert_outputs(&mut side);
            side.receive(Reject::new(&HOSTILE[..12], code, HOSTILE));
            side.transport_ends(bsv_p2p::session::TransportClose::ConnectionClosed);
            assert!(assert_outputs(&mut side).is_some());
        }
    }
}

#[test]
fn hostile_command_is_escaped_in_frame_errors() {
    let command = WireString::from(HOSTILE);
    let too_long = FrameError::TooLong {
        command: command.clone(),
        len: 2,
        limit: 1,
    };
    assert_reason(&too_long.clone().into());
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        let cause = FrameDropReason::from(InvalidCommand(command.clone()));
        side.with(|session, now| session.on_dropped(cause, now));
        side.with(|session, _| session.on_frame_error(too_long.clone()));
        assert!(assert_outputs(&mut side).is_some());
    }
}
