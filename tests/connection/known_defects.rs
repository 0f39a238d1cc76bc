//! Known defects of other libraries that no other test covers.

use std::net::{Ipv6Addr, TcpListener};
use std::thread;
use std::time::Duration;

use bsv_p2p::Connection;
use bsv_p2p::connection::{ConnectionSlots, PeerConnectionOptions};
use bsv_p2p::session::{ConnectionState, DisconnectReason, NonceRegistry};
use bsv_p2p::wire::{Addr, Message};
use test_support::raw_peer::{DEADLINE, RawListener};

use crate::harness::{Actor, config, connected, message};

#[test]
fn ipv6_peers_are_dialed_and_accepted() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        // Many containers have no IPv6.
        return eprintln!("not tested: there is no IPv6 here");
    };
    let address = listener.local_addr().unwrap();
    let accept = || listener.accept().unwrap().0;

    let one = Actor::dial(address, &config());
    let other = Actor::take(accept(), &config());
    one.expect_handshake();
    other.expect_handshake();
    assert_eq!(one.handle.peer_addr(), address);
    assert!(other.handle.peer_addr().is_ipv6());
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.handle.try_send(message("six")).unwrap();
        assert_eq!(to.next_message(), Message::SendHeaders);
        assert_eq!(to.next_message(), message("six"));
    }

    let (dialed, accepted) = thread::scope(|scope| {
        let accepted =
            scope.spawn(|| Connection::accept(accept(), &config(), &NonceRegistry::default()));
        let dialed = Connection::connect(address.to_string(), &config());
        (dialed, accepted.join().unwrap())
    });
    assert_eq!(dialed.unwrap().peer_addr(), address);
    drop(accepted.unwrap());
}

#[test]
fn message_received_before_waiting_is_not_missed() {
    let answer = Message::Addr(Addr::default());
    let (mut connection, mut peer) = connected(&config());
    connection.send(&Message::GetAddr).unwrap();
    peer.expect("getaddr");
    peer.send(answer.clone());
    // A ping of the application reads the response without consuming it.
    thread::scope(|scope| {
        scope.spawn(|| {
            let nonce = peer.expect_ping();
            peer.send(bsv_p2p::wire::Pong::new(nonce));
        });
        connection.ping(DEADLINE).unwrap();
    });
    assert_eq!(connection.receive().unwrap(), answer);

    let (actor, mut peer) = Actor::connected(&config());
    actor.handle.try_send(&Message::GetAddr).unwrap();
    peer.expect("getaddr");
    peer.send(answer.clone());
    peer.ping(1);
    assert_eq!(actor.next_message(), answer);
}

#[test]
fn handshake_timeout_frees_slot_and_socket() {
    let mut impatient = config();
    impatient.session.handshake_timeout = Duration::from_millis(50);
    let slots = ConnectionSlots::new(1);
    // Repeated: every new connection starts with the same state.
    for _ in 0..3 {
        let setup = PeerConnectionOptions {
            slot: Some(slots.reserve().expect("the place is free")),
            ..PeerConnectionOptions::new(impatient.clone())
        };
        let listener = RawListener::new();
        let actor = Actor::dial_with(listener.address(), setup);
        let mut peer = listener.accept();
        let (_, reason) = actor.expect_end();
        assert!(
            matches!(reason, DisconnectReason::HandshakeTimeout { .. }),
            "{reason}"
        );
        assert_eq!(slots.count(), 0);
        assert_eq!(actor.handle.state(), ConnectionState::Failed);
        actor.expect_threads_to_end();
        // The handle still exists, the socket does not.
        let said = peer.rest();
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
