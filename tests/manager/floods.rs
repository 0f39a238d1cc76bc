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
/// The maximum delay of a good peer.
const SOON: Duration = Duration::from_secs(1);

/// Connects a good peer. Returns the time until its ping is answered.
fn gets_in(address: SocketAddr) -> (RawPeer, Duration) {
    let began = Instant::now();
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    peer.ping(1);
    (peer, began.elapsed())
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
    let mut served = Served::start(&listening());
    let address = served.address;
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
    let (good, took) = gets_in(address);
    assert!(took < SOON, "{took:?}");
    drop(good);
    let most = served.most();
    assert!(most.slots <= 20, "{most:?}");
    assert!(
        most.threads <= served.before.threads + 20 + OTHERS,
        "{most:?}"
    );
    assert!(
        most.descriptors <= served.before.descriptors + 22 + OTHERS,
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
    let idle: Vec<_> = (0..500)
        .map(|number| dial_from([127, 0, 2, (number / 2) as u8], served.address))
        .collect();
    let (mut good, took) = gets_in(served.address);
    // Less than half a second on an idle machine. One after the other they would take ten times as
    // long.
    assert!(
        took < 2 * SOON,
        "behind those who wait to be let in: {took:?}"
    );
    // While they are connected, the next peer must wait for only one of them.
    until("all have had their turn", || {
        served.counts().inbound_accepted > 500
    });
    let (_other, took) = gets_in(served.address);
    assert!(took < SOON, "{took:?}");
    good.ping(3);
    let most = served.most();
    assert!(most.slots <= 125, "{most:?}");
    assert!(
        most.threads <= served.before.threads + 66 + OTHERS,
        "{most:?}"
    );
    assert!(served.grown_kib() < 8 * 1024, "{most:?}");
    drop((idle, good, _other));
    served.expect_all_given_back(4 * 1024);
    served.finish();
}

#[test]
fn incomplete_handshakes_do_not_delay_good_peer() {
    let mut config = listening();
    config.max_connections = 125;
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
    // Without eviction it would wait for the handshake timeout of ten seconds.
    assert!(took < 2 * SOON, "{took:?}");
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
        for nonce in 0..20 {
            for peer in &mut inside {
                let began = Instant::now();
                peer.ping(nonce);
                assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            }
        }
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
        for neighbour in [63, 128] {
            let began = Instant::now();
            let mut good = dial_from([127, 0, 4, neighbour], address);
            good.shake_hands();
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
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
