//! Second streams with Teranode, which repeats its handshake on them, and peers that abuse this.

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{DisconnectReason, StreamSetupError};
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Message, Ping, Pong, Protoconf, Reject, RejectCode, StreamAck,
    StreamType, Version,
};
use test_support::raw_peer::{DEADLINE, RawPeer, frame};
use uuid::Uuid;

use crate::harness::{
    Owner, Peer, SocketOutcome, both_policies, config, greeting, message, request, wait_for,
};
use crate::hostile_responder::{Dialed, ack, config_with_handshake_timeout};

/// The maximum number of `verack` and `protoconf` before a `streamack`.
const MAX_GREETINGS: usize = 8;

/// A part of what Teranode writes on a joined connection.
#[derive(Clone, Copy, Debug)]
enum Part {
    Verack,
    StreamAck,
    Protoconf,
}

/// Asserts that the peer has two streams and works with both.
#[track_caller]
fn assert_has_two_streams(this: &mut Dialed, data1: &mut RawPeer) {
    wait_for(&this.control, "the second stream", |event| match event {
        ControlEvent::StreamOpened { .. } => true,
        ControlEvent::HandshakeComplete { .. } | ControlEvent::ConnectionEstablished { .. } => {
            false
        }
        _ => panic!("{event}"),
    });
    data1.send(message(1));
    this.general.send(message(2));
    let mut received: Vec<_> = (0..2)
        .map(|_| (*this.messages.recv_timeout(DEADLINE).unwrap().message).clone())
        .collect();
    received.sort_by_key(|received| *received == message(2));
    assert_eq!(received, [message(1), message(2)]);
    for (number, from_general) in [(11, true), (12, false)] {
        if from_general {
            this.general.send(Ping::new(number));
        } else {
            data1.send(Ping::new(number));
        }
        while data1.expect("pong") != Pong::new(number).into() {}
    }
    assert_eq!(this.control.try_iter().count(), 0, "nothing else happened");
}

#[test]
fn greetings_in_any_order_open_second_stream() {
    use Part::{Protoconf, StreamAck, Verack};
    for order in [
        &[Verack, StreamAck, Protoconf][..],
        &[StreamAck, Verack, Protoconf],
        &[Verack, Protoconf, StreamAck],
        &[Protoconf, StreamAck, Verack],
        &[Verack, StreamAck],
        &[StreamAck, Protoconf],
        &[StreamAck],
    ] {
        for in_one_write in [false, true] {
            let (mut this, mut data1, request) = Dialed::asked(config());
            let frames: Vec<_> = order
                .iter()
                .map(|part| match part {
                    Verack => frame(&Message::Verack),
                    StreamAck => frame(&ack(&request).into()),
                    Protoconf => frame(&both_policies().into()),
                })
                .collect();
            if in_one_write {
                data1.send_bytes(&frames.concat());
            } else {
                frames.iter().for_each(|frame| data1.send_bytes(frame));
            }
            assert_has_two_streams(&mut this, &mut data1);
            // A protoconf may follow at any time.
            data1.send(both_policies());
            data1.ping(13);
            assert_eq!(this.control.try_iter().count(), 0, "{order:?}");
        }
    }
}

#[test]
fn greetings_before_streamack_are_limited() {
    for count in [MAX_GREETINGS, MAX_GREETINGS + 1, 5_000] {
        let (mut this, mut data1, request) = Dialed::asked(config());
        for _ in 0..count {
            // The connection may be closed by then.
            if !data1.try_send(Message::Verack) {
                break;
            }
        }
        data1.try_send(ack(&request));
        if count == MAX_GREETINGS {
            assert_has_two_streams(&mut this, &mut data1);
        } else {
            this.assert_refused(|refusal| *refusal == StreamSetupError::UnexpectedReply);
        }
    }
}

#[test]
fn greetings_do_not_prolong_handshake_timeout() {
    let config = config_with_handshake_timeout();
    let after = config.session.handshake_timeout;
    let (this, data1, _) = Dialed::asked(config);
    for _ in 0..MAX_GREETINGS {
        data1.send(Message::Verack);
    }
    this.assert_refused(|refusal| *refusal == StreamSetupError::TimedOut { after });
    assert!(data1.read_to_end().is_empty());
}

#[test]
fn other_answer_after_verack_is_refused() {
    let reject = Reject::new("createstrm", RejectCode::STREAM_SETUP, "no");
    let rejected = StreamSetupError::Rejected(Box::new(reject.clone()));
    let wrong_type = |request: &CreateStrm| StreamAck {
        stream_type: StreamType::Data2,
        ..ack(request)
    };
    for (answer, expected) in [
        (Some(reject.into()), rejected),
        (Some(Ping::new(1).into()), StreamSetupError::UnexpectedReply),
        (Some(message(1)), StreamSetupError::UnexpectedReply),
        (None, StreamSetupError::UnexpectedReply),
    ] {
        let (this, data1, request) = Dialed::asked(config());
        data1.send(Message::Verack);
        data1.send(answer.unwrap_or_else(|| wrong_type(&request).into()));
        this.assert_refused(|refusal| *refusal == expected);
        assert!(data1.read_to_end().is_empty());
    }
}

#[test]
fn second_streamack_ends_peer() {
    let (mut this, mut data1, request) = Dialed::asked(config());
    data1.send(ack(&request));
    assert_has_two_streams(&mut this, &mut data1);
    data1.send(ack(&request));
    assert_is_invalid_streamack(&mut this.general);
    let end = wait_for(&this.control, "the end", |event| {
        matches!(event, ControlEvent::ConnectionLost { .. })
    });
    let ControlEvent::ConnectionLost { reason, .. } = end else {
        unreachable!()
    };
    assert_eq!(reason, DisconnectReason::UnexpectedStreamAck);
    this.handle.join();
}

#[track_caller]
fn assert_is_invalid_streamack(general: &mut RawPeer) {
    let Message::Reject(reject) = general.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.message, "streamack");
    assert_eq!(reject.code, RejectCode::NONSTANDARD);
    assert_eq!(reject.reason, "Invalid streamack");
}

/// A Teranode dials, with everything that it sends before it reads our `version`.
#[track_caller]
fn dialing_teranode(owner: &Owner) -> Peer {
    let (general, accepted) = owner.dialed();
    let id = Uuid::new_v4();
    let (version, protoconf) = greeting(id);
    general.send(Version {
        user_agent: Some("/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into()),
        ..version
    });
    general.send(Message::Verack);
    let mut peer = Peer {
        general,
        data1: None,
        handle: accepted.connection(),
        id,
    };
    peer.general.expect("verack");
    peer.general.send(Message::GetAddr);
    peer.general.send(protoconf);
    let nonce = peer.general.expect_ping();
    peer.general.send(Pong::new(nonce));
    peer.is_well();
    owner.wait_for("the handshake", |event| {
        matches!(event, ControlEvent::HandshakeComplete { .. })
    });
    peer
}

#[test]
fn dialing_teranode_gets_streamack_first() {
    let owner = Owner::new(config());
    let mut peer = dialing_teranode(&owner);
    let (mut data1, accepted) = owner.dialed();
    data1.send(request(peer.id));
    let answer = StreamAck {
        association_id: AssociationId::Uuid(peer.id),
        stream_type: StreamType::Data1,
    };
    assert_eq!(data1.next_message(), answer.into());
    assert_eq!(
        accepted.outcome(),
        SocketOutcome::Stream(peer.handle.peer_id())
    );
    owner.wait_for("the second stream", |event| {
        matches!(event, ControlEvent::StreamOpened { .. })
    });
    data1.ping(5);
    peer.data1 = Some(data1);
    peer.is_well();
    assert_eq!(owner.control.try_iter().count(), 0);
}

#[test]
fn flood_of_greetings_on_second_stream_is_ignored() {
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    let too_small = Protoconf {
        max_receive_payload: 1,
        stream_policies: None,
    };
    for _ in 0..2_000 {
        peer.data1().send(Message::Verack);
        peer.data1().send(too_small.clone());
    }
    peer.data1().ping(6);
    peer.is_well();
    assert_eq!(owner.control.try_iter().count(), 0);
    peer.general.send(both_policies());
    assert_eq!(
        owner.expect_end(&peer),
        DisconnectReason::DuplicateProtoconf
    );
}

#[test]
fn streamack_to_listener_ends_connection() {
    let owner = Owner::new(config());
    let answer = || StreamAck {
        association_id: AssociationId::Uuid(Uuid::new_v4()),
        stream_type: StreamType::Data1,
    };
    // As the first message. The handshake timeout is longer than the deadline of the read.
    let (raw, accepted) = owner.dialed();
    raw.send(answer());
    let connection = accepted.connection();
    assert!(raw.read_to_end().is_empty());
    connection.join();
    let end = owner.wait_for("the end", |event| {
        matches!(event, ControlEvent::ConnectionFailed { .. })
    });
    let ControlEvent::ConnectionFailed { reason, .. } = end else {
        unreachable!()
    };
    assert_eq!(reason, DisconnectReason::UnexpectedStreamAck);
    // After the handshake, on either stream.
    for on_second in [false, true] {
        let mut peer = owner.peer_with_two();
        if on_second {
            peer.data1().send(answer());
        } else {
            peer.general.send(answer());
        }
        assert_is_invalid_streamack(&mut peer.general);
        assert_eq!(
            owner.expect_end(&peer),
            DisconnectReason::UnexpectedStreamAck
        );
    }
}
