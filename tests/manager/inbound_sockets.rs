//! Accepted sockets of scripted peers: outcomes, and the limits until then.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ManagerConfig;
use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::{ControlEvent, InboundRejectReason};
use bsv_p2p::peers::BanReason;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Message, Ping, Pong, Protoconf, Reject, RejectCode, StreamType,
    Version,
};
use crossbeam_channel::{TryRecvError, bounded};
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{RawPeer, frame, protoconf, version};
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

/// Connects a peer from this address, and its second stream.
#[track_caller]
fn with_stream(from: [u8; 4], address: SocketAddr) -> (RawPeer, RawPeer) {
    let (peer, id) = with_association(from, address);
    let mut stream = dial_from(from, address);
    stream.send(request(id));
    assert!(matches!(stream.expect("streamack"), Message::StreamAck(_)));
    (peer, stream)
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

/// Returns the reason and the port of the next rejected socket.
#[track_caller]
fn rejection(events: &EventReceiver<ControlEvent>) -> (u16, InboundRejectReason) {
    wait_for(events, |event| match event {
        ControlEvent::InboundConnectionRejected { address, reason } => {
            Some((address.port(), *reason))
        }
        _ => None,
    })
}

/// Returns a configuration with this limit for each address, also a loopback one.
fn limited(peers: usize) -> ManagerConfig {
    let mut config = listening();
    config.allow_private = Some(false);
    config.max_connections = 20;
    config.listener.max_per_address = peers;
    config.listener.max_handshakes_per_address = 20;
    config
}

fn port(peer: &RawPeer) -> u16 {
    peer.tcp().local_addr().unwrap().port()
}

#[test]
fn full_manager_accepts_streams_and_closes_peers() {
    let mut config = full();
    config.listener.max_capacity_rejects = 0;
    let (manager, events, address) = running(config);
    let (_peer, id) = with_association([127, 0, 0, 2], address);
    for from in [[127, 0, 0, 2], [127, 0, 0, 3]] {
        let other = dial_from(from, address);
        other.send(version());
        assert!(other.read_to_end().is_empty());
        let refused = (port(&other), InboundRejectReason::Capacity);
        assert_eq!(rejection(&events), refused);
    }
    let mut stream = dial_from([127, 0, 0, 2], address);
    stream.send(request(id));
    assert!(matches!(stream.expect("streamack"), Message::StreamAck(_)));
    until("it is counted", || manager.metrics().streams_attached == 1);
}

#[test]
fn full_manager_accepts_streams_and_rejects_peers() {
    let (manager, events, address) = running(full());
    let (peer, id) = with_association([127, 0, 0, 2], address);
    wait_for(&events, |event| {
        matches!(event, ControlEvent::HandshakeComplete { .. }).then_some(())
    });
    let mut other = dial_from([127, 0, 0, 2], address);
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
    let metrics = manager.metrics();
    assert_eq!((metrics.slots_taken, metrics.connections), (1, 1));
    assert_eq!((metrics.inbound_accepted, metrics.streams_attached), (2, 1));
}

#[test]
fn eight_peers_of_one_address_get_two_streams() {
    let mut config = listening();
    config.allow_private = Some(false);
    for _ in 0..25 {
        let (manager, events, address) = running(config.clone());
        // Each dials as soon as the stream of the one before is acknowledged.
        let peers = [(); 8].map(|()| with_stream([127, 0, 0, 2], address));
        until("all streams are counted", || {
            manager.metrics().streams_attached == 8
        });
        assert_eq!(manager.connected_count(), 8);
        let ninth = dial_from([127, 0, 0, 2], address);
        ninth.send(version());
        assert!(ninth.read_to_end().is_empty());
        let limit = (port(&ninth), InboundRejectReason::AddressLimit);
        assert_eq!(rejection(&events), limit);
        drop(peers);
    }
}

/// The lower limits are as high as the number of peers.
#[test]
fn changing_limits_refuse_no_peer_below_them() {
    let high = limited(20);
    let low = limited(8);
    for _ in 0..25 {
        let (manager, events, address) = running(high.clone());
        let peers = thread::scope(|scope| {
            // Dropped when the peers are connected, or a check fails.
            let (_connecting, connected) = bounded::<()>(0);
            let (manager, low, high) = (&manager, &low, &high);
            scope.spawn(move || {
                while connected.try_recv() == Err(TryRecvError::Empty) {
                    manager.update_config(low.clone()).unwrap();
                    manager.update_config(high.clone()).unwrap();
                }
            });
            [(); 8].map(|()| with_stream([127, 0, 0, 2], address))
        });
        manager.update_config(low.clone()).unwrap();
        let ninth = dial_from([127, 0, 0, 2], address);
        ninth.send(version());
        assert!(ninth.read_to_end().is_empty());
        let limit = (port(&ninth), InboundRejectReason::AddressLimit);
        assert_eq!(rejection(&events), limit);
        until("all streams are counted", || {
            manager.metrics().streams_attached == 8
        });
        let metrics = manager.metrics();
        assert_eq!((metrics.slots_taken, metrics.inbound_accepted), (8, 16));
        assert_eq!(metrics.inbound_rejected, 1);
        drop(peers);
    }
}

/// The first messages of all sockets arrive while the limit is lowered.
#[test]
fn lowered_limit_holds_for_sockets_being_classified() {
    const SOCKETS: usize = 12;
    const LOWERED: usize = 5;
    let (begin, rest) = (
        &frame(&version().into())[..4],
        &frame(&version().into())[4..],
    );
    for round in 0..25 {
        let (manager, events, address) = running(limited(20));
        let sockets = [(); SOCKETS].map(|()| {
            let socket = dial_from([127, 0, 0, 2], address);
            socket.send_bytes(begin);
            socket
        });
        let (early, late) = sockets.split_at(round % SOCKETS);
        early.iter().for_each(|socket| socket.send_bytes(rest));
        let before = thread::scope(|scope| {
            scope.spawn(|| late.iter().for_each(|socket| socket.send_bytes(rest)));
            manager.update_config(limited(LOWERED)).unwrap();
            // A slot is taken by the decision, which precedes the update or follows it.
            manager.metrics().slots_taken
        });
        let expected = before.max(LOWERED);
        until("all are decided", || {
            let metrics = manager.metrics();
            assert!(metrics.slots_taken <= expected, "{metrics:?}, {before}");
            metrics.inbound_accepted + metrics.inbound_rejected >= SOCKETS as u64
        });
        let metrics = manager.metrics();
        assert_eq!(metrics.slots_taken, expected, "round {round}, {before}");
        assert_eq!(metrics.inbound_accepted, expected as u64);
        assert_eq!(metrics.inbound_rejected, (SOCKETS - expected) as u64);
        for _ in expected..SOCKETS {
            assert_eq!(rejection(&events).1, InboundRejectReason::AddressLimit);
        }
    }
}

#[test]
fn silent_socket_ends_at_handshake_timeout() {
    let mut config = listening();
    config.listener.handshake_timeout = Duration::from_millis(300);
    let (manager, events, address) = running(config);
    let silent = dial_from([127, 0, 0, 2], address);
    let began = Instant::now();
    assert!(silent.read_to_end().is_empty());
    assert!(began.elapsed() < LIMIT);
    let mut names = Vec::new();
    let reason = wait_for(&events, |event| {
        names.push(event.name());
        match event {
            ControlEvent::ConnectionFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    });
    let timed_out = matches!(reason, DisconnectReason::HandshakeTimeout { .. });
    assert!(timed_out, "{reason}");
    let accepted = ["InboundConnectionAccepted", "ConnectionEstablished"];
    assert_eq!(names[..2], accepted);
    until("it is counted", || {
        manager.metrics().connections_failed == 1
    });
}

/// It needs a slot only if it is no second stream.
#[test]
fn silent_socket_of_full_manager_is_rejected_at_timeout() {
    let mut config = full();
    config.listener.handshake_timeout = Duration::from_millis(300);
    config.listener.evict_inbound = true;
    let (manager, events, address) = running(config);
    let (mut peer, _) = with_association([127, 0, 0, 2], address);
    for _ in 0..2 {
        let silent = dial_from([127, 0, 0, 2], address);
        assert!(silent.read_to_end().is_empty());
        let refused = (port(&silent), InboundRejectReason::Capacity);
        assert_eq!(rejection(&events), refused);
        assert_eq!(manager.metrics().slots_taken, 1);
    }
    peer.ping(1);
}

/// A peer that sends one byte at a time gains no time.
#[test]
fn dripping_socket_ends_at_handshake_timeout() {
    let mut config = listening();
    config.listener.handshake_timeout = Duration::from_millis(500);
    let (_manager, events, address) = running(config);
    let pause = Duration::from_millis(20);
    for message in [request(Uuid::new_v4()).into(), version().into()] {
        let peer = dial_from([127, 0, 0, 2], address);
        let mut tcp = peer.tcp();
        tcp.set_read_timeout(Some(pause)).unwrap();
        let began = Instant::now();
        let bytes = frame(&message);
        let mut sent = 0;
        for byte in bytes.chunks(1).take(bytes.len() - 1) {
            let _ = tcp.write_all(byte);
            sent += 1;
            match tcp.read(&mut [0]) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(sent < bytes.len() - 1, "{sent} bytes");
        assert!(began.elapsed() < LIMIT);
        let reason = wait_for(&events, |event| match event {
            ControlEvent::ConnectionFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let timed_out = matches!(reason, DisconnectReason::HandshakeTimeout { .. });
        assert!(timed_out, "{reason}");
    }
}

#[test]
fn new_handshake_timeout_applies_to_silent_sockets() {
    let mut config = listening();
    config.listener.handshake_timeout = Duration::from_secs(600);
    config.connection.session.handshake_timeout = Duration::from_secs(600);
    let (manager, events, address) = running(config.clone());
    let silent = dial_from([127, 0, 0, 2], address);
    // A later socket shows that the first one was accepted.
    let mut good = dial_from([127, 0, 0, 3], address);
    good.shake_hands();
    config.listener.handshake_timeout = Duration::from_millis(10);
    manager.update_config(config).unwrap();
    assert!(silent.read_to_end().is_empty());
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionFailed { address, .. } => {
            (address.port() == port(&silent)).then_some(())
        }
        _ => None,
    });
    good.ping(1);
}

#[test]
fn hundred_sockets_of_one_address_are_limited() {
    let mut config = listening();
    config.allow_private = Some(false);
    let (manager, events, address) = running(config);
    let (mut peer, id) = with_association([127, 0, 0, 2], address);
    let sockets: Vec<_> = (0..100)
        .map(|_| dial_from([127, 0, 0, 2], address))
        .collect();
    // Four, and one for the second stream of the peer, stay open.
    let mut rejected = Vec::new();
    for _ in 0..95 {
        let (port, reason) = rejection(&events);
        assert_eq!(reason, InboundRejectReason::HandshakeLimit);
        rejected.push(port);
    }
    for socket in sockets.iter().filter(|one| rejected.contains(&port(one))) {
        assert!(socket.read_to_end().is_empty());
    }
    let mut open = sockets.iter().filter(|one| !rejected.contains(&port(one)));
    open.next().expect("an open socket").send(request(id));
    until("it is a stream", || manager.metrics().streams_attached == 1);
    drop(sockets);
    // The second stream was among the sockets.
    peer.rest();
    dial_from([127, 0, 0, 2], address).shake_hands();
}

#[test]
fn rejected_stream_request_is_reported_without_connection() {
    let (manager, events, address) = running(listening());
    let mut peer = dial_from([127, 0, 0, 2], address);
    peer.send(request(Uuid::new_v4()));
    let reject = expect_reject(&mut peer);
    assert_eq!(reject.code, RejectCode::STREAM_SETUP);
    assert_eq!(peer.rest(), []);
    // The manager gives it a second to read the reason.
    let source = port(&peer);
    peer.close();
    let mut names = Vec::new();
    let rejected = wait_for(&events, |event| {
        names.push(event.name());
        match event {
            ControlEvent::InboundConnectionRejected { address, reason } => {
                Some((address.port(), *reason))
            }
            _ => None,
        }
    });
    assert_eq!(rejected, (source, InboundRejectReason::StreamRejected));
    assert_eq!(names, ["InboundConnectionRejected"]);
    let metrics = manager.metrics();
    assert_eq!((metrics.inbound_rejected, metrics.inbound_accepted), (1, 0));
    assert_eq!(metrics.connections_failed, 0);
}

#[test]
fn flood_of_stream_requests_leaves_nothing_behind() {
    run_in_own_process(
        "inbound_sockets::flood_of_stream_requests_leaves_nothing_behind",
        || {
            let (manager, events, address) = running(listening());
            let (mut peer, id) = with_association([127, 0, 0, 2], address);
            let mut stream = dial_from([127, 0, 0, 2], address);
            stream.send(request(id));
            stream.expect("streamack");
            let threads_of_one_peer = threads_and_descriptors().0;
            for round in 0..5 {
                let sockets: Vec<_> = (0..60)
                    .map(|number| {
                        let socket = dial_from([127, 0, 0, 2], address);
                        // Half of them request the stream that is open.
                        let id = if number % 2 == 0 { id } else { Uuid::new_v4() };
                        socket.send(request(id));
                        socket
                    })
                    .collect();
                for mut socket in sockets {
                    let code = expect_reject(&mut socket).code;
                    assert_eq!(code, RejectCode::STREAM_SETUP);
                }
                stream.ping(round);
            }
            for _ in 0..300 {
                let (_, reason) = rejection(&events);
                assert_eq!(reason, InboundRejectReason::StreamRejected);
            }
            until("their threads have ended", || {
                threads_and_descriptors().0 <= threads_of_one_peer
            });
            peer.send(Ping::new(7));
            assert_eq!(stream.expect("pong"), Pong::new(7).into());
            assert_eq!(manager.metrics().slots_taken, 1);
            peer.close();
        },
    );
}

#[test]
fn shutdown_closes_sockets_at_once() {
    let mut config = listening();
    config.listener.handshake_timeout = Duration::from_secs(600);
    config.connection.session.handshake_timeout = Duration::from_secs(600);
    let (manager, events, address) = running(config);
    let (_peer, id) = with_association([127, 0, 0, 2], address);
    let sockets: Vec<_> = (0..20)
        .map(|number| {
            let socket = dial_from([127, 0, 0, 3], address);
            let begin = frame(&request(id).into());
            socket.send_bytes(&begin[..number]);
            socket
        })
        .collect();
    dial_from([127, 0, 0, 4], address).shake_hands();
    let began = Instant::now();
    manager.shutdown().unwrap();
    assert!(began.elapsed() < SOON + LIMIT / 4, "{:?}", began.elapsed());
    for socket in sockets {
        assert!(socket.read_to_end().is_empty());
    }
    // No event is emitted for a socket that has sent nothing.
    let about_sockets = events
        .iter()
        .map(Result::unwrap)
        .filter(|event| match event {
            ControlEvent::InboundConnectionRejected { .. } => true,
            event => event
                .peer()
                .is_some_and(|(_, address)| address.ip() == Ipv4Addr::new(127, 0, 0, 3)),
        });
    assert_eq!(about_sockets.count(), 0);
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
