//! Whether the peer is the intended one: connections to this program itself.

use std::thread;

use bsv_p2p::Connection;
use bsv_p2p::connection::PeerConnectionSetup;
use bsv_p2p::session::{DisconnectReason, NonceRegistry};

use crate::harness::{Actor, config, reason_of};
use crate::raw_peer::{RawListener, echo};

#[test]
fn a_program_that_dials_itself_learns_so_on_both_sides() {
    let text = "the connection leads to ourselves";
    let nonces = NonceRegistry::default();
    let listener = RawListener::new();
    let address = listener.address();
    thread::scope(|scope| {
        let accepted = scope.spawn(|| {
            let tcp = listener.accept_tcp();
            Connection::accept(tcp, &config(), &nonces).unwrap_err()
        });
        let error = Connection::connect_with(&address.to_string(), &config(), &nonces).unwrap_err();
        assert_eq!(error.to_string(), format!("{address}: {text}"));
        let accepted = accepted.join().unwrap();
        assert!(accepted.to_string().ends_with(&format!(": {text}")));
        for error in [error, accepted] {
            let reason = reason_of::<()>(Err(error));
            assert_eq!(reason, DisconnectReason::SelfConnection);
        }
    });

    let setup = || PeerConnectionSetup {
        nonces: nonces.clone(),
        ..PeerConnectionSetup::new(config())
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
        let error = Connection::connect(&address.to_string(), &config()).unwrap_err();
        let reason = reason_of::<()>(Err(error));
        assert_eq!(reason, DisconnectReason::SelfConnection);
        let (_, reason) = Actor::dial(address, &config()).expect_end();
        assert_eq!(reason, DisconnectReason::SelfConnection);
    });
}

#[test]
fn two_programs_with_registries_of_their_own_are_no_self_connection() {
    let listener = RawListener::new();
    let one = Actor::dial(listener.address(), &config());
    let other = Actor::take(listener.accept_tcp(), &config());
    one.expect_handshake();
    other.expect_handshake();
}
