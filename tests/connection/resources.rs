//! Threads and descriptors are released by every kind of connection.

use std::thread;
use std::time::Duration;

use bsv_p2p::connection::PeerConnectionActor;
use bsv_p2p::connection::PeerConnectionOptions;
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::{Connection, ConnectionConfig};
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{
    ClosedPort, RawListener, RawPeer, SilentHost, frame, small_buffer_pair, socket_pair, wait_until,
};

use crate::harness::{Actor, accepted, config, connected, numbered};

#[test]
fn connections_leave_no_threads_or_descriptors() {
    run_in_own_process(
        "resources::connections_leave_no_threads_or_descriptors",
        count,
    );
}

fn count() {
    // Resources that the first use allocates permanently are no leak.
    one_of_each();
    let before = threads_and_descriptors();
    let began = connections();
    while connections() < began + 200 {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(one_of_each);
            }
        });
    }
    // The system forgets a joined thread a moment later.
    wait_until("the threads are gone", || {
        threads_and_descriptors().0 == before.0
    });
    assert_eq!(threads_and_descriptors().1, before.1);

    // The handle of a closed connection can be kept. It holds no socket.
    let (actor, mut peer) = Actor::connected(&config());
    peer.close();
    actor.expect_end();
    drop(peer);
    actor.handle.join();
    assert_eq!(threads_and_descriptors().1, before.1);
}

static CONNECTIONS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn connections() -> usize {
    CONNECTIONS.load(std::sync::atomic::Ordering::Relaxed)
}

/// Opens and closes a connection in every way.
fn one_of_each() {
    const SHORT: Duration = Duration::from_millis(50);
    // The handshake of these connections must complete.
    let short_writes = ConnectionConfig {
        write_timeout: SHORT,
        ..config()
    };
    let mut impatient = ConnectionConfig {
        connect_timeout: SHORT,
        ..config()
    };
    impatient.session.handshake_timeout = SHORT;
    let begun = |count: usize| {
        CONNECTIONS.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    };
    let listener = RawListener::new();
    let text = listener.address().to_string();

    // Actors whose dial fails or never completes.
    let (nobody, silent) = (ClosedPort::new(), SilentHost::new());
    Actor::dial(nobody.address(), &config()).expect_end();
    Actor::dial(silent.address(), &impatient).expect_end();
    drop(Actor::dial(silent.address(), &config()));
    Actor::dial(listener.address(), &impatient).expect_end();
    listener.accept().close();
    let actor = Actor::dial(listener.address(), &config());
    listener.accept().reset();
    actor.expect_end();
    begun(5);

    // Actors after the handshake.
    let (actor, mut peer) = Actor::connected(&config());
    peer.close();
    actor.expect_end();
    let (actor, mut peer) = Actor::connected(&config());
    peer.reset();
    actor.expect_end();
    let (actor, _peer) = Actor::connected(&config());
    actor.handle.disconnect();
    let (actor, peer) = Actor::connected(&config());
    let burst = (0..1100).flat_map(|number| frame(&numbered(number, 4)));
    peer.send_bytes(&burst.collect::<Vec<_>>());
    wait_until("the queue is full", || actor.messages.len() >= 1024);
    drop(actor);
    let (actor, peer) = Actor::connected_with_small_buffers(&config());
    actor.handle.try_send(numbered(1, 100_000)).unwrap();
    drop(actor);
    drop(peer);
    let (actor, _peer) = Actor::connected_with_small_buffers(&short_writes);
    actor.handle.try_send(numbered(1, 100_000)).unwrap();
    actor.expect_end();
    begun(6);

    // A socket that is closed already, and a peer that is gone already.
    let (theirs, ours) = socket_pair();
    drop(theirs);
    let setup = PeerConnectionOptions::new(config());
    if let Ok(handle) = PeerConnectionActor::spawn_inbound(ours, setup) {
        handle.join();
    }
    begun(1);

    // Connections in the caller's thread.
    assert!(Connection::connect(nobody.address().to_string(), &config()).is_err());
    assert!(Connection::connect(silent.address().to_string(), &impatient).is_err());
    assert!(Connection::connect(&text, &impatient).is_err());
    drop(listener.accept());
    let (theirs, ours) = socket_pair();
    RawPeer::new(theirs).reset();
    assert!(Connection::accept(ours, &config(), &NonceRegistry::default()).is_err());
    drop(connected(&config()));
    let (mut connection, mut peer) = connected(&config());
    peer.close();
    assert!(connection.receive().is_err());
    let (mut connection, _peer) = accepted(small_buffer_pair(), &short_writes);
    assert!(connection.send(numbered(1, 100_000)).is_err());
    begun(7);
}
