//! Tests of the limits of the file.

use std::time::Duration;

use super::*;
use crate::peers::{BanOrigin, BanReason, PeerSource, PeerStatus, PeerVersion, UserAgent};

/// Returns the time with the most digits.
fn last_second() -> SystemTime {
    let epoch = SystemTime::UNIX_EPOCH;
    epoch + Duration::from_secs(i64::MAX as u64)
}

#[test]
fn largest_peer_and_ban_fit_their_limits() {
    let ip = "1111:1111:1111:1111:1111:1111:1111:1111".parse().unwrap();
    let mut peer = Peer::new((ip, u16::MAX).into(), PeerSource::Peer(ip), last_second()).unwrap();
    peer.services = u64::MAX;
    peer.failures = u32::MAX;
    peer.version = Some(PeerVersion {
        protocol_version: i32::MIN,
        // JSON needs the most bytes for these.
        user_agent: UserAgent::new(&[0; UserAgent::MAX_LEN]),
        start_height: i32::MIN,
    });
    peer.status = PeerStatus::Banned(BanReason::Misbehaved { score: u32::MAX });
    peer.banned_until = Some(last_second());
    peer.last_tried = Some(last_second());
    peer.last_connected = Some(last_second());
    let ban = Ban {
        subnet: crate::peers::Subnet::containing(ip, 127),
        reason: BanReason::Misbehaved { score: u32::MAX },
        by: BanOrigin::Automatic,
        since: last_second(),
        until: Some(last_second()),
    };
    // Each is followed by a comma.
    let peer = serde_json::to_vec(&PeerEntry(peer)).unwrap().len() + 1;
    let ban = serde_json::to_vec(&BanEntry(ban)).unwrap().len() + 1;
    assert!(
        (MAX_PEER_BYTES / 2..=MAX_PEER_BYTES).contains(&peer),
        "{peer}"
    );
    assert!((MAX_BAN_BYTES / 2..=MAX_BAN_BYTES).contains(&ban), "{ban}");
}

#[test]
fn list_above_its_limit_is_rejected() {
    let read = |text: &str| serde_json::from_str::<BoundedSeq<u8, 3>>(text);
    assert_eq!(read("[1,2,3]").unwrap().entries, [1, 2, 3]);
    let error = read("[1,2,3,4]").err().unwrap().to_string();
    assert!(error.contains("a list of at most 3 entries"), "{error}");
    // The fifth is not parsed.
    assert_eq!(read("[1,2,3,4,x").err().unwrap().to_string(), error);
}

#[test]
fn damage_is_described_in_one_short_line() {
    let hostile = "\u{1b}[2J\n\u{e9}".repeat(1_000_000);
    let ReadError::Corrupt(reason) = corrupt(&hostile) else {
        panic!("it is damage");
    };
    assert!(reason.len() < MAX_ERROR_LEN + 10);
    assert!(reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    assert!(reason.starts_with(r"\u{1b}[2J\n\u{e9}"), "{reason}");
}
