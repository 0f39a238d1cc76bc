//! Very many inbound connections: the maximum holds, memory and threads stay bounded, a good peer
//! is accepted.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::wire::Message;
use test_support::raw_peer::{RawPeer, frame, protoconf, version};

use crate::harness::*;
use crate::served::Served;

/// Tolerance: counting threads, and descriptors of folders that are being counted.
const OTHERS: u64 = 4;

/// Connects a good peer. Returns the time until its ping is answered.
fn gets_in(address: SocketAddr) -> (RawPeer, Duration) {
    let began = Instant::now();
    let mut peer = RawPeer::dial(address);
    // The tests compare the time with that of other work on the same machine.
    peer.tcp().set_read_timeout(Some(2 * LIMIT)).unwrap();
    peer.shake_hands();
    peer.ping(1);
    (peer, began.elapsed())
}

/// Returns the mean time in which one more stalled handshake, which starts with these bytes, is
/// accepted and a good peer evicts another one. No handshake slot may be free, except for one.
fn eviction_time(address: SocketAddr, first_bytes: &[u8]) -> Duration {
    const STEPS: u32 = 20;
    let mut stalled = Vec::new();
    let (steps, idle) = with_idle_round_trips(|| {
        [(); STEPS as usize].map(|()| {
            let began = Instant::now();
            let peer = RawPeer::dial(address);
            peer.send_bytes(first_bytes);
            stalled.push(peer);
            drop(gets_in(address));
            began.elapsed()
        })
    });
    let slowest = *steps.iter().max().unwrap();
    assert!(slowest < idle.max_delay(10), "{slowest:?}, {idle:?}");
    steps.iter().sum::<Duration>() / STEPS
}

/// Returns the first messages of a peer in one write.
fn greeting() -> Vec<u8> {
    [version().into(), Message::Verack, protoconf().into()]
        .iter()
        .flat_map(frame)
        .collect()
}

#[test]
fn ten_thousand_brief_connections_leave_nothing_behind() {
    let config = listening();
    let mut served = Served::start(&config);
    let address = served.address;
    let began = Instant::now();
    thread::scope(|scope| {
        for from in 0..4 {
            scope.spawn(move || {
                for number in 0..2_500 {
                    let mut peer = dial_from([127, 0, 1, from], address);
                    if number % 2 == 0 {
                        // The connection may have been closed already.
                        let _ = peer.tcp().write_all(&greeting()[..number % 100]);
                    }
                    // A regular close would reserve the port for a minute.
                    peer.reset();
                }
            });
        }
        let (mut good, _) = gets_in(address);
        good.ping(2);
    });
    let flood = began.elapsed();
    let (good, took) = gets_in(address);
    // The system's queue holds less than half of the connections.
    assert!(took < SOON + flood, "{took:?}, {flood:?}");
    drop(good);
    let most = served.most();
    assert!(most.slots <= config.max_connections as u64, "{most:?}");
    // The bound of `guide::limits`. No peer is rejected by `reject`, as handshakes are evicted.
    let sockets = (config.max_connections + config.listener.max_handshakes) as u64;
    assert!(
        most.threads <= served.before.threads + sockets + OTHERS,
        "{most:?}"
    );
    // Three accepted sockets may wait for their thread.
    assert!(
        most.descriptors <= served.before.descriptors + sockets + 3 + OTHERS,
        "{most:?}"
    );
    assert!(served.grown_kib() < 8 * 1024, "{most:?}");
    served.expect_all_given_back(4 * 1024);
    served.finish();
}

#[test]
fn silent_connections_do_not_delay_good_peer() {
    let mut config = listening();
    config.max_connections = 125;
    let mut served = Served::start(&config);
    let silent: Vec<_> = (0..500)
        .map(|number| dial_from([127, 0, 2, (number / 2) as u8], served.address))
        .collect();
    let address = served.address;
    let (mut good, took) = gets_in(address);
    until("all have had their turn", || {
        served.counts().refused >= 500 - config.listener.max_handshakes as u64
    });
    // While they are connected, the next peer must wait for only one of them.
    let eviction = eviction_time(address, &[]);
    // Less than half a second on an idle machine. All earlier connections are evicted first, but
    // their ages pass at the same time: one after the other they would take ten times as long.
    // Without eviction the peer would wait for the handshake timeout.
    let limit = (2 * SOON).max(3 * 500 * eviction);
    let limit = limit.min(config.listener.handshake_timeout / 2);
    assert!(took < limit, "{took:?}, {eviction:?}");
    good.ping(3);
    let most = served.most();
    assert!(most.slots <= 125, "{most:?}");
    assert!(
        most.threads <= served.before.threads + 66 + OTHERS,
        "{most:?}"
    );
    assert!(served.grown_kib() < 8 * 1024, "{most:?}");
    drop((silent, good));
    served.expect_all_given_back(4 * 1024);
    served.finish();
}

#[test]
fn incomplete_handshakes_do_not_delay_good_peer() {
    let mut config = listening();
    config.max_connections = 125;
    config.listener.handshake_timeout = LIMIT;
    let served = Served::start(&config);
    let said = frame(&version().into());
    let standing: Vec<_> = (0..100)
        .map(|number| {
            let peer = dial_from([127, 0, 2, number], served.address);
            peer.send_bytes(&said);
            peer
        })
        .collect();
    let (good, took) = gets_in(served.address);
    let eviction = eviction_time(served.address, &said);
    // 37 handshakes of half a second are evicted first. Without eviction the peer would wait for
    // the handshake timeout.
    assert!(
        took < 2 * SOON + 3 * 37 * eviction,
        "{took:?}, {eviction:?}"
    );
    drop((standing, good));
    served.finish();
}

#[test]
fn connection_storm_at_capacity_leaves_peers_unaffected() {
    let mut config = listening();
    config.max_connections = 2;
    let mut served = Served::start(&config);
    let address = served.address;
    let mut inside = [(); 2].map(|()| gets_in(address).0);
    thread::scope(|scope| {
        for from in 0..4 {
            scope.spawn(move || {
                for _ in 0..100 {
                    let peer = dial_from([127, 0, 3, from], address);
                    // The connection may be closed already.
                    let _ = peer.tcp().write_all(&greeting());
                    peer.read_to_end();
                }
            });
        }
        let (slowest, idle) = with_idle_round_trips(|| {
            let pings = (0..20).flat_map(|nonce| [(0, nonce), (1, nonce)]);
            pings
                .map(|(peer, nonce)| round_trip(&mut inside[peer], nonce))
                .max()
                .unwrap()
        });
        assert!(slowest < idle.max_delay(1), "{slowest:?}, {idle:?}");
    });
    let most = served.most();
    assert_eq!(
        (most.slots, most.connected, most.inbound_accepted),
        (2, 2, 2)
    );
    assert!(
        most.threads <= served.before.threads + 2 + 16 + OTHERS,
        "{most:?}"
    );
    let [first, mut second] = inside;
    drop(first);
    until("a place is free", || served.counts().connected == 1);
    let (third, _) = gets_in(address);
    second.ping(99);
    drop((second, third));
    served.expect_all_given_back(4 * 1024);
    served.finish();
}

/// They delay no other peer.
#[test]
fn banned_addresses_get_no_thread() {
    let mut served = Served::start(&listening());
    let address = served.address;
    served.ban("127.0.4.64/26");
    thread::scope(|scope| {
        for from in [64, 100, 127] {
            scope.spawn(move || {
                for _ in 0..1_000 {
                    let peer = dial_from([127, 0, 4, from], address);
                    let _ = peer.tcp().write_all(&greeting());
                    assert!(peer.read_to_end().is_empty());
                }
            });
        }
        for neighbor in [63, 128] {
            let (took, idle) = with_idle_round_trips(|| {
                let began = Instant::now();
                dial_from([127, 0, 4, neighbor], address).shake_hands();
                began.elapsed()
            });
            // Its handshake takes more than one round trip, and banned connections come first.
            assert!(took < idle.max_delay(100), "{took:?}, {idle:?}");
        }
    });
    let most = served.most();
    assert_eq!(most.inbound_accepted, 2);
    assert!(most.refused > 0);
    assert!(
        most.threads <= served.before.threads + 2 + OTHERS,
        "{most:?}"
    );
    served.expect_all_given_back(4 * 1024);
    served.finish();
}
