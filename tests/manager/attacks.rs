//! Peers that try to exhaust resources: each uses at most a few MiB, a good peer is answered, and
//! all resources are released.

use std::io::Write;
use std::net::SocketAddr;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use bsv_p2p::wire::{
    Addr, BlockHeader, GetData, Headers, Inv, Inventory, Message, NetworkAddress, Ping, Services,
    TimestampedAddress, Txid,
};
use bsv_p2p::{ManagerConfig, Network};
use test_support::raw_peer::{RawPeer, frame, header_claiming};

use crate::harness::*;
use crate::served::Served;

const MIB: usize = 1024 * 1024;
/// The memory that may remain after all peers have gone: fragments of the allocator, and code that
/// was not run before.
const LEFT_KIB: u64 = 4 * 1024;

fn connected(address: SocketAddr) -> RawPeer {
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    peer
}

/// Runs a good peer that pings during the attack. The attack must not delay its pongs.
fn with_a_good_peer<T>(address: SocketAddr, attack: impl FnOnce() -> T + Send) -> T
where
    T: Send,
{
    let mut good = connected(address);
    let ((result, slowest), idle) = with_idle_round_trips(|| {
        thread::scope(|scope: &Scope<'_, '_>| {
            let attack = scope.spawn(attack);
            let mut slowest = Duration::ZERO;
            for nonce in 1.. {
                let is_last = attack.is_finished();
                slowest = slowest.max(round_trip(&mut good, nonce));
                if is_last {
                    break;
                }
                thread::park_timeout(PING_PAUSE);
            }
            (attack.join().unwrap(), slowest)
        })
    });
    assert!(slowest < idle.max_delay(1), "{slowest:?}, {idle:?}");
    result
}

/// Writes `bytes` again and again, `len` bytes at most, as far as the other side accepts them.
/// Returns their number.
fn write_up_to(peer: &RawPeer, bytes: &[u8], len: usize) -> usize {
    let mut written = 0;
    while written < len {
        // A write that stopped inside a frame goes on there.
        match peer.tcp().write(&bytes[written % bytes.len()..]) {
            Ok(some) => written += some,
            Err(_) => break,
        }
    }
    written
}

/// Each has the maximum length.
fn large_messages() -> Vec<u8> {
    let txid = |number: u32| {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        Inventory::Tx(Txid(hash))
    };
    let inventory: Vec<_> = (0..50_000).map(txid).collect();
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let mut headers = vec![genesis];
    while headers.len() < 2_000 {
        let mut next = genesis;
        next.previous = headers[headers.len() - 1].hash();
        headers.push(next);
    }
    let address = NetworkAddress::new(Services::NETWORK, "192.0.2.1:8333".parse().unwrap());
    let addresses = vec![
        TimestampedAddress {
            time: 1_700_000_000,
            address
        };
        1_000
    ];
    let messages: [Message; 4] = [
        Inv::from(inventory.clone()).into(),
        GetData::from(inventory).into(),
        Headers { headers }.into(),
        Addr { addresses }.into(),
    ];
    messages.iter().flat_map(frame).collect()
}

/// A peer has up to three payloads of 1.8 MiB at a time, received, decoded and queued, and 8 MiB of
/// buffers are kept for all of them. That does not grow with the amount sent.
#[test]
fn ten_busy_peers_use_little_memory() {
    let mut served = Served::start(&listening());
    let address = served.address;
    let bytes = large_messages();
    let sent = with_a_good_peer(address, || {
        thread::scope(|scope| {
            let busy = [(); 10].map(|()| {
                scope.spawn(|| {
                    let peer = connected(address);
                    let mut sent = 0;
                    while sent < 24 * MIB {
                        peer.send_bytes(&bytes);
                        sent += bytes.len();
                    }
                    sent
                })
            });
            busy.map(|one| one.join().unwrap()).iter().sum::<usize>()
        })
    });
    assert!(sent > 200 * MIB, "only {} MiB were sent", sent / MIB);
    assert!(served.grown_kib() < 62 * 1024, "{:?}", served.most());
    served.expect_all_given_back(LEFT_KIB);
    served.finish();
}

fn is_dropped_as_a_slow_reader(question: &Message) {
    let mut served = Served::start(&listening());
    let address = served.address;
    let bytes = frame(question).repeat(2_000);
    with_a_good_peer(address, || {
        let peer = connected(address);
        // The connection is closed during the write.
        let sent = write_up_to(&peer, &bytes, 512 * MIB);
        assert!(sent < 512 * MIB, "nobody has stopped it");
    });
    until("it is dropped", || {
        let ends = served.ends();
        ends.iter().any(|end| end.starts_with("SlowReader"))
    });
    assert!(served.grown_kib() < 8 * 1024, "{:?}", served.most());
    served.expect_all_given_back(LEFT_KIB);
    served.finish();
}

#[test]
fn peer_that_floods_pings_is_disconnected() {
    is_dropped_as_a_slow_reader(&Ping::new(7).into());
}

#[test]
fn unrequested_block_uses_no_memory() {
    const LEN: usize = 256 * MIB;
    let mut served = Served::start(&listening());
    let address = served.address;
    let piece = vec![0x55; 256 * 1024];
    with_a_good_peer(address, || {
        let mut peer = connected(address);
        peer.send_bytes(&header_claiming("block", LEN as u32));
        assert_eq!(write_up_to(&peer, &piece, LEN), LEN);
        // The block was skipped.
        peer.ping(1);
    });
    assert!(served.grown_kib() < 4 * 1024, "{:?}", served.most());
    // A peer without a handshake cannot send as much.
    with_a_good_peer(address, || {
        let stranger = RawPeer::dial(address);
        stranger.send_bytes(&header_claiming("block", LEN as u32));
        let sent = write_up_to(&stranger, &piece, LEN);
        assert!(sent < 16 * MIB, "{sent} bytes were taken");
    });
    until("it is dropped", || {
        let ends = served.ends();
        ends.iter().any(|end| end.starts_with("FrameTooLarge"))
    });
    assert!(served.grown_kib() < 4 * 1024, "{:?}", served.most());
    served.expect_all_given_back(LEFT_KIB);
    served.finish();
}

/// Returns a configuration with a slot for each peer.
fn roomy() -> ManagerConfig {
    let mut config = listening();
    config.max_connections = 100;
    config.listener.handshake_timeout = Duration::from_secs(2);
    config
}

/// Small frames are held for a short time only.
#[test]
fn large_frames_of_strangers_use_little_memory() {
    let mut served = Served::start(&roomy());
    let address = served.address;
    let large = [
        header_claiming("version", 1_900_000),
        vec![0; 1_900_000 - 1],
    ]
    .concat();
    let small = [
        header_claiming("version", 64 * 1024),
        vec![0; 64 * 1024 - 1],
    ]
    .concat();
    with_a_good_peer(address, || {
        for _ in 0..60 {
            let stranger = RawPeer::dial(address);
            let _ = stranger.tcp().write_all(&large);
            stranger.read_to_end();
        }
    });
    assert!(served.grown_kib() < 4 * 1024, "{:?}", served.most());
    with_a_good_peer(address, || {
        let strangers: Vec<_> = (0..60).map(|_| RawPeer::dial(address)).collect();
        let began = Instant::now();
        strangers.iter().for_each(|one| one.send_bytes(&small));
        strangers.iter().for_each(|one| drop(one.read_to_end()));
        // The timeouts of two seconds run at the same time: one after the other they would take two
        // minutes.
        let took = began.elapsed();
        assert!(took < LIMIT, "{took:?}");
    });
    assert!(served.grown_kib() < 16 * 1024, "{:?}", served.most());
    let mut ends = Vec::new();
    until("all ends are told", || {
        ends = served.ends();
        ends.len() == 122
    });
    let of_kind = |kind| ends.iter().filter(|end| end.starts_with(kind)).count();
    assert_eq!(of_kind("FrameTooLarge"), 60);
    assert_eq!(of_kind("HandshakeTimeout"), 60);
    served.expect_all_given_back(LEFT_KIB);
    served.finish();
}

#[test]
fn wrong_magic_closes_after_four_bytes() {
    // All timeouts are longer than the reads of a scripted peer wait.
    let mut config = roomy();
    config.listener.handshake_timeout = 3 * LIMIT;
    let mut served = Served::start(&config);
    for _ in 0..20 {
        let stranger = RawPeer::dial(served.address);
        stranger.send_bytes(&Network::Mainnet.magic().0);
        assert!(stranger.read_to_end().is_empty());
    }
    let mut peer = connected(served.address);
    peer.send_bytes(&Network::Mainnet.magic().0);
    peer.rest();
    let mut ends = Vec::new();
    until("all ends are told", || {
        ends = served.ends();
        ends.len() == 21
    });
    assert!(ends.iter().all(|end| end.starts_with("WrongMagic")));
    served.expect_all_given_back(LEFT_KIB);
    served.finish();
}
