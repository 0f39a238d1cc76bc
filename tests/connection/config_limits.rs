//! The valid ranges of the configuration, at their ends, with connections that work.

use std::time::Duration;

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
use bsv_p2p::wire::Pong;
use bsv_p2p::{Connection, ConnectionConfig, Error};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer};

use crate::harness::{Actor, config, connected, message};

/// Returns a configuration whose timeouts all have this length.
fn config_with_timeouts(timeout: Duration) -> ConnectionConfig {
    ConnectionConfig {
        resolve_timeout: timeout,
        connect_timeout: timeout,
        read_stall_timeout: timeout,
        write_timeout: timeout,
        payload_memory_timeout: timeout,
        block_reader_timeout: timeout,
        subscriber_timeout: timeout,
        ..config()
    }
}

/// Answers a ping, and sends a message.
fn respond(peer: &mut RawPeer) {
    let nonce = peer.expect_ping();
    peer.send(Pong::new(nonce));
    peer.send(message("from the peer"));
    assert_eq!(peer.expect("test"), message("to the peer"));
}

/// Exchanges messages over both kinds of connection.
#[track_caller]
fn assert_works(config: &ConnectionConfig) {
    let (actor, mut peer) = Actor::connected(config);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            actor.handle.ping(DEADLINE).unwrap();
            assert_eq!(actor.next_message(), message("from the peer"));
            actor.handle.send(message("to the peer"), DEADLINE).unwrap();
        });
        respond(&mut peer);
    });
    actor.handle.update_config(config.clone()).unwrap();
    let (mut connection, mut peer) = connected(config);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            connection.ping(DEADLINE).unwrap();
            assert_eq!(connection.receive().unwrap(), message("from the peer"));
            connection.send(message("to the peer")).unwrap();
        });
        respond(&mut peer);
    });
}

#[test]
fn connections_work_at_limits_of_timeouts() {
    assert_works(&config_with_timeouts(Duration::from_millis(1)));
    assert_works(&config_with_timeouts(Duration::MAX));
    // The sum of this timeout and of a pause overflows the clock.
    assert_works(&config_with_timeouts(Duration::from_secs(i64::MAX as u64)));
}

#[test]
fn connections_work_at_limits_of_keepalive() {
    for seconds in [1, 32_767] {
        assert_works(&ConnectionConfig {
            tcp_keepalive: Some(Duration::from_secs(seconds)),
            ..config()
        });
    }
}

#[test]
fn value_outside_of_range_is_refused_everywhere() {
    let invalid = [
        (
            "write_timeout",
            ConnectionConfig {
                write_timeout: Duration::from_nanos(500),
                ..config()
            },
        ),
        (
            "tcp_keepalive",
            ConnectionConfig {
                tcp_keepalive: Some(Duration::from_secs(36_000)),
                ..config()
            },
        ),
    ];
    let listener = RawListener::new();
    let address = listener.address();
    let (actor, _peer) = Actor::connected(&config());
    for (field, invalid) in invalid {
        let options = PeerConnectionOptions::new(invalid.clone());
        for refused in [
            Connection::connect(address, &invalid).map(drop),
            PeerConnectionActor::spawn_outbound(address, options).map(drop),
            actor.handle.update_config(invalid),
        ] {
            assert!(
                matches!(&refused, Err(Error::Config(error)) if error.field == field),
                "{refused:?}"
            );
        }
    }
}
