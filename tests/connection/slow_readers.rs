//! Release of memory that is queued for a peer that does not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions, QueueStats};
use bsv_p2p::event::{ControlEvent, SubscriptionEndReason};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::Message;
use bsv_p2p::{ConnectionConfig, Error};
use bytes::Bytes;
use test_support::raw_peer::{DEADLINE, RawListener, wait_until};

use crate::harness::{Actor, config, message};

/// Bytes whose holders can be counted.
struct Counted(
    Vec<u8>,
    #[expect(dead_code, reason = "to be counted")] Arc<()>,
);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn counted(holders: &Arc<()>) -> Message {
    message(Bytes::from_owner(Counted(
        vec![0; 200_000],
        holders.clone(),
    )))
}

/// The memory is released although the handle still exists.
#[test]
fn blocked_peer_is_disconnected_and_memory_released() {
    let impatient = ConnectionConfig {
        write_timeout: Duration::from_millis(200),
        ..config()
    };
    let (actor, _peer) = Actor::connected_with_small_buffers(&impatient);
    let holders = Arc::new(());
    for _ in 0..20 {
        actor.handle.try_send(counted(&holders)).unwrap();
    }
    assert!(Arc::strong_count(&holders) > 10, "they wait to be sent");
    let (_, reason) = actor.expect_end();
    assert!(
        matches!(reason, DisconnectReason::SlowReader { .. }),
        "{reason}"
    );
    wait_until("nothing is held any more", || {
        Arc::strong_count(&holders) == 1
    });
    assert_eq!(actor.handle.send_queue(), QueueStats::default());
}

#[test]
fn disconnect_releases_outgoing_memory() {
    let (actor, _peer) = Actor::connected_with_small_buffers(&config());
    let holders = Arc::new(());
    for _ in 0..20 {
        actor.handle.try_send(counted(&holders)).unwrap();
    }
    actor.handle.disconnect();
    actor.handle.join();
    assert_eq!(Arc::strong_count(&holders), 1);
}

/// Both sides have the default timeouts, halved.
#[test]
fn stuck_subscription_ends_before_peer_disconnects() {
    let defaults = config();
    let config = ConnectionConfig {
        subscriber_timeout: defaults.subscriber_timeout / 2,
        write_timeout: defaults.write_timeout / 2,
        max_subscriber_backlog_bytes: 100_000,
        ..defaults
    };
    let listener = RawListener::new();
    let sender = Actor::dial(listener.address(), &config);
    let options = PeerConnectionOptions::new(config);
    let control = options.events.subscribe_control();
    let stuck = options.events.subscribe_messages();
    let receiver = PeerConnectionActor::spawn_inbound(listener.accept_tcp(), options).unwrap();
    sender.expect_handshake();

    // Fills the backlog, the socket buffers and the send queue.
    let text = message(vec![1; 30_000]);
    let end = Instant::now() + 3 * DEADLINE;
    let reason = loop {
        match sender.handle.send(&text, Duration::from_millis(100)) {
            Ok(()) | Err(Error::Timeout { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        let ended = control.try_iter().find_map(|event| match event {
            Ok(ControlEvent::SubscriptionEnded { reason, .. }) => Some(reason),
            _ => None,
        });
        match ended {
            Some(reason) => break reason,
            None => assert!(Instant::now() < end, "the subscription did not end"),
        }
    };
    assert_eq!(reason, SubscriptionEndReason::TooSlow);
    sender.handle.flush(DEADLINE).unwrap();
    sender.handle.ping(DEADLINE).unwrap();
    drop((stuck, receiver));
}
