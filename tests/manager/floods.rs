//! Strangers without number: the count never exceeds the maximum, memory and threads stay bounded, a good peer gets in.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::wire::Message;

use crate::harness::*;
use crate::raw_peer::{RawPeer, frame, protoconf, version};
use crate::served::Served;

/// Beside those of connections: threads that count, and descriptors of folders that are just being counted.
const OTHERS: u64 = 4;
/// How long a good peer may have to wait.
const SOON: Duration = Duration::from_secs(1);

/// How long a good peer takes to get in, and to have a ping answered.
fn gets_in(address: SocketAddr) -> (RawPeer, Duration) {
    let began = Instant::now();
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    peer.ping(1);
    (peer, began.elapsed())
}

/// What a peer says first, all at once.
fn greeting() -> Vec<u8> {
    [version().into(), Message::Verack, protoconf().into()]
        .iter()
        .flat_map(frame)
        .collect()
}

#[test]
fn ten_thousand_connections_opened_and_dropped_at_once_leave_nothing_behind() {
    let mut served = Served::start(&listening());
    let address = served.address;
    thread::scope(|scope| {
        for from in 0..4 {
            scope.spawn(move || {
                for number in 0..2_500 {
                    let mut peer = dial_from([127, 0, 1, from], address);
                    if number % 2 == 0 {
                        // It may have been closed already.
                        let _ = peer.tcp().write_all(&greeting()[..number % 100]);
                    }
                    // A socket that is closed in an orderly way would keep its port for a minute.
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
fn five_hundred_that_never_speak_do_not_keep_a_good_peer_waiting() {
    let mut config = listening();
    config.max_connections = 125;
    let mut served = Served::start(&config);
    let idle: Vec<_> = (0..500)
        .map(|number| dial_from([127, 0, 2, (number / 2) as u8], served.address))
        .collect();
    let (mut good, took) = gets_in(served.address);
    // Less than half a second on a machine that has nothing else to do; one after the other they would take ten times as long.
    assert!(
        took < 2 * SOON,
        "behind those who wait to be let in: {took:?}"
    );
    // While they are still there, the next one has only one of them to wait for.
    until("all have had their turn", || served.counts().let_in > 500);
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
fn a_storm_at_a_full_house_costs_those_inside_nothing() {
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
                    // It may be closed already.
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
    assert_eq!((most.slots, most.connected, most.let_in), (2, 2, 2));
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

#[test]
fn banned_addresses_that_hammer_get_no_thread_and_nobody_waits_for_them() {
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
    assert_eq!(most.let_in, 2);
    assert!(most.refused > 0);
    assert!(
        most.threads <= served.before.threads + 2 + OTHERS,
        "{most:?}"
    );
    served.expect_all_given_back(4 * 1024);
    served.finish();
}
