//! Each failure of a connection has its own error, which states the expected and the received
//! value.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::PeerConnectionOptions;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::network::Magic;
use bsv_p2p::session::{AwaitedMessage, DisconnectReason, NonceRegistry, SessionConfig};
use bsv_p2p::wire::{DecodeError, Encode, MagicMismatch, Message, Reject, RejectCode, Version};
use bsv_p2p::{Connection, ConnectionConfig, Error, ErrorKind, Network};
use crossbeam_channel::bounded;
use test_support::raw_peer::{
    ClosedPort, RawListener, RawPeer, SilentHost, frame, frame_of, header_claiming, socket_pair,
    version,
};
use test_support::with_sources::with_sources;

use crate::harness::{Actor, PROMPT, config, connected, message, reason_of};

/// Runs a scripted peer against a `Connection` and an actor, in both directions. Each must end for
/// `reason`, with this text.
#[track_caller]
fn every_connection_ends(
    config: &ConnectionConfig,
    script: impl Fn(&mut RawPeer) + Sync,
    reason: &DisconnectReason,
    text: &str,
) {
    assert_eq!(with_sources(reason), text);
    every_dialed_connection_ends(config, &script, reason, text);
    let check = |way: &str, ended: Ended| ended.check(way, reason, text);
    let (theirs, ours) = socket_pair();
    let name = ours.peer_addr().unwrap().to_string();
    let ended = with_peer(
        || RawPeer::new(theirs),
        &script,
        || {
            let nonces = NonceRegistry::default();
            ended_connection(&name, Connection::accept(ours, config, &nonces))
        },
    );
    check("an inbound Connection", ended);
    let (theirs, ours) = socket_pair();
    let ended = with_peer(
        || RawPeer::new(theirs),
        &script,
        || ended_actor(Actor::take(ours, config)),
    );
    check("an inbound actor", ended);
}

/// The outbound half of [`every_connection_ends`], in which the peer may disconnect immediately. An
/// accepted socket whose peer is already gone has no address, and is rejected.
#[track_caller]
fn every_dialed_connection_ends(
    config: &ConnectionConfig,
    script: impl Fn(&mut RawPeer) + Sync,
    reason: &DisconnectReason,
    text: &str,
) {
    let listener = RawListener::new();
    let address = listener.address().to_string();
    let accept = || listener.accept();
    let ended = with_peer(accept, &script, || {
        ended_connection(&address, Connection::connect(&address, config))
    });
    ended.check("an outbound Connection", reason, text);
    let ended = with_peer(accept, &script, || {
        ended_actor(Actor::dial(listener.address(), config))
    });
    ended.check("an outbound actor", reason, text);
}

/// The end of a connection.
struct Ended {
    reason: DisconnectReason,
    /// The text for the application.
    text: String,
    /// The part of the text before the reason.
    prefix: String,
}

impl Ended {
    #[track_caller]
    fn check(&self, way: &str, reason: &DisconnectReason, text: &str) {
        assert_eq!(&self.reason, reason, "{way}");
        assert_eq!(self.text, format!("{}{text}", self.prefix), "{way}");
    }
}

/// Runs the script in a thread of its own, and keeps the peer until `run` returns.
fn with_peer<T>(
    peer: impl FnOnce() -> RawPeer + Send,
    script: impl Fn(&mut RawPeer) + Sync,
    run: impl FnOnce() -> T,
) -> T {
    let script = &script;
    thread::scope(|scope| {
        let (done, is_done) = bounded::<()>(0);
        scope.spawn(move || {
            let mut peer = peer();
            script(&mut peer);
            let _ = is_done.recv();
        });
        let result = run();
        drop(done);
        result
    })
}

#[track_caller]
fn ended_connection(name: &str, result: Result<Connection, Error>) -> Ended {
    let error = match result {
        Err(error) => error,
        Ok(mut connection) => loop {
            if let Err(error) = connection.receive() {
                break error;
            }
        },
    };
    Ended {
        text: with_sources(&error),
        prefix: format!("{name}: not connected: "),
        reason: reason_of::<()>(Err(error)),
    }
}

#[track_caller]
fn ended_actor(actor: Actor) -> Ended {
    let mut handshake = false;
    loop {
        let event = actor.next_event();
        let address = actor.handle.peer_addr();
        handshake |= matches!(event, ControlEvent::HandshakeComplete { .. });
        let (reason, prefix) = match &event {
            ControlEvent::ConnectionFailed { reason, .. } => {
                assert!(!handshake, "{event}");
                (reason.clone(), format!("{address}: connection failed: "))
            }
            ControlEvent::ConnectionLost { reason, .. } => {
                assert!(handshake, "{event}");
                (reason.clone(), format!("{address}: connection lost: "))
            }
            _ => continue,
        };
        let text = event.to_string();
        return Ended {
            reason,
            text,
            prefix,
        };
    }
}

fn with_session(change: impl FnOnce(&mut SessionConfig)) -> ConnectionConfig {
    let mut config = config();
    change(&mut config.session);
    config
}

fn foreign(got: [u8; 4]) -> DisconnectReason {
    DisconnectReason::WrongMagic(MagicMismatch {
        expected: Network::Regtest.magic(),
        got: Magic(got),
    })
}

#[test]
fn bytes_without_frame_close_with_wrong_magic() {
    every_connection_ends(
        &config(),
        |peer| peer.send_bytes(&[1, 2, 3, 4]),
        &foreign([1, 2, 3, 4]),
        "expected a frame with magic dab5bffa (regtest), got 01020304",
    );
    every_connection_ends(
        &config(),
        |peer| {
            peer.shake_hands();
            peer.send_bytes(&[1, 2, 3, 4]);
        },
        &foreign([1, 2, 3, 4]),
        "expected a frame with magic dab5bffa (regtest), got 01020304",
    );
}

#[test]
fn http_peer_is_recognized_by_magic() {
    every_connection_ends(
        &config(),
        |peer| peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        &foreign(*b"HTTP"),
        "expected a frame with magic dab5bffa (regtest), got 48545450: the peer is an HTTP endpoint",
    );
}

#[test]
fn wrong_magic_error_names_network_of_peer() {
    every_connection_ends(
        &config(),
        |peer| peer.send_bytes(&frame_of(Network::Testnet.magic(), &version().into())),
        &foreign(Network::Testnet.magic().0),
        "expected a frame with magic dab5bffa (regtest), got f4e5f3f4: the peer is a node of BSV testnet",
    );
}

#[test]
fn user_agent_of_other_chain_is_rejected() {
    every_connection_ends(
        &config(),
        |peer| {
            peer.send(Version {
                user_agent: Some("/Satoshi:27.0.0/".into()),
                ..version()
            });
        },
        &DisconnectReason::UserAgentRejected {
            user_agent: "/Satoshi:27.0.0/".into(),
            rule: "matches \"*satoshi:*\"".into(),
        },
        "user agent \"/Satoshi:27.0.0/\" not accepted: matches \"*satoshi:*\"",
    );
}

#[test]
fn truncated_version_is_rejected_as_malformed() {
    let whole = version().encode_to_vec();
    let truncated = Message::Unknown {
        command: Message::from(version()).command(),
        payload: whole[..45].to_vec().into(),
    };
    every_connection_ends(
        &config(),
        |peer| {
            peer.send_bytes(&frame(&truncated));
            let Message::Reject(reject) = peer.expect("reject") else {
                panic!("another message");
            };
            assert_eq!(
                reject.to_string(),
                "version rejected (0x60 stream setup): error parsing message"
            );
        },
        &DisconnectReason::MalformedVersion(DecodeError::Truncated {
            field: "address port",
            needed: 2,
            left: 1,
        }),
        "version is malformed: address port: expected 2 bytes, got 1",
    );
}

#[test]
fn obsolete_protocol_version_is_rejected() {
    every_connection_ends(
        &config(),
        |peer| {
            peer.send(Version {
                version: 31_799,
                ..version()
            });
            let Message::Reject(reject) = peer.expect("reject") else {
                panic!("another message");
            };
            assert_eq!(
                reject.to_string(),
                "version rejected (0x11 obsolete): Version must be 31800 or greater"
            );
        },
        &DisconnectReason::VersionTooOld {
            got: 31_799,
            minimum: 31_800,
        },
        "expected protocol version 31800 or later, got 31799",
    );
}

#[test]
fn frame_above_limit_closes_at_its_header() {
    every_connection_ends(
        &config(),
        |peer| peer.send_bytes(&header_claiming("addr", 65_537)),
        &DisconnectReason::FrameTooLarge {
            command: "addr".into(),
            len: 65_537,
            limit: 65_536,
        },
        "addr: expected a payload of at most 65536 bytes, got 65537",
    );
    every_connection_ends(
        &config(),
        |peer| {
            peer.shake_hands();
            peer.send_bytes(&header_claiming("addr", 2_097_153));
        },
        &DisconnectReason::FrameTooLarge {
            command: "addr".into(),
            len: 2_097_153,
            limit: 2_097_152,
        },
        "addr: expected a payload of at most 2097152 bytes, got 2097153",
    );
}

#[test]
fn long_message_is_accepted_right_after_handshake() {
    let long = message(vec![7; 70_000]);
    let (mut connection, peer) = connected(&config());
    peer.send(long.clone());
    assert_eq!(connection.receive().unwrap(), long);

    // In one write with the end of the handshake.
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.expect("version");
    let parts = [version().into(), Message::Verack, long.clone()];
    peer.send_bytes(&parts.map(|message| frame(&message)).concat());
    assert_eq!(actor.next_message(), long);
}

#[test]
fn handshake_timeout_names_missing_message() {
    let after = Duration::from_millis(200);
    every_connection_ends(
        &with_session(|session| session.handshake_timeout = after),
        |_| {},
        &DisconnectReason::HandshakeTimeout {
            after,
            missing: AwaitedMessage::Version,
        },
        "handshake timed out after 200ms: no version received",
    );
    every_connection_ends(
        &with_session(|session| session.handshake_timeout = after),
        |peer| peer.send(version()),
        &DisconnectReason::HandshakeTimeout {
            after,
            missing: AwaitedMessage::Verack,
        },
        "handshake timed out after 200ms: no verack received",
    );
}

#[test]
fn close_in_handshake_names_missing_message() {
    every_dialed_connection_ends(
        &config(),
        RawPeer::close,
        &DisconnectReason::ClosedDuringHandshake {
            missing: AwaitedMessage::Version,
        },
        "connection closed by peer before version was received; \
         the node may belong to another network, have banned this host, or be at capacity",
    );
    every_dialed_connection_ends(
        &config(),
        RawPeer::reset,
        &DisconnectReason::ClosedDuringHandshake {
            missing: AwaitedMessage::Version,
        },
        "connection closed by peer before version was received; \
         the node may belong to another network, have banned this host, or be at capacity",
    );
    every_connection_ends(
        &config(),
        |peer| {
            peer.send(version());
            peer.expect("verack");
            // Our protoconf may be unread: then the close is a reset.
            peer.close();
        },
        &DisconnectReason::ClosedDuringHandshake {
            missing: AwaitedMessage::Verack,
        },
        "connection closed by peer before verack was received",
    );
}

#[test]
fn reset_within_frame_is_connection_reset() {
    every_connection_ends(
        &config(),
        |peer| {
            peer.shake_hands();
            let bytes = frame(&message(vec![7; 1000]));
            peer.send_bytes(&bytes[..500]);
            peer.reset();
        },
        &DisconnectReason::ConnectionReset,
        "connection reset by peer",
    );
}

#[test]
fn close_after_handshake_is_end_of_stream() {
    every_connection_ends(
        &config(),
        |peer| {
            peer.shake_hands();
            peer.close();
        },
        &DisconnectReason::ConnectionClosed,
        "connection closed by peer",
    );
}

#[test]
fn full_peer_is_reported_as_full() {
    let reject = Reject::new("version", RejectCode::TOO_BUSY, "no room");
    every_connection_ends(
        &config(),
        |peer| peer.send(reject.clone()),
        &DisconnectReason::PeerAtCapacity(Box::new(reject.clone())),
        "connection limit of peer reached: version rejected (0x44 too busy): no room",
    );
}

/// The reset after a close with unread bytes makes our writes fail before we have read the input.
#[test]
fn messages_before_reset_are_read_despite_failed_writes() {
    let reject = Reject::new("version", RejectCode::TOO_BUSY, "no room");
    for _ in 0..20 {
        every_dialed_connection_ends(
            &config(),
            |peer| {
                let words = [version().into(), Message::from(reject.clone())];
                peer.send_bytes(&words.map(|message| frame(&message)).concat());
                peer.reset();
            },
            &DisconnectReason::PeerAtCapacity(Box::new(reject.clone())),
            "connection limit of peer reached: version rejected (0x44 too busy): no room",
        );
    }
}

#[test]
fn rejected_version_reports_text_of_peer() {
    let reject = Reject::new("version", RejectCode::OBSOLETE, "go away");
    every_connection_ends(
        &config(),
        |peer| {
            peer.send(reject.clone());
            peer.close();
        },
        &DisconnectReason::RejectedByPeer(Box::new(reject.clone())),
        "version rejected by peer: version rejected (0x11 obsolete): go away",
    );
}

#[test]
fn closed_port_refuses_connection() {
    let port = ClosedPort::new();
    let address = port.address();
    let text = "connection refused";

    let error = Connection::connect(address.to_string(), &config()).unwrap_err();
    let expected = format!("{address}: not connected: {text}");
    assert_eq!(with_sources(&error), expected);
    let reason = reason_of::<()>(Err(error));
    assert_eq!(reason, DisconnectReason::ConnectRefused);

    let (event, reason) = Actor::dial(address, &config()).expect_end();
    assert_eq!(reason, DisconnectReason::ConnectRefused);
    assert_eq!(
        event.to_string(),
        format!("{address}: connection failed: {text}")
    );
}

#[test]
fn silent_host_fails_after_connect_timeout() {
    let host = SilentHost::new();
    let address = host.address();
    let after = Duration::from_millis(300);
    let config = ConnectionConfig {
        connect_timeout: after,
        ..config()
    };
    let timed_out = DisconnectReason::ConnectTimeout { after };
    let text = "connection attempt timed out after 300ms";
    let in_time = |began: Instant| {
        let took = began.elapsed();
        assert!(took >= after && took < after + PROMPT, "took {took:?}");
    };

    let began = Instant::now();
    let error = Connection::connect(address.to_string(), &config).unwrap_err();
    in_time(began);
    let expected = format!("{address}: not connected: {text}");
    assert_eq!(with_sources(&error), expected);
    assert_eq!(reason_of::<()>(Err(error)), timed_out);

    let began = Instant::now();
    let (event, reason) = Actor::dial(address, &config).expect_end();
    in_time(began);
    assert_eq!(reason, timed_out);
    assert_eq!(
        event.to_string(),
        format!("{address}: connection failed: {text}")
    );
}

#[test]
fn unresolvable_name_is_reported_in_error() {
    let name = "no-such-host.invalid";
    let error = Connection::connect(name, &config()).unwrap_err();
    let text = with_sources(&error);
    let expected = format!("{name}: not connected: name \"{name}\" could not be resolved: ");
    assert!(text.starts_with(&expected), "{text}");
    assert!(matches!(
        reason_of::<()>(Err(error)),
        DisconnectReason::NameNotResolved { name: named, .. } if named == name
    ));
}

#[test]
fn invalid_name_is_printed_in_one_line() {
    let name = "127.0.0.1:18444\n";
    let error = Connection::connect(name, &config()).unwrap_err();
    assert_eq!(
        with_sources(&error),
        r#"127.0.0.1:18444\n: not connected: invalid peer name "127.0.0.1:18444\n": expected a port from 0 to 65535, got "18444\n""#
    );
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(!error.is_retryable() && !error.is_network_failure());
}

#[test]
fn invalid_configuration_is_rejected_before_dialing() {
    let wrong = ConnectionConfig {
        connect_timeout: Duration::ZERO,
        ..config()
    };
    let text = "invalid configuration: connect_timeout: expected at least 1ms, got 0ns";
    let listener = RawListener::new();
    let error = Connection::connect(listener.address().to_string(), &wrong).unwrap_err();
    assert_eq!(with_sources(&error), text);
    let setup = PeerConnectionOptions::new(wrong);
    let spawned =
        bsv_p2p::connection::PeerConnectionActor::spawn_outbound(listener.address(), setup);
    assert_eq!(with_sources(&spawned.unwrap_err()), text);
}
