//! Release of memory that is queued for a peer that does not read.

use std::sync::Arc;
use std::time::Duration;

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::QueueStats;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::Message;
use bytes::Bytes;
use test_support::raw_peer::wait_until;

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
