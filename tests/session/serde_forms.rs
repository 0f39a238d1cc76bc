//! The serde forms of information about a peer.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::connection::TrafficStats;
use bsv_p2p::session::{DisconnectAction, DisconnectReason, PeerInfo, RoundTrip, UserAgentPolicy};
use bsv_p2p::wire::{
    AssociationId, DecodeError, MagicMismatch, Reject, RejectCode, Services, WireString,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, to_value};

#[track_caller]
fn assert_form<T>(value: &T, json: Value)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(to_value(value).unwrap(), json);
    let text = json.to_string();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
}

#[test]
fn peer_types_survive_serde_round_trip() {
    let info = PeerInfo {
        version: 70016,
        services: Services(33),
        timestamp: -1,
        user_agent: WireString::from(&b"/node\xff/"[..]),
        start_height: 7,
        relay: true,
        association_id: Some(AssociationId::Null),
    };
    let json = json!({
        "version": 70016,
        "services": 33,
        "timestamp": -1,
        "user_agent": { "hex": "2f6e6f6465ff2f" },
        "start_height": 7,
        "relay": true,
        "association_id": "none",
    });
    assert_form(&info, json);
    let mut traffic = TrafficStats::default();
    traffic.messages_received = 1;
    traffic.messages_sent = 2;
    traffic.bytes_received = 3;
    traffic.bytes_sent = u64::MAX;
    let json = json!({
        "messages_received": 1,
        "messages_sent": 2,
        "bytes_received": 3,
        "bytes_sent": u64::MAX,
    });
    assert_form(&traffic, json);
    let mut round_trip = RoundTrip::default();
    round_trip.last = Some(Duration::from_micros(1_250));
    round_trip.min = Some(Duration::from_secs(1));
    let json = json!({ "last": 0.00125, "min": 1, "smoothed": null });
    assert_form(&round_trip, json);
    assert_form(&UserAgentPolicy::Any, json!("any"));
    let policy = UserAgentPolicy::Refuse(vec!["*x*".into()]);
    assert_form(&policy, json!({ "refuse": ["*x*"] }));
    assert_form(&DisconnectAction::Cooldown, json!("cooldown"));
}

#[test]
fn disconnect_reason_serializes_as_name_and_detail() {
    for (reason, json) in [
        (
            DisconnectReason::ConnectionClosed,
            json!({ "reason": "connection_closed" }),
        ),
        (
            DisconnectReason::PingTimeout {
                after: Duration::from_secs(60),
            },
            json!({ "reason": "ping_timeout", "detail": { "after": 60 } }),
        ),
        (
            DisconnectReason::Io(io::ErrorKind::BrokenPipe),
            json!({ "reason": "io", "detail": "BrokenPipe" }),
        ),
        (
            DisconnectReason::PeerAtCapacity(Box::new(Reject::new(
                "version",
                RejectCode::TOO_BUSY,
                "x",
            ))),
            json!({
                "reason": "peer_at_capacity",
                "detail": { "message": "version", "code": 0x44, "reason": "x", "hash": null },
            }),
        ),
        (
            DisconnectReason::MalformedVersion(DecodeError::Truncated {
                field: "nonce",
                needed: 8,
                left: 1,
            }),
            json!({
                "reason": "malformed_version",
                "detail": { "error": "truncated", "field": "nonce", "needed": 8, "left": 1 },
            }),
        ),
        (
            DisconnectReason::WrongMagic(MagicMismatch {
                expected: Network::Mainnet.magic(),
                got: Network::Stn.magic(),
            }),
            json!({
                "reason": "wrong_magic",
                "detail": { "expected": "e3e1f3e8", "got": "fbcec4f9" },
            }),
        ),
    ] {
        assert_eq!(to_value(&reason).unwrap(), json);
        assert!(postcard::to_stdvec(&reason).is_ok());
    }
}
