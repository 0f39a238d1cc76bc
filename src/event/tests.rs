//! The texts of events.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::peers::PeerId;
use crate::session::{Direction, DisconnectReason};
use crate::system_error::SystemError;
use crate::wire::Command;

#[test]
fn texts_of_events_name_peer_and_cause() {
    let address: SocketAddr = "127.0.0.1:8333".parse().unwrap();
    let peer_id = PeerId::random();
    let reason = DisconnectReason::PayloadMemoryExhausted;
    let error = SystemError::from(std::io::Error::from_raw_os_error(24));
    let restarting = |after| ControlEvent::ConnectionRestarting {
        peer_id,
        address,
        reason: reason.clone(),
        after,
    };
    for (event, text) in [
        (
            ControlEvent::ConnectionEstablished {
                peer_id,
                address,
                direction: Direction::Outbound,
            },
            "127.0.0.1:8333: outbound connection established".to_owned(),
        ),
        (
            restarting(Duration::ZERO),
            format!("127.0.0.1:8333: reconnecting immediately: {reason}"),
        ),
        (
            restarting(Duration::from_secs(2)),
            format!("127.0.0.1:8333: reconnecting in 2.0s: {reason}"),
        ),
        (
            ControlEvent::InboundConnectionRejected {
                address,
                reason: InboundRejectReason::Capacity,
            },
            "127.0.0.1:8333: inbound connection rejected: connection limit reached".to_owned(),
        ),
        (
            ControlEvent::ListenerBindFailed {
                address,
                error,
                retry_after: Duration::from_secs(10),
            },
            format!("listening on 127.0.0.1:8333 failed, retrying in 10.0s: {error}"),
        ),
        (
            ControlEvent::LocalFault {
                operation: LocalOperation::Dial,
                error,
            },
            format!("dialing failed: {error}"),
        ),
        (
            ControlEvent::PayloadDiscarded {
                peer_id,
                address,
                command: Command::new("block"),
                len: 7,
            },
            "127.0.0.1:8333: block of 7 bytes discarded".to_owned(),
        ),
        (
            ControlEvent::Lagged {
                subscription: "messages 1".into(),
                missed: 3,
            },
            "subscription messages 1 dropped 3 events".to_owned(),
        ),
        (
            ControlEvent::SubscriptionEnded {
                subscription: "messages 1".into(),
                reason: SubscriptionEndReason::TooSlow,
            },
            "subscription messages 1 ended: receiver was too slow".to_owned(),
        ),
    ] {
        assert_eq!(event.to_string(), text);
    }
}
