//! Tests of the records of a peer.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn peer() -> Peer {
    Peer::new("8.8.4.4:8333".parse().unwrap(), PeerSource::Seed, now()).unwrap()
}

fn version() -> PeerVersion {
    PeerVersion {
        protocol_version: 70016,
        user_agent: UserAgent::new(b"/a:1/"),
        start_height: 7,
    }
}

#[test]
fn a_mapped_address_is_kept_as_ipv4() {
    let address = "[::ffff:8.8.4.4]:8333".parse().unwrap();
    let peer = Peer::new(address, PeerSource::Inbound, now()).unwrap();
    assert_eq!(peer.socket_address(), "8.8.4.4:8333".parse().unwrap());
    assert_eq!(peer.to_string(), "8.8.4.4:8333 (unknown)");
}

#[test]
fn address_with_a_scope_is_refused() {
    for text in ["[fe80::1%2]:8333", "[::ffff:8.8.4.4%1]:8333"] {
        let address = text.parse().unwrap();
        let error = Peer::new(address, PeerSource::Manual, now()).unwrap_err();
        assert_eq!(error, ScopedAddressError { address });
        assert!(error.to_string().starts_with(&address.to_string()));
    }
    let address = "[fe80::1]:8333".parse().unwrap();
    let peer = Peer::new(address, PeerSource::Manual, now()).unwrap();
    assert_eq!(peer.socket_address(), address);
}

#[test]
fn only_application_source_makes_peer_manual() {
    let address = "8.8.4.4:8333".parse().unwrap();
    let named = |source| Peer::new(address, source, now()).unwrap().manual;
    assert!(named(PeerSource::Manual));
    for source in [
        PeerSource::Seed,
        PeerSource::Inbound,
        PeerSource::Peer(address.ip()),
    ] {
        assert!(!named(source));
    }
}

#[test]
fn handshake_sets_valid_and_resets_failures() {
    let (mut peer, later) = (peer(), now() + MINUTE);
    peer.record_attempt(now());
    peer.record_failure();
    peer.record_connected(0x25, version(), later).unwrap();
    let expected = Peer {
        id: peer.id,
        status: PeerStatus::Valid,
        status_timestamp: later,
        services: 0x25,
        version: Some(version()),
        last_seen: later,
        last_tried: Some(now()),
        last_connected: Some(later),
        ..self::peer()
    };
    assert_eq!(peer, expected);
}

#[test]
fn invalid_status_change_leaves_peer_unchanged() {
    let mut peer = peer();
    peer.record_ban(BanReason::WrongMagic, Some(now() + DAY), now());
    let before = peer.clone();
    let error = peer.record_connected(1, version(), now() + DAY);
    assert_eq!(
        error.unwrap_err().to_string(),
        "invalid status change from banned to valid"
    );
    assert_eq!(peer, before);
    let free = now() + DAY;
    peer.set_status(PeerStatus::Unknown, free).unwrap();
    assert_eq!((peer.banned_until, peer.status_timestamp), (None, free));
}

#[test]
fn advertised_data_is_bounded_by_time_and_version() {
    let mut peer = peer();
    peer.record_advertised(1, now() + DAY, now() + MINUTE);
    peer.record_advertised(4, now() - DAY, now() + MINUTE);
    assert_eq!((peer.services, peer.last_seen), (5, now() + MINUTE));
    peer.record_connected(0x20, version(), now()).unwrap();
    peer.record_advertised(1, now(), now());
    assert_eq!(peer.services, 0x20);
}

#[test]
fn terrible_peers_match_the_rules_of_the_node() {
    let connected = |ago: Duration, failures| Peer {
        last_connected: Some(now() - ago),
        failures,
        ..peer()
    };
    let failed = |failures| Peer { failures, ..peer() };
    let tried = |ago: Duration| Peer {
        last_tried: Some(now() - ago),
        ..failed(3)
    };
    let seen = |last_seen| Peer {
        last_seen,
        ..peer()
    };
    for (peer, terrible) in [
        (peer(), false),
        (seen(now() - 7 * DAY), false),
        (seen(now() - 7 * DAY - SECOND), true),
        (seen(now() + 10 * MINUTE), false),
        (seen(now() + 10 * MINUTE + SECOND), true),
        (failed(2), false),
        (failed(3), true),
        (tried(MINUTE), false),
        (tried(MINUTE + SECOND), true),
        (connected(30 * DAY, 9), false),
        (connected(2 * DAY, 10), false),
        (connected(2 * DAY + SECOND, 10), true),
    ] {
        assert_eq!(peer.is_terrible(now()), terrible, "{peer:?}");
        let named = Peer {
            manual: true,
            ..peer
        };
        assert!(!named.is_terrible(now()));
    }
}

#[test]
fn failures_are_counted_without_end() {
    let mut peer = peer();
    peer.failures = u32::MAX;
    peer.record_failure();
    assert_eq!(peer.failures, u32::MAX);
}
