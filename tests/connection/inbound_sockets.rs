//! Accepted sockets until their first message.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, InboundConnection, InboundOutcome, InboundSocket,
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{AssociationId, CreateStrm, Message, Ping, RejectCode, StreamType};
use bsv_p2p::{ConnectionConfig, Error};
use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;
use test_support::raw_peer::{DEADLINE, RawPeer, frame, frame_of, protoconf, socket_pair, version};
use uuid::Uuid;

use crate::harness::{PROMPT, config};

/// An accepted socket, and the connections that were started on it.
struct Accepted {
    socket: InboundSocket,
    started: Receiver<Result<PeerConnectionHandle, Error>>,
    events: EventReceiver<ControlEvent>,
    peer: RawPeer,
}

/// Accepts a socket and starts the connection.
fn accept(config: ConnectionConfig) -> Accepted {
    accept_and(config, |connection| connection.start())
}

fn accept_and(
    config: ConnectionConfig,
    start: impl FnOnce(InboundConnection<'_>) -> Result<PeerConnectionHandle, Error> + Send + 'static,
) -> Accepted {
    let (theirs, ours) = socket_pair();
    let options = PeerConnectionOptions::new(config);
    let events = options.events.subscribe_control();
    let (sender, started) = bounded(1);
    let socket = PeerConnectionActor::accept(ours, options, move |outcome| {
        if let InboundOutcome::Connection(connection) = outcome {
            let _ = sender.send(start(connection));
        }
    });
    Accepted {
        socket: socket.unwrap(),
        started,
        events,
        peer: RawPeer::new(theirs),
    }
}

impl Accepted {
    #[track_caller]
    fn connection(&self) -> PeerConnectionHandle {
        let started = self.started.recv_timeout(DEADLINE).expect("a connection");
        self.socket.join();
        started.unwrap()
    }

    /// Asserts that the connection failed, and returns the reason.
    #[track_caller]
    fn expect_failure(&self) -> DisconnectReason {
        self.connection().join();
        let events: Vec<_> = self.events.try_iter().map(Result::unwrap).collect();
        match &events[..] {
            [
                ControlEvent::ConnectionEstablished { .. },
                ControlEvent::ConnectionFailed { reason, .. },
            ] => reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn expect_no_connection(&self) {
        self.socket.join();
        assert!(self.peer.read_to_end().is_empty());
        assert!(self.started.try_recv().is_err());
        assert_eq!(self.events.try_iter().count(), 0);
    }
}

fn with_handshake_timeout(timeout: Duration) -> ConnectionConfig {
    let mut config = config();
    config.session.handshake_timeout = timeout;
    config
}

fn request() -> CreateStrm {
    CreateStrm {
        association_id: AssociationId::Uuid(Uuid::new_v4()),
        stream_type: StreamType::Data1,
        stream_policy: "BlockPriority".into(),
    }
}

#[test]
fn version_in_any_pieces_starts_connection() {
    let greeting: Vec<u8> = [version().into(), Message::Verack, protoconf().into()]
        .iter()
        .flat_map(frame)
        .collect();
    for at in [1, 3, 4, 5, 15, 16, 17, 24, 100, greeting.len()] {
        let mut accepted = accept(config());
        accepted.peer.send_bytes(&greeting[..at]);
        // The first byte of the command differs from that of a `createstrm`.
        let early = (at > 4).then(|| accepted.connection());
        accepted.peer.send_bytes(&greeting[at..]);
        let handle = early.unwrap_or_else(|| accepted.connection());
        handle.wait_connected(DEADLINE).unwrap();
        accepted.peer.expect("verack");
        accepted.peer.ping(1);
        let names = accepted
            .events
            .try_iter()
            .map(|event| event.unwrap().name());
        let expected = ["ConnectionEstablished", "HandshakeComplete"];
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let received = handle.traffic().bytes_received;
        assert_eq!(
            received,
            (greeting.len() + frame(&Ping::new(1).into()).len()) as u64
        );
    }
}

#[test]
fn no_event_precedes_first_message() {
    let accepted = accept(config());
    accepted.peer.send_bytes(&frame(&version().into())[..4]);
    assert!(accepted.socket.is_pending());
    assert_eq!(accepted.events.try_iter().count(), 0);
    drop(accepted.socket);
    assert_eq!(accepted.events.try_iter().count(), 0);
}

#[test]
fn silent_socket_fails_at_handshake_timeout() {
    let timeout = Duration::from_millis(100);
    let prefix = frame(&request().into());
    for sent in [0, 1, prefix.len() - 1] {
        let accepted = accept(with_handshake_timeout(timeout));
        accepted.peer.send_bytes(&prefix[..sent]);
        let reason = accepted.expect_failure();
        match reason {
            DisconnectReason::HandshakeTimeout { after, .. } => assert_eq!(after, timeout),
            other => panic!("{other}"),
        }
    }
}

/// The time until the first message counts.
#[test]
fn handshake_timeout_starts_when_socket_is_accepted() {
    let timeout = Duration::from_secs(2);
    let accepted = accept(with_handshake_timeout(timeout));
    let began = Instant::now();
    // The first bytes arrive after half of the time, without an end of the handshake.
    let event = accepted.events.recv_timeout(timeout / 2);
    assert!(event.is_err(), "{event:?}");
    accepted.peer.send(version());
    accepted.connection().join();
    let took = began.elapsed();
    assert!(took < timeout + timeout / 3, "{took:?}");
}

#[test]
fn duration_of_callback_is_not_part_of_handshake() {
    let config = with_handshake_timeout(Duration::from_millis(400));
    let (release, released) = bounded::<()>(1);
    let mut accepted = accept_and(config.clone(), move |connection| {
        let _ = released.recv();
        connection.start()
    });
    accepted.peer.send(version());
    // The timeout of a later socket shows that this one would be over as well.
    accept(config).expect_failure();
    release.send(()).unwrap();
    accepted.peer.expect("protoconf");
    accepted.peer.send(Message::Verack);
    accepted.peer.send(protoconf());
    accepted.connection().wait_connected(DEADLINE).unwrap();
}

#[test]
fn end_of_socket_is_end_of_handshake() {
    let ends: [fn(&mut RawPeer); 3] = [RawPeer::close, RawPeer::reset, |peer| {
        peer.send_bytes(&frame(&request().into())[..10]);
        peer.close();
    }];
    for end in ends {
        let mut accepted = accept(config());
        end(&mut accepted.peer);
        let reason = accepted.expect_failure();
        let closed = matches!(reason, DisconnectReason::ClosedDuringHandshake { .. });
        assert!(closed, "{reason}");
    }
}

#[test]
fn invalid_first_message_ends_like_any_connection() {
    let foreign = frame_of(bsv_p2p::Network::Mainnet.magic(), &Message::from(version()));
    let accepted = accept(config());
    accepted.peer.send_bytes(&foreign);
    let reason = accepted.expect_failure();
    assert!(
        matches!(reason, DisconnectReason::WrongMagic(_)),
        "{reason}"
    );

    let mut too_long = frame(&request().into());
    too_long[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let accepted = accept(config());
    accepted.peer.send_bytes(&too_long);
    let reason = accepted.expect_failure();
    let is_too_long = matches!(reason, DisconnectReason::FrameTooLarge { .. });
    assert!(is_too_long, "{reason}");
}

/// As in a node, a frame with an invalid checksum is dropped, and the handshake continues.
#[test]
fn createstrm_with_invalid_checksum_is_dropped() {
    let mut invalid = frame(&request().into());
    invalid[20] ^= 1;
    let mut accepted = accept(config());
    accepted.peer.send_bytes(&invalid);
    accepted.peer.shake_hands();
    let handle = accepted.connection();
    handle.wait_connected(DEADLINE).unwrap();
}

/// A later `createstrm` of the same socket is rejected.
#[test]
fn only_first_message_can_request_stream() {
    let mut accepted = accept(config());
    accepted.peer.send(Ping::new(1));
    accepted.peer.send(request());
    let Message::Reject(reject) = accepted.peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::STREAM_SETUP);
    assert_eq!(reject.reason, "No node found with association ID");
    accepted.connection().join();
}

#[test]
fn spawn_inbound_rejects_stream_request() {
    let (theirs, ours) = socket_pair();
    let handle =
        PeerConnectionActor::spawn_inbound(ours, PeerConnectionOptions::new(config())).unwrap();
    let mut peer = RawPeer::new(theirs);
    peer.send(request());
    let Message::Reject(reject) = peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::STREAM_SETUP);
    handle.join();
}

#[test]
fn cancel_ends_socket_without_connection() {
    let accepted = accept(config());
    let began = Instant::now();
    accepted.socket.cancel();
    accepted.expect_no_connection();
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    assert!(!accepted.socket.is_pending());
    // Without effect now.
    accepted.socket.cancel();
    accepted.socket.join();
}

#[test]
fn dropped_socket_reports_cancellation() {
    let (theirs, ours) = socket_pair();
    let (sender, outcomes) = bounded(1);
    let options = PeerConnectionOptions::new(config());
    let socket = PeerConnectionActor::accept(ours, options, move |outcome| {
        let is_canceled = matches!(outcome, InboundOutcome::Canceled);
        let _ = sender.send(is_canceled);
    });
    drop(socket.unwrap());
    assert_eq!(outcomes.try_recv(), Ok(true), "before the drop returns");
    assert!(RawPeer::new(theirs).read_to_end().is_empty());
}

#[test]
fn canceled_socket_starts_no_connection() {
    let (enter, entered) = bounded(1);
    let (release, released) = bounded::<()>(1);
    let accepted = accept_and(config(), move |connection| {
        enter.send(()).unwrap();
        let _ = released.recv();
        connection.start()
    });
    accepted.peer.send(version());
    entered.recv_timeout(DEADLINE).unwrap();
    accepted.socket.cancel();
    assert!(accepted.socket.is_pending());
    release.send(()).unwrap();
    let started = accepted.started.recv_timeout(DEADLINE).unwrap();
    let Err(Error::Disconnected { reason, .. }) = started else {
        panic!("{started:?}");
    };
    assert_eq!(reason, DisconnectReason::Requested);
    accepted.expect_no_connection();
}

#[test]
fn connection_that_is_not_started_closes_silently() {
    let slots = ConnectionSlots::new(1);
    let (theirs, ours) = socket_pair();
    let mut options = PeerConnectionOptions::new(config());
    options.slot = slots.reserve();
    let events = options.events.subscribe_control();
    let socket = PeerConnectionActor::accept(ours, options, |outcome| drop(outcome)).unwrap();
    let peer = RawPeer::new(theirs);
    peer.send(version());
    assert!(peer.read_to_end().is_empty());
    socket.join();
    assert_eq!((slots.count(), events.try_iter().count()), (0, 0));
}

#[test]
fn slot_can_be_reserved_when_connection_starts() {
    let slots = ConnectionSlots::new(1);
    let [mut accepted, mut other] = [(); 2].map(|()| {
        let slots = slots.clone();
        accept_and(config(), move |mut connection| match slots.reserve() {
            Some(slot) => {
                connection.options_mut().slot = Some(slot);
                connection.start()
            }
            None => connection.reject_over_capacity(),
        })
    });
    assert_eq!(slots.count(), 0);
    accepted.peer.shake_hands();
    let handle = accepted.connection();
    handle.wait_connected(DEADLINE).unwrap();
    assert_eq!(slots.count(), 1);
    other.peer.send(version());
    other.peer.send(Message::Verack);
    let Message::Reject(reject) = other.peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.code, RejectCode::TOO_BUSY);
    other.connection().join();
    let names = other.events.try_iter().map(|event| event.unwrap().name());
    let expected = ["ConnectionEstablished", "ConnectionRejectedCapacity"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    drop(handle);
    assert_eq!(slots.count(), 0);
}

#[test]
fn panic_of_callback_ends_its_socket_only() {
    let accepted = accept_and(config(), |_| panic!("a bug of the caller"));
    accepted.peer.send(version());
    accepted.expect_no_connection();

    // The handle is dropped by the panic, which closes the connection.
    let accepted = accept_and(config(), |connection| {
        let _handle = connection.start();
        panic!("a bug of the caller");
    });
    accepted.peer.send(version());
    assert!(accepted.peer.read_to_end().is_empty());
    accepted.socket.join();
    let end = accepted.events.recv_timeout(DEADLINE).unwrap();
    let ControlEvent::ConnectionFailed { reason, .. } = &end else {
        panic!("{end}");
    };
    assert_eq!(*reason, DisconnectReason::Requested);
}

#[test]
fn handle_and_socket_can_be_dropped_in_callback() {
    let socket: Arc<Mutex<Option<InboundSocket>>> = Arc::default();
    let (theirs, ours) = socket_pair();
    let in_callback = socket.clone();
    let (sender, done) = bounded(1);
    let options = PeerConnectionOptions::new(config());
    // The lock is held until the socket is stored.
    let mut stored = socket.lock();
    let accepted = PeerConnectionActor::accept(ours, options, move |outcome| {
        drop(in_callback.lock().take());
        if let InboundOutcome::Connection(connection) = outcome {
            drop(connection.start());
        }
        let _ = sender.send(());
    });
    *stored = Some(accepted.unwrap());
    drop(stored);
    let peer = RawPeer::new(theirs);
    peer.send(version());
    assert!(peer.read_to_end().is_empty());
    done.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn handle_joins_thread_of_socket() {
    let mut accepted = accept(config());
    accepted.peer.shake_hands();
    let handle = accepted.connection();
    drop(accepted.socket);
    handle.wait_connected(DEADLINE).unwrap();
    let began = Instant::now();
    drop(handle);
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    assert!(accepted.peer.rest().is_empty());
}

#[test]
fn closed_socket_is_accepted_or_refused() {
    let (theirs, ours) = socket_pair();
    drop(theirs);
    let accepted: Result<InboundSocket, Error> =
        PeerConnectionActor::accept(ours, PeerConnectionOptions::new(config()), |outcome| {
            if let InboundOutcome::Connection(connection) = outcome {
                drop(connection.start());
            }
        });
    match accepted {
        Ok(socket) => socket.join(),
        Err(Error::Io { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let unconnected: TcpStream =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .unwrap()
            .into();
    let options = PeerConnectionOptions::new(config());
    let refused = PeerConnectionActor::accept(unconnected, options, |_| {});
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
}
