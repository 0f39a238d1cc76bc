//! Connections of raw peers that may be second streams, and are or are not.

use std::net::SocketAddr;
use std::time::Duration;

use bsv_p2p::ManagerConfig;
use bsv_p2p::event::{ControlEvent, InboundRejectReason};
use bsv_p2p::peers::BanReason;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Message, Ping, Pong, Protoconf, Reject, RejectCode, StreamType,
    Version,
};
use uuid::Uuid;

use crate::harness::*;
use crate::raw_peer::{RawPeer, protoconf, version};

/// The `version` and the `protoconf` of a peer that dials and would have two streams.
fn greeting(id: Uuid) -> (Version, Protoconf) {
    let version = Version {
        association_id: Some(AssociationId::Uuid(id)),
        ..version()
    };
    let protoconf = Protoconf {
        stream_policies: Some("BlockPriority,Default".into()),
        ..protoconf()
    };
    (version, protoconf)
}

/// A peer at this address that may have a second stream, and its association.
#[track_caller]
fn with_association(from: [u8; 4], address: SocketAddr) -> (RawPeer, Uuid) {
    let mut peer = dial_from(from, address);
    let id = Uuid::new_v4();
    let (version, protoconf) = greeting(id);
    peer.send(version);
    peer.send(Message::Verack);
    peer.send(protoconf);
    peer.expect_ping();
    (peer, id)
}

fn request(id: Uuid) -> CreateStrm {
    CreateStrm {
        association_id: AssociationId::Uuid(id),
        stream_type: StreamType::Data1,
        stream_policy: "BlockPriority".into(),
    }
}

#[track_caller]
fn expect_reject(peer: &mut RawPeer) -> Reject {
    match peer.expect("reject") {
        Message::Reject(reject) => reject,
        other => panic!("{other:?}"),
    }
}

/// Only one peer, and each address of this machine is limited like any other.
fn full() -> ManagerConfig {
    let mut config = listening();
    config.allow_private = Some(false);
    config.max_connections = 1;
    config
}

#[test]
fn one_that_was_let_in_as_a_stream_and_is_a_peer_is_told_that_there_is_no_room() {
    let mut config = full();
    config.listener.max_capacity_rejects = 0;
    let (manager, events, address) = running(config);
    let (peer, id) = with_association([127, 0, 0, 2], address);
    // Nobody is told politely who comes from elsewhere, and no more from here than may be streams.
    let silent = dial_from([127, 0, 0, 2], address);
    for from in [[127, 0, 0, 3], [127, 0, 0, 2]] {
        assert!(dial_from(from, address).read_to_end().is_empty());
        let refused = wait_for(&events, |event| match event {
            ControlEvent::InboundConnectionRejected { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(refused, InboundRejectReason::Capacity);
    }
    assert_eq!(manager.metrics().slots_taken, 1);
    let mut other = silent;
    let (version, protoconf) = greeting(Uuid::new_v4());
    other.send(version);
    other.send(Message::Verack);
    other.send(protoconf);
    let Message::Version(answer) = other.expect("version") else {
        unreachable!()
    };
    let declined = Some(AssociationId::Null);
    assert_eq!(
        answer.association_id, declined,
        "it is not to dial once more"
    );
    assert_eq!(expect_reject(&mut other).code, RejectCode::TOO_BUSY);
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionRejectedCapacity { .. } => Some(()),
        ControlEvent::InboundConnectionAccepted { .. } => panic!("{event}"),
        _ => None,
    });
    until("it is counted", || manager.metrics().turned_away == 1);
    assert_eq!(manager.metrics().streams_attached, 0);
    let mut stream = dial_from([127, 0, 0, 2], address);
    stream.send(request(id));
    assert!(matches!(stream.expect("streamack"), Message::StreamAck(_)));
    // Pings and pongs belong to the second stream.
    until("it is a stream", || {
        manager.connections()[0].stream_policy.is_some()
    });
    peer.send(Ping::new(1));
    assert_eq!(stream.expect("pong"), Pong::new(1).into());
}

#[test]
fn one_that_may_be_a_stream_and_says_nothing_ends_with_its_handshake() {
    let mut config = full();
    config.listener.max_capacity_rejects = 0;
    config.listener.handshake_timeout = Duration::from_millis(300);
    let (manager, events, address) = running(config);
    let (_peer, _) = with_association([127, 0, 0, 2], address);
    for _ in 0..2 {
        let silent = dial_from([127, 0, 0, 2], address);
        assert!(silent.read_to_end().is_empty());
        let reason = wait_for(&events, |event| match event {
            ControlEvent::ConnectionFailed { reason, .. } => Some(reason.clone()),
            ControlEvent::InboundConnectionRejected { .. } => panic!("{event}"),
            _ => None,
        });
        let timed_out = matches!(reason, DisconnectReason::HandshakeTimeout { .. });
        assert!(timed_out, "{reason}");
        assert_eq!(manager.metrics().slots_taken, 1);
    }
}

#[test]
fn who_asks_for_the_stream_of_another_address_is_banned_though_there_was_no_place_for_it() {
    let mut config = full();
    config.max_connections = 2;
    let (manager, events, address) = running(config);
    let (mut victim, id) = with_association([127, 0, 0, 2], address);
    let (mut companion, _) = with_association([127, 0, 0, 3], address);
    let mut thief = dial_from([127, 0, 0, 3], address);
    thief.send(request(id));
    assert_eq!(expect_reject(&mut thief).code, RejectCode::STREAM_SETUP);
    let reason = wait_for(&events, |event| match event {
        ControlEvent::PeerBanned { ban, .. } => Some(ban.reason),
        _ => None,
    });
    assert_eq!(reason, BanReason::StreamAddressMismatch);
    companion.rest();
    assert!(dial_from([127, 0, 0, 3], address).read_to_end().is_empty());
    victim.ping(1);
    let mut stream = dial_from([127, 0, 0, 2], address);
    stream.send(request(id));
    stream.expect("streamack");
    until("the other peer from there has gone", || {
        manager.connected() == 1
    });
}
