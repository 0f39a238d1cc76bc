//! Tests of the serde representation, field by field.

use serde_json::{Value, json};

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn peer() -> Peer {
    let mut peer = Peer::new(
        "8.8.4.4:8333".parse().unwrap(),
        PeerSource::Peer("2001:db8::1".parse().unwrap()),
        at(100),
    )
    .unwrap();
    peer.id = PeerId::from_u128(7);
    peer.services = u64::MAX;
    peer.version = Some(PeerVersion {
        protocol_version: i32::MIN,
        user_agent: UserAgent::new(b"/a\"\n\0\x7f\xff/"),
        start_height: -1,
    });
    peer.record_ban(BanReason::Misbehaved { score: 107 }, Some(at(300)), at(200));
    peer.last_connected = Some(at(150));
    peer.failures = u32::MAX;
    peer
}

fn written(peer: Peer) -> Value {
    serde_json::to_value(PeerEntry(peer)).unwrap()
}

fn read(value: Value) -> Result<Peer, serde_json::Error> {
    serde_json::from_str(&value.to_string()).map(|PeerEntry(peer)| peer)
}

#[test]
fn a_peer_is_written_in_this_form() {
    let form = json!({
        "id": "00000000-0000-0000-0000-000000000007",
        "ip_address": "8.8.4.4",
        "port": 8333,
        "status": { "banned": { "misbehaved": { "score": 107 } } },
        "status_timestamp": 200,
        "banned_until": 300,
        "source": { "peer": "2001:db8::1" },
        "manual": false,
        "services": u64::MAX,
        "version": {
            "protocol_version": i32::MIN,
            "user_agent": "/a\"\n\0\x7f\u{ff}/",
            "start_height": -1,
        },
        "last_seen": 100,
        "last_tried": null,
        "last_connected": 150,
        "failures": u32::MAX,
    });
    assert_eq!(written(peer()), form);
    assert_eq!(read(form).unwrap(), peer());
}

#[test]
fn unknown_ban_reason_is_rejected() {
    let mut form = written(peer());
    for (reason, is_known) in [
        ("wrong_chain", true),
        ("banned_user_agent", false),
        ("no_reason", false),
    ] {
        form["status"] = json!({ "banned": reason });
        assert_eq!(read(form.clone()).is_ok(), is_known, "{reason}");
    }
}

#[test]
fn every_status_source_and_reason_is_read_back() {
    let reasons = [
        BanReason::Misbehaved { score: u32::MAX },
        BanReason::FrameTooLarge,
        BanReason::WrongMagic,
        BanReason::WrongChain,
        BanReason::StreamAddressMismatch,
        BanReason::Manual,
    ];
    let others = [
        PeerStatus::Unknown,
        PeerStatus::Valid,
        PeerStatus::Inaccessible,
    ];
    for status in reasons.map(PeerStatus::Banned).into_iter().chain(others) {
        for source in [PeerSource::Manual, PeerSource::Seed, PeerSource::Inbound] {
            let peer = Peer {
                status,
                source,
                ..peer()
            };
            assert_eq!(read(written(peer.clone())).unwrap(), peer);
        }
    }
}

#[test]
fn a_ban_is_written_in_this_form() {
    let ban = Ban {
        subnet: "2001:db8::/64".parse().unwrap(),
        reason: BanReason::WrongChain,
        by: BanOrigin::Automatic,
        since: at(100),
        until: None,
    };
    let form = json!({
        "subnet": "2001:db8::/64",
        "reason": "wrong_chain",
        "by": "automatic",
        "since": 100,
        "until": null,
    });
    assert_eq!(serde_json::to_value(BanEntry(ban)).unwrap(), form);
    let BanEntry(read) = serde_json::from_value(form).unwrap();
    assert_eq!(read, ban);
}

#[test]
fn times_are_rounded_down_to_whole_seconds() {
    let mut peer = peer();
    peer.last_seen = at(101) - Duration::from_nanos(1);
    peer.status_timestamp = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    let read = read(written(peer)).unwrap();
    assert_eq!(read.last_seen, at(100));
    assert_eq!(read.status_timestamp, at(0));
}

#[test]
fn mapped_address_is_read_as_ipv4() {
    let mut form = written(peer());
    form["ip_address"] = json!("::ffff:8.8.4.4");
    assert_eq!(read(form).unwrap(), peer());
}

#[test]
fn invalid_fields_are_rejected() {
    let long = "a".repeat(UserAgent::MAX_LEN + 1);
    for (field, wrong) in [
        ("id", json!("7")),
        ("ip_address", json!("example.com")),
        ("port", json!(65_536)),
        ("port", json!(-1)),
        ("status", json!("banned")),
        ("status", json!("dead")),
        ("status_timestamp", json!(u64::MAX)),
        ("status_timestamp", json!(-1)),
        ("status_timestamp", json!(1.5)),
        ("banned_until", json!(u64::MAX)),
        ("services", json!(-1)),
        (
            "version",
            json!({ "protocol_version": 1, "user_agent": long, "start_height": 0 }),
        ),
        (
            "version",
            json!({ "protocol_version": 1, "user_agent": "\u{100}", "start_height": 0 }),
        ),
        (
            "version",
            json!({ "protocol_version": 1, "start_height": 0 }),
        ),
        ("failures", json!(4_294_967_296_u64)),
    ] {
        let mut form = written(peer());
        form[field] = wrong.clone();
        assert!(read(form).is_err(), "{field}: {wrong}");
    }
    let longest = "\u{ff}".repeat(UserAgent::MAX_LEN);
    let mut form = written(peer());
    form["version"]["user_agent"] = json!(longest);
    let agent = read(form).unwrap().version.unwrap().user_agent;
    assert_eq!(agent.as_bytes(), [0xff; UserAgent::MAX_LEN]);
}

#[test]
#[cfg(feature = "serde")]
fn feature_serde_uses_the_representation_of_the_file() {
    assert_eq!(serde_json::to_value(peer()).unwrap(), written(peer()));
    let bytes = postcard::to_stdvec(&peer()).unwrap();
    assert_eq!(postcard::from_bytes::<Peer>(&bytes).unwrap(), peer());
    let subnet: Subnet = "10.0.0.0/8".parse().unwrap();
    assert_eq!(serde_json::to_value(subnet).unwrap(), json!("10.0.0.0/8"));
    assert!(serde_json::from_value::<Subnet>(json!("10.0.0.1/8")).is_err());
    assert_eq!(
        serde_json::to_value(crate::peers::PeerStatusKind::Inaccessible).unwrap(),
        json!("inaccessible")
    );
}
