//! Inbound connections of scripted peers that could become second streams.

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
use test_support::raw_peer::{RawPeer, protoconf, version};
use uuid::Uuid;

use crate::harness::*;

/// Returns the `version` and the `protoconf` of a dialing peer that offers two streams.
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

/// Connects a peer from this address that may have a second stream. Returns its association, too.
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

/// Returns a configuration for one peer, in which each loopback address is limited like a public
/// one.
fn full() -> ManagerConfig {
    let mut config = listening();
    config.allow_private = Some(false);
    config.max_connections = 1;
    config
}

#[test]
fn peer_in_stream_slot_is_rejected_for_capacity() {
    let mut config = full();
    config.listener.max_capacity_rejects = 0;
    let (manager, events, address) = running(config);
    let (peer, id) = with_association([127, 0, 0, 2], address);
    // Peers of other addresses get no reject, and only one candidate per missing stream is accepted
    // from this address.
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
    until("it is counted", || {
        manager.metrics().inbound_rejected_capacity == 1
    });
    assert_eq!(manager.metrics().streams_attached, 0);
    let mut stream = dial_from([127, 0, 0, 2], address);
    stream.send(request(id));
    assert!(matches!(stream.expect("streamack"), Message::StreamAck(_)));
    // Pings and pongs use the second stream.
    until("it is a stream", || {
        manager.connections()[0].stream_policy.is_some()
    });
    peer.send(Ping::new(1));
    assert_eq!(stream.expect("pong"), Pong::new(1).into());
}

#[test]
fn silent_stream_candidate_ends_at_handshake_timeout() {
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
fn stream_request_across_addresses_is_banned_at_capacity() {
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
        manager.connected_count() == 1
    });
}
