//! Configuration updates of connections that wait on their second stream.

use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use test_support::raw_peer::{large_block, wait_until};

use crate::harness::{Owner, config, message, wait_for};
use crate::hostile_responder::{Dialed, ack};

#[test]
fn shorter_subscriber_timeout_ends_wait_of_second_stream() {
    let mut patient = config();
    patient.subscriber_timeout = Duration::from_secs(600);
    patient.max_subscriber_backlog_bytes = 1;
    let owner = Owner::new(patient.clone());
    let stuck = owner.subscribe_to_one();
    let mut peer = owner.peer_with_two();
    (0..10).for_each(|number| peer.data1().send(message(number)));
    // The first message fills the queue, the second one the backlog of the stream.
    wait_until("the stream waits", || {
        owner.messages.as_receiver().len() == 2
    });
    patient.subscriber_timeout = Duration::from_millis(10);
    let began = Instant::now();
    peer.handle.update_config(patient).unwrap();
    owner.wait_for("the end of the subscription", |event| {
        matches!(event, ControlEvent::SubscriptionEnded { .. })
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "took {took:?}");
    drop(stuck);
    peer.is_well();
}

#[test]
fn update_during_stream_setup_reaches_second_stream() {
    let mut config = config();
    config.write_timeout = Duration::from_secs(600);
    let (mut peer, data1, request) = Dialed::asked(config.clone());
    config.write_timeout = Duration::from_millis(100);
    peer.handle.update_config(config).unwrap();
    // The thread of the first stream applies it before it reads again.
    (0..2).for_each(|nonce| peer.general.ping(nonce));
    data1.send(ack(&request));
    wait_for(&peer.control, "the second stream", |event| {
        matches!(event, ControlEvent::StreamOpened { .. })
    });
    // The second stream is not read, so the send queue becomes full.
    let block = large_block(200_000);
    while peer.handle.try_send(block.clone()).is_ok() {}
    let end = wait_for(&peer.control, "the end", |event| {
        matches!(event, ControlEvent::ConnectionLost { .. })
    });
    let ControlEvent::ConnectionLost { reason, .. } = end else {
        unreachable!()
    };
    let is_slow = matches!(reason, DisconnectReason::SlowReader { .. });
    assert!(is_slow, "{reason:?}");
}
