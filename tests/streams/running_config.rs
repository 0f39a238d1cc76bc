//! Configuration updates of connections that wait on their second stream.

use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;

use crate::harness::{Owner, config, message};
use test_support::raw_peer::wait_until;

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
