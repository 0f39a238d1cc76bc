//! A request for a second stream that arrives before the end of the handshake on the other
//! connection: it waits, and can be canceled.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Message, RejectCode, StreamType};
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{DEADLINE, RawPeer, wait_until};
use uuid::Uuid;

use crate::harness::{
    Owner, Peer, SocketOutcome, SocketUnderTest, config, expect_reject, greeting, message, request,
};

/// The maximum time for the end of a connection after a disconnect.
const PROMPT: Duration = Duration::from_secs(1);

/// Creates a peer that knows its association and has sent no `verack`. Its request for a second
/// stream is read.
fn early(owner: &Owner) -> (Peer, RawPeer, SocketUnderTest) {
    let (mut general, accepted) = owner.dialed();
    let id = Uuid::new_v4();
    general.send(greeting(id).0);
    let handle = accepted.connection();
    general.expect("protoconf");
    let peer = Peer {
        general,
        data1: None,
        handle,
        id,
    };
    let (data1, accepted) = ask(owner, &peer, 1);
    (peer, data1, accepted)
}

/// Requests its second stream, and waits until this many requests were read.
fn ask(owner: &Owner, peer: &Peer, requests: u64) -> (RawPeer, SocketUnderTest) {
    let (data1, accepted) = owner.dialed();
    data1.send(request(peer.id));
    wait_until("the request was read", || {
        let streams = peer.handle.statistics().streams;
        let data1 = streams.iter().find(|one| one.stream == StreamType::Data1);
        data1.is_some_and(|data1| data1.traffic.messages_received == requests)
    });
    (data1, accepted)
}

fn end_handshake(peer: &Peer) {
    peer.general.send(Message::Verack);
    peer.general.send(greeting(peer.id).1);
}

/// Its connection emits no events of its own.
#[test]
fn early_stream_request_waits_for_handshake() {
    let owner = Owner::new(config());
    let (mut peer, mut data1, accepted) = early(&owner);
    data1.send(message(1));
    end_handshake(&peer);
    assert!(matches!(data1.next_message(), Message::StreamAck(_)));
    let event = owner.messages.recv_timeout(DEADLINE).unwrap();
    assert_eq!(
        (event.peer_id, &*event.message),
        (peer.handle.peer_id(), &message(1))
    );
    assert_eq!(
        accepted.outcome(),
        SocketOutcome::Stream(peer.handle.peer_id())
    );
    peer.data1 = Some(data1);
    peer.is_well();
    let told: Vec<_> = owner.control.try_iter().map(Result::unwrap).collect();
    let names: Vec<_> = told.iter().map(ControlEvent::name).collect();
    let whole = ["ConnectionEstablished", "HandshakeComplete", "StreamOpened"];
    assert_eq!(names, whole);
    let own = |event: &ControlEvent| event.peer().map(|(id, _)| id) == Some(peer.handle.peer_id());
    assert!(told.iter().all(own), "{told:?}");
}

/// A further request is accepted afterwards.
#[test]
fn early_stream_request_can_be_canceled() {
    let owner = Owner::new(config());
    let (mut peer, data1, accepted) = early(&owner);
    let began = Instant::now();
    drop(accepted);
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    assert!(data1.read_to_end().is_empty());
    assert_eq!(owner.slots.count(), 1);
    end_handshake(&peer);
    peer.general.expect_ping();
    let (mut data1, _newcomer) = ask(&owner, &peer, 2);
    assert!(matches!(data1.next_message(), Message::StreamAck(_)));
}

#[test]
fn closed_peer_rejects_early_stream_request() {
    let owner = Owner::new(config());
    let (mut peer, mut data1, accepted) = early(&owner);
    peer.general.close();
    peer.handle.join();
    let began = Instant::now();
    let reject = expect_reject(&mut data1);
    assert_eq!(reject.code, RejectCode::STREAM_SETUP);
    assert_eq!(reject.reason, "No node found with association ID");
    let refused = SocketOutcome::Rejected(DisconnectReason::StreamRefused);
    assert_eq!(accepted.outcome(), refused);
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    assert_eq!((owner.slots.count(), owner.associations.len()), (0, 0));
}

#[test]
fn early_stream_request_closed_meanwhile_ends_peer() {
    let owner = Owner::new(config());
    let (peer, mut data1, accepted) = early(&owner);
    data1.close();
    end_handshake(&peer);
    accepted.socket.join();
    let reason = owner.expect_end(&peer);
    // Our `streamack` may have been unread.
    let cut = [
        DisconnectReason::ConnectionClosed,
        DisconnectReason::ConnectionReset,
    ];
    assert!(cut.contains(&reason), "{reason}");
}

/// The request arrives before, while or after the handshake ends.
#[test]
fn stream_request_and_end_of_handshake_may_race() {
    let owner = Owner::new(config());
    for round in 0..40 {
        let (mut general, accepted) = owner.dialed();
        let (mut data1, stream) = owner.dialed();
        let id = Uuid::new_v4();
        let (version, protoconf) = greeting(id);
        general.send(version);
        let handle = accepted.connection();
        let first = handle.peer_id();
        general.expect("protoconf");
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                data1.send(request(id));
            });
            start.wait();
            general.send(Message::Verack);
            general.send(protoconf);
        });
        let answer = data1.next_message();
        assert!(
            matches!(answer, Message::StreamAck(_)),
            "{round}: {answer:?}"
        );
        assert_eq!(stream.outcome(), SocketOutcome::Stream(first));
        owner.wait_for("the second stream", |event| {
            matches!(event, ControlEvent::StreamOpened { peer_id, .. } if *peer_id == first)
        });
        let mut peer = Peer {
            general,
            data1: Some(data1),
            handle,
            id,
        };
        peer.is_well();
        peer.general.close();
        owner.expect_end(&peer);
    }
}

#[test]
fn stream_request_and_end_of_peer_may_race() {
    let owner = Owner::new(config());
    for round in 0..40 {
        let Peer {
            mut general,
            handle,
            id,
            ..
        } = owner.peer();
        let (data1, stream) = owner.dialed();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                data1.send(request(id));
            });
            start.wait();
            match round % 2 {
                0 => general.close(),
                _ => handle.disconnect(),
            }
        });
        // Ends with the peer, or behind a `reject`.
        drop(data1.read_to_end());
        drop(data1);
        match stream.outcome() {
            SocketOutcome::Stream(peer_id) => assert_eq!(peer_id, handle.peer_id()),
            SocketOutcome::Rejected(reason) => assert_eq!(reason, DisconnectReason::StreamRefused),
            other => panic!("{round}: {other:?}"),
        }
        handle.join();
        assert_eq!((owner.slots.count(), owner.associations.len()), (0, 0));
    }
}

#[test]
fn early_stream_requests_leave_no_threads_or_descriptors() {
    run_in_own_process(
        "early_requests::early_stream_requests_leave_no_threads_or_descriptors",
        flood,
    );
}

fn flood() {
    let (threads, _) = threads_and_descriptors();
    let owner = Owner::new(config());
    let mut peer = owner.peer();
    let expect_threads_of_one_peer = || {
        wait_until("its thread is the only one", || {
            threads_and_descriptors().0 == threads + 1
        });
    };
    expect_threads_of_one_peer();
    let (_, descriptors) = threads_and_descriptors();
    for _ in 0..3 {
        let many: Vec<_> = (0..100).map(|_| owner.dialed()).collect();
        for (raw, _) in &many {
            raw.send(request(Uuid::new_v4()));
        }
        peer.is_well();
        for (mut raw, accepted) in many {
            expect_reject(&mut raw);
            accepted.socket.join();
        }
    }
    expect_threads_of_one_peer();
    assert_eq!(threads_and_descriptors().1, descriptors);
    assert_eq!(owner.slots.count(), 1);
    peer.is_well();
}
