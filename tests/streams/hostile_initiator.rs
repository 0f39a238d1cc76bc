//! Invalid requests for a stream are rejected with a reason, without effect on other peers.

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Encode, Message, RejectCode, StreamAck, StreamType, WireString,
};
use test_support::raw_peer::{DEADLINE, RawPeer, version, wait_until};
use uuid::Uuid;

use crate::harness::{Owner, Peer, SocketOutcome, config, expect_reject, message, request};

/// Returns a request with this byte as its stream type.
fn of_type(id: Uuid, byte: u8) -> Vec<u8> {
    let mut payload = request(id).encode_to_vec();
    payload[18] = byte;
    payload
}

fn with_policy(id: Uuid, policy: impl Into<WireString>) -> Vec<u8> {
    let mut payload = request(id).encode_to_vec();
    payload.truncate(19);
    policy.into().encode(&mut payload);
    payload
}

fn send_createstrm(peer: &RawPeer, payload: Vec<u8>) {
    peer.send(Message::Unknown {
        command: bsv_p2p::wire::Command::new("createstrm"),
        payload: payload.into(),
    });
}

/// Sends this on a new connection, and asserts that it is rejected with this text and that the peer
/// continues.
#[track_caller]
fn assert_refused(owner: &Owner, peer: &mut Peer, payload: Vec<u8>, text: &str) {
    let (mut raw, accepted) = owner.dialed();
    send_createstrm(&raw, payload);
    let reject = expect_reject(&mut raw);
    assert_eq!(reject.message, "createstrm");
    assert_eq!(reject.code, RejectCode::STREAM_SETUP, "{reject}");
    assert!(
        reject.reason.to_string().starts_with(text),
        "{reject}, {text}"
    );
    let refused = SocketOutcome::Rejected(DisconnectReason::StreamRefused);
    assert_eq!(accepted.outcome(), refused);
    assert_eq!(owner.slots.count(), 1);
    peer.is_well();
}

/// The peer keeps its connection.
#[test]
fn invalid_stream_request_is_rejected_like_the_node() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    let id = peer.id;
    let null = CreateStrm {
        association_id: AssociationId::Null,
        ..request(id)
    };
    let unknown = request(Uuid::new_v4()).encode_to_vec();
    let overwrite = "Attempt to overwrite existing stream in move";
    for (payload, text) in [
        (unknown, "No node found with association ID"),
        (null.encode_to_vec(), "NULL association ID"),
        (of_type(id, 0), "StreamType out of range"),
        (of_type(id, 1), overwrite),
        // Like in a node, the association is checked first.
        (
            of_type(Uuid::new_v4(), 3),
            "No node found with association ID",
        ),
        (of_type(id, 3), "StreamType out of range"),
        (of_type(id, 5), "StreamType out of range"),
        (of_type(id, 6), "StreamType out of range"),
        (of_type(id, 255), "StreamType out of range"),
        (with_policy(id, "Fast"), "Unknown stream policy name"),
        (with_policy(id, "x".repeat(65)), "Badly formatted message"),
        (vec![], "Badly formatted message"),
        (vec![18, 0, 1], "Badly formatted message"),
    ] {
        assert_refused(&owner, &mut peer, payload, text);
    }
    // The valid request still succeeds afterwards.
    let (mut data1, _newcomer) = owner.dialed();
    data1.send(request(id));
    assert!(matches!(data1.next_message(), Message::StreamAck(_)));
    peer.data1 = Some(data1);
    wait_until("it is in use", || {
        peer.handle.statistics().stream_policy.is_some()
    });
    peer.is_well();
    assert_refused(&owner, &mut peer, request(id).encode_to_vec(), overwrite);
}

#[test]
fn connection_that_received_version_becomes_no_stream() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    let (mut raw, accepted) = owner.dialed();
    raw.send(version());
    let connection = accepted.connection();
    raw.expect("protoconf");
    raw.send(request(peer.id));
    let Message::Reject(reject) = raw.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::NONSTANDARD);
    assert_eq!(reject.reason, "Invalid createstream scenario");
    assert_eq!(raw.rest(), []);
    raw.close();
    connection.join();
    // A request on the peer's own connection ends it.
    peer.general.send(request(peer.id));
    let Message::Reject(reject) = peer.general.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::NONSTANDARD);
    assert_eq!(owner.expect_end(&peer), DisconnectReason::StreamRefused);
}

#[test]
fn stream_request_from_other_address_is_banned() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    let (mut thief, accepted) = owner.dialed_from([127, 0, 0, 2]);
    thief.send(request(peer.id));
    let reject = expect_reject(&mut thief);
    assert_eq!(reject.code, RejectCode::STREAM_SETUP);
    let text = "Attempt to move stream between peers with different IPs";
    assert!(reject.reason.to_string().starts_with(text), "{reject}");
    let SocketOutcome::Rejected(reason) = accepted.outcome() else {
        panic!("a rejected request");
    };
    assert_eq!(reason, DisconnectReason::StreamAddressMismatch);
    assert!(reason.is_ban());
    assert_eq!(owner.control.try_iter().count(), 0);
    peer.is_well();
}

#[test]
fn many_stream_requests_leave_nothing_behind() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    for round in 0..30 {
        let many: Vec<_> = (0..10).map(|_| owner.dialed()).collect();
        for (raw, _) in &many {
            raw.send(request(Uuid::new_v4()));
        }
        for (mut raw, accepted) in many {
            assert_eq!(expect_reject(&mut raw).code, RejectCode::STREAM_SETUP);
            accepted.socket.join();
        }
        assert_eq!(owner.slots.count(), 1, "round {round}");
    }
    assert_eq!(owner.associations.len(), 1);
    peer.is_well();
}

#[test]
fn one_of_two_concurrent_stream_requests_succeeds() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    for _ in 0..20 {
        let (one, first) = owner.dialed();
        let (other, second) = owner.dialed();
        one.send(request(peer.id));
        other.send(request(peer.id));
        let mut taken = Vec::new();
        for mut raw in [one, other] {
            match raw.next_message() {
                Message::StreamAck(_) => taken.push(raw),
                Message::Reject(reject) => {
                    let text = "Attempt to overwrite existing stream in move";
                    assert_eq!(reject.reason, text);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(taken.len(), 1);
        peer.data1 = taken.pop();
        first.socket.join();
        second.socket.join();
        wait_until("it is in use", || {
            peer.handle.statistics().stream_policy.is_some()
        });
        peer.is_well();
        peer.data1().close();
        assert_eq!(owner.expect_end(&peer), DisconnectReason::ConnectionClosed);
        peer = owner.peer();
    }
}

#[test]
fn messages_after_stream_request_are_not_lost() {
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    let (mut data1, accepted) = owner.dialed();
    let mut bytes = test_support::raw_peer::frame(&request(peer.id).into());
    for number in 0..50 {
        bytes.extend(test_support::raw_peer::frame(&message(number)));
    }
    // The last one arrives in two parts.
    let (first, last) = bytes.split_at(bytes.len() - 5);
    data1.send_bytes(first);
    let ack = StreamAck {
        association_id: AssociationId::Uuid(peer.id),
        stream_type: StreamType::Data1,
    };
    assert_eq!(data1.next_message(), ack.into());
    data1.send_bytes(last);
    for number in 0..50 {
        let event = owner.messages.recv_timeout(DEADLINE).unwrap();
        assert_eq!(*event.message, message(number));
        assert_eq!(event.peer_id, peer.handle.peer_id());
    }
    assert_eq!(
        accepted.outcome(),
        SocketOutcome::Stream(peer.handle.peer_id())
    );
    peer.data1 = Some(data1);
    peer.is_well();
}

#[test]
fn policy_without_second_stream_sends_on_first() {
    for policy in ["", "Default"] {
        let owner = Owner::new(config());
        let mut peer = owner.peer();
        let (mut data1, accepted) = owner.dialed();
        send_createstrm(&data1, with_policy(peer.id, policy));
        assert!(matches!(data1.next_message(), Message::StreamAck(_)));
        accepted.socket.join();
        // Its messages are still read.
        data1.send(message(1));
        let event = owner.messages.recv_timeout(DEADLINE).unwrap();
        assert_eq!(*event.message, message(1));
        // Responses are not expected on `data1`.
        peer.is_well();
        data1.close();
        assert_eq!(owner.expect_end(&peer), DisconnectReason::ConnectionClosed);
    }
}

#[test]
fn attached_connection_emits_no_events() {
    let owner = Owner::new(config());
    let peer = owner.peer();
    let (mut data1, accepted) = owner.dialed();
    data1.send(request(peer.id));
    assert!(matches!(data1.next_message(), Message::StreamAck(_)));
    assert_eq!(
        accepted.outcome(),
        SocketOutcome::Stream(peer.handle.peer_id())
    );
    assert_eq!(owner.slots.count(), 1);
    let opened = owner.control.recv_timeout(DEADLINE).unwrap();
    let ControlEvent::StreamOpened { peer_id, .. } = opened else {
        panic!("{opened}");
    };
    assert_eq!(peer_id, peer.handle.peer_id());
    data1.close();
    let end = owner.control.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(end, ControlEvent::ConnectionLost { .. }), "{end}");
    assert_eq!(end.peer().map(|(id, _)| id), Some(peer_id));
    peer.handle.join();
    assert_eq!(owner.control.try_iter().count(), 0);
}
