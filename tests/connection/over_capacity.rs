//! Inbound peers without a free slot.

use std::io::Write;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, PeerConnectionActor, PeerConnectionHandle,
    PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use bsv_p2p::wire::{Message, Ping, RejectCode};
use bsv_p2p::{Connection, ConnectionConfig, Error};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, protoconf, socket_pair, version};

use crate::harness::{PROMPT, config};

fn turn_away(
    config: ConnectionConfig,
) -> (PeerConnectionHandle, EventReceiver<ControlEvent>, RawPeer) {
    let (ours, theirs) = socket_pair();
    let setup = PeerConnectionOptions::new(config);
    let events = setup.events.subscribe_control();
    let handle = PeerConnectionActor::spawn_over_capacity(ours, setup).unwrap();
    (handle, events, RawPeer::new(theirs))
}

#[track_caller]
fn names(events: &EventReceiver<ControlEvent>) -> Vec<&'static str> {
    events
        .try_iter()
        .map(Result::unwrap)
        .map(|event| event.name())
        .collect()
}

#[test]
fn peer_over_capacity_gets_handshake_reject_and_close() {
    let (handle, events, mut peer) = turn_away(config());
    peer.send(version());
    peer.expect("version");
    peer.expect("verack");
    peer.send(Message::Verack);
    peer.send(protoconf());
    let Message::Reject(reject) = peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(reject.message, "version");
    assert_eq!(reject.code, RejectCode::TOO_BUSY);
    assert_eq!(peer.next(), None, "the connection is closed");
    handle.join();
    assert_eq!(handle.state(), ConnectionState::Rejected);
    assert_eq!(
        names(&events),
        ["ConnectionEstablished", "ConnectionRejectedCapacity"]
    );
}

#[test]
fn unread_bytes_do_not_prevent_capacity_reject() {
    let (_handle, _events, mut peer) = turn_away(config());
    peer.send(version());
    peer.send(Message::Verack);
    // Unread bytes in a closed socket would reset the connection.
    for _ in 0..1000 {
        // The connection may be closed already.
        if peer
            .tcp()
            .write_all(&test_support::raw_peer::frame(&Ping::new(7).into()))
            .is_err()
        {
            break;
        }
    }
    peer.expect("reject");
}

#[test]
fn dialing_full_peer_reports_peer_full() {
    let listener = RawListener::new();
    let address = listener.address().to_string();
    let dialing = std::thread::spawn(move || Connection::connect(&address, &config()));
    let setup = PeerConnectionOptions::new(config());
    let handle = PeerConnectionActor::spawn_over_capacity(listener.accept_tcp(), setup).unwrap();
    match dialing.join().unwrap() {
        Err(Error::Disconnected {
            reason: DisconnectReason::PeerAtCapacity(_),
            ..
        }) => {}
        // The reject follows the handshake closely.
        Ok(mut connection) => {
            let ended = connection.receive_timeout(DEADLINE);
            assert!(
                matches!(
                    ended,
                    Err(Error::Disconnected {
                        reason: DisconnectReason::PeerAtCapacity(_),
                        ..
                    })
                ),
                "{ended:?}"
            );
        }
        Err(other) => panic!("{other}"),
    }
    handle.join();
}

#[test]
fn connection_over_capacity_uses_no_slot() {
    let slots = ConnectionSlots::new(1);
    let (ours, _theirs) = socket_pair();
    let setup = PeerConnectionOptions {
        slot: slots.reserve(),
        ..PeerConnectionOptions::new(config())
    };
    let _handle = PeerConnectionActor::spawn_over_capacity(ours, setup).unwrap();
    assert_eq!(slots.count(), 0);
}

#[test]
fn peer_over_capacity_without_handshake_times_out() {
    let mut config = config();
    config.session.handshake_timeout = Duration::from_millis(50);
    let (handle, events, _peer) = turn_away(config);
    handle.join();
    assert_eq!(
        names(&events),
        ["ConnectionEstablished", "ConnectionFailed"]
    );
    assert_eq!(handle.state(), ConnectionState::Failed);
}

#[test]
fn peer_over_capacity_is_closed_within_seconds() {
    let (handle, _events, mut peer) = turn_away(config());
    peer.send(version());
    peer.send(Message::Verack);
    peer.expect("reject");
    let began = Instant::now();
    handle.join();
    assert!(began.elapsed() < 3 * PROMPT, "{:?}", began.elapsed());
}

#[test]
fn disconnect_does_not_wait_for_capacity_reject() {
    let (handle, _events, mut peer) = turn_away(config());
    peer.send(version());
    peer.send(Message::Verack);
    peer.expect("reject");
    let began = Instant::now();
    handle.disconnect();
    handle.join();
    assert!(began.elapsed() < PROMPT / 2, "{:?}", began.elapsed());
}
