//! A second stream on which nothing arrives for longer than a second.

use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Ping, Pong};
use test_support::raw_peer::large_block;

use crate::harness::{Owner, Peer, config, message};

/// Less than the time for which the thread of an idle stream sleeps.
const LIMIT: Duration = Duration::from_secs(10);

/// Pings so rare that the second stream is idle before the second one.
fn rare_pings() -> ConnectionConfig {
    let mut config = config();
    config.session.ping_interval = Duration::from_secs(2);
    config.session.ping_timeout = Duration::from_secs(1);
    config
}

/// Answers the next ping.
#[track_caller]
fn answer_ping(peer: &mut Peer) {
    let nonce = peer.data1().expect_ping();
    peer.data1().send(Pong::new(nonce));
}

/// Waits for the end of the peer, which must not take as long as the sleep of an idle stream.
#[track_caller]
fn expect_early_end(owner: &Owner, peer: &Peer) -> DisconnectReason {
    let began = Instant::now();
    let reason = owner.expect_end(peer);
    let took = began.elapsed();
    assert!(took < LIMIT, "took {took:?}");
    reason
}

#[test]
fn silent_peer_with_idle_stream_times_out() {
    let owner = Owner::new(rare_pings());
    let mut peer = owner.peer_with_two();
    answer_ping(&mut peer);
    let reason = expect_early_end(&owner, &peer);
    let is_timeout = matches!(reason, DisconnectReason::PingTimeout { .. });
    assert!(is_timeout, "{reason:?}");
}

#[test]
fn message_on_idle_stream_is_delivered_at_once() {
    let owner = Owner::new(rare_pings());
    let mut peer = owner.peer_with_two();
    answer_ping(&mut peer);
    peer.data1().expect_ping();
    let began = Instant::now();
    peer.data1().send(message(1));
    owner.messages.recv_timeout(LIMIT).unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "took {took:?}");
}

#[test]
fn shorter_write_timeout_applies_to_idle_stream() {
    let mut config = rare_pings();
    config.session.ping_timeout = Duration::from_secs(600);
    config.write_timeout = Duration::from_secs(600);
    let owner = Owner::new(config.clone());
    let mut peer = owner.peer_with_two();
    answer_ping(&mut peer);
    peer.data1().expect_ping();
    config.write_timeout = Duration::from_millis(100);
    peer.handle.update_config(config).unwrap();
    // The thread of the first stream applies it before it reads again.
    for nonce in 0..2 {
        peer.general.send(Ping::new(nonce));
        peer.data1().expect("pong");
    }
    // The second stream is not read, so the send queue becomes full.
    let block = large_block(200_000);
    while peer.handle.try_send(block.clone()).is_ok() {}
    let reason = expect_early_end(&owner, &peer);
    let is_slow = matches!(reason, DisconnectReason::SlowReader { .. });
    assert!(is_slow, "{reason:?}");
}
