//! Self-connections, and peers that reject the connection.

use std::thread;

use bsv_p2p::Connection;
use bsv_p2p::connection::PeerConnectionOptions;
use bsv_p2p::session::{DisconnectReason, NonceRegistry};
use bsv_p2p::wire::{Message, Reject, RejectCode};
use test_support::raw_peer::{RawListener, RawPeer, echo, version, wait_until};

use crate::harness::{Actor, config, reason_of};
use test_support::with_sources::with_sources;

#[test]
fn self_connection_is_detected_on_both_sides() {
    let text = "connection leads back to this process";
    let nonces = NonceRegistry::default();
    let listener = RawListener::new();
    let address = listener.address();
    thread::scope(|scope| {
        let accepted = scope.spawn(|| {
            let tcp = listener.accept_tcp();
            Connection::accept(tcp, &config(), &nonces).unwrap_err()
        });
        let error = Connection::connect_with(address.to_string(), &config(), &nonces).unwrap_err();
        let expected = format!("{address}: not connected: {text}");
        assert_eq!(with_sources(&error), expected);
        let accepted = accepted.join().unwrap();
        assert!(with_sources(&accepted).ends_with(&format!(": {text}")));
        for error in [error, accepted] {
            let reason = reason_of::<()>(Err(error));
            assert_eq!(reason, DisconnectReason::SelfConnection);
        }
    });

    let setup = || PeerConnectionOptions {
        nonces: nonces.clone(),
        ..PeerConnectionOptions::new(config())
    };
    let outbound = Actor::dial_with(address, setup());
    let inbound = Actor::take_with(listener.accept_tcp(), setup());
    for actor in [outbound, inbound] {
        let (event, reason) = actor.expect_end();
        assert_eq!(reason, DisconnectReason::SelfConnection);
        assert!(event.to_string().ends_with(&format!("failed: {text}")));
    }
    assert!(nonces.is_empty(), "no nonce stays behind");
}

#[test]
fn echo_server_is_recognized_as_self_connection() {
    let listener = RawListener::new();
    let address = listener.address();
    thread::scope(|scope| {
        scope.spawn(|| (0..2).for_each(|_| echo(listener.accept_tcp())));
        let error = Connection::connect(address.to_string(), &config()).unwrap_err();
        let reason = reason_of::<()>(Err(error));
        assert_eq!(reason, DisconnectReason::SelfConnection);
        let (_, reason) = Actor::dial(address, &config()).expect_end();
        assert_eq!(reason, DisconnectReason::SelfConnection);
    });
}

/// Teranode dials, rejects our `version` and closes, with our answer unread: the system sends a
/// reset.
#[test]
fn reject_before_reset_names_refusal() {
    let text = "Only Bitcoin SV clients are supported";
    let reject = Reject::new("version", RejectCode::NONSTANDARD, text);
    let listener = RawListener::new();
    let mut peer = RawPeer::dial(listener.address());
    let actor = Actor::take(listener.accept_tcp(), &config());
    peer.send(version());
    peer.send(Message::Verack);
    actor.expect_handshake();
    // Our version has arrived by now, and is not read.
    wait_until("our version has arrived", || {
        peer.tcp().peek(&mut [0]).is_ok_and(|len| len > 0)
    });
    peer.send(reject.clone());
    peer.close();
    let (event, reason) = actor.expect_end();
    assert_eq!(reason, DisconnectReason::RejectedByPeer(Box::new(reject)));
    assert!(event.to_string().contains(text), "{event}");
}

#[test]
fn separate_nonce_registries_detect_no_self_connection() {
    let listener = RawListener::new();
    let one = Actor::dial(listener.address(), &config());
    let other = Actor::take(listener.accept_tcp(), &config());
    one.expect_handshake();
    other.expect_handshake();
}
