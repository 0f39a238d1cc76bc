//! Tests of the ban list: precedence, removal and expiry.

use std::time::Duration;

use super::*;

mod bounds;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn list(max_bans: usize) -> BanList {
    BanList::new(BanConfig {
        max_bans,
        ..BanConfig::default()
    })
}

/// Bans an address automatically.
fn punish(list: &mut BanList, address: &str, now: SystemTime) -> Result<BanOutcome, BanError> {
    list.ban_automatically(ip(address), BanReason::WrongMagic, now)
}

/// Bans a subnet manually and permanently.
fn shut_out(list: &mut BanList, text: &str, now: SystemTime) -> Result<BanOutcome, BanError> {
    list.ban(subnet(text), BanReason::Manual, None, now)
}

fn subnets(bans: &[Ban]) -> Vec<String> {
    bans.iter().map(|ban| ban.subnet.to_string()).collect()
}

/// Returns the rule that bans an address, as text.
fn rule(list: &BanList, address: &str, now: SystemTime) -> Option<(String, BanOrigin)> {
    let ban = list.is_banned(ip(address), now)?;
    Some((ban.subnet.to_string(), ban.by))
}

fn by_hand(text: &str) -> Option<(String, BanOrigin)> {
    Some((text.into(), BanOrigin::Manual))
}

fn automatic(text: &str) -> Option<(String, BanOrigin)> {
    Some((text.into(), BanOrigin::Automatic))
}

#[test]
fn whitelist_overrides_manual_and_manual_overrides_automatic() {
    let mut bans = list(10);
    punish(&mut bans, "198.51.100.7", now()).unwrap();
    assert_eq!(
        rule(&bans, "198.51.100.7", now()),
        automatic("198.51.100.7")
    );
    shut_out(&mut bans, "198.51.0.0/16", now()).unwrap();
    assert_eq!(rule(&bans, "198.51.100.7", now()), by_hand("198.51.0.0/16"));
    shut_out(&mut bans, "198.51.100.0/24", now()).unwrap();
    assert_eq!(
        rule(&bans, "198.51.100.7", now()),
        by_hand("198.51.100.0/24")
    );
    assert_eq!(rule(&bans, "198.51.101.7", now()), by_hand("198.51.0.0/16"));

    bans.set_whitelist([subnet("198.51.100.0/25")]);
    assert_eq!(rule(&bans, "198.51.100.127", now()), None);
    assert_eq!(
        rule(&bans, "198.51.100.128", now()),
        by_hand("198.51.100.0/24")
    );
    assert_eq!(
        bans.whitelisted_by(ip("::ffff:198.51.100.7")),
        Some(&subnet("198.51.100.0/25"))
    );
    bans.set_whitelist([]);
    assert_eq!(
        rule(&bans, "198.51.100.127", now()),
        by_hand("198.51.100.0/24")
    );
}

#[test]
fn ended_rule_yields_to_the_next() {
    let mut bans = list(10);
    punish(&mut bans, "198.51.100.7", now()).unwrap();
    let end = now() + 10 * SECOND;
    bans.ban(subnet("198.51.100.7"), BanReason::Manual, Some(end), now())
        .unwrap();
    let before = end - Duration::from_nanos(1);
    assert_eq!(rule(&bans, "198.51.100.7", before), by_hand("198.51.100.7"));
    assert_eq!(rule(&bans, "198.51.100.7", end), automatic("198.51.100.7"));
    assert_eq!(rule(&bans, "198.51.100.7", now() + DAY), None);
}

#[test]
fn whitelisted_address_is_not_banned_automatically() {
    let mut bans = list(10);
    bans.set_whitelist([subnet("2001:db8::/32")]);
    let error = punish(&mut bans, "2001:db8::1", now()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2001:db8::1 is on the whitelist (2001:db8::/32)"
    );
    assert!(bans.is_empty());
}

#[test]
fn automatic_ban_covers_address_or_ipv6_subnet() {
    let mut bans = list(10);
    let ban = punish(&mut bans, "::ffff:198.51.100.7", now()).unwrap().ban;
    assert_eq!(ban.subnet, subnet("198.51.100.7"));
    assert_eq!((ban.since, ban.until), (now(), Some(now() + DAY)));
    let ban = punish(&mut bans, "2001:db8:0:1:2::7", now()).unwrap().ban;
    assert_eq!(ban.subnet, subnet("2001:db8:0:1::/64"));

    let last = now() + DAY - SECOND;
    for (address, covered) in [
        ("198.51.100.7", true),
        ("::ffff:198.51.100.7", true),
        ("198.51.100.6", false),
        ("2001:db8:0:1:ffff::", true),
        ("2001:db8:0:2::", false),
        ("2001:db8::", false),
    ] {
        assert_eq!(bans.is_banned(ip(address), last).is_some(), covered);
        assert!(bans.is_banned(ip(address), last + SECOND).is_none());
    }
}

#[test]
fn second_automatic_ban_extends_the_first() {
    let mut bans = list(1);
    punish(&mut bans, "198.51.100.7", now()).unwrap();
    let earlier = now() - 10 * SECOND;
    let reason = BanReason::Misbehaved { score: 100 };
    let again = bans.ban_automatically(ip("198.51.100.7"), reason, earlier);
    assert_eq!(again.unwrap().ban.until, Some(now() + DAY));
    let later = punish(&mut bans, "198.51.100.7", now() + DAY).unwrap();
    assert_eq!(later.ban.until, Some(now() + 2 * DAY));
    assert_eq!(bans.list(), [later.ban]);
}

#[test]
fn ban_with_end_in_the_past_is_rejected() {
    let mut bans = list(1);
    let mut until = |end| bans.ban(subnet("10.0.0.0/8"), BanReason::Manual, Some(end), now());
    assert!(
        until(now() - 3 * SECOND)
            .unwrap_err()
            .to_string()
            .contains("3s ago")
    );
    assert!(until(now()).is_err());
    assert!(until(now() + SECOND).is_ok());
}

#[test]
fn unban_is_exact_unban_address_is_not() {
    let mut bans = list(10);
    for text in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "11.0.0.0/8"] {
        shut_out(&mut bans, text, now()).unwrap();
    }
    punish(&mut bans, "10.1.2.3", now()).unwrap();

    let removed = bans.unban(&subnet("10.1.2.3"));
    let by: Vec<BanOrigin> = removed.iter().map(|ban| ban.by).collect();
    assert_eq!(by, [BanOrigin::Manual, BanOrigin::Automatic]);
    assert_eq!(bans.unban(&subnet("10.1.2.3")), []);
    assert_eq!(rule(&bans, "10.1.2.3", now()), by_hand("10.1.0.0/16"));

    punish(&mut bans, "10.1.2.3", now()).unwrap();
    let removed = bans.unban_address(ip("::ffff:10.1.2.3"));
    assert_eq!(subnets(&removed), ["10.1.0.0/16", "10.0.0.0/8", "10.1.2.3"]);
    assert_eq!(rule(&bans, "10.1.2.3", now()), None);
    assert_eq!(subnets(&bans.list()), ["11.0.0.0/8"]);
}

#[test]
fn ended_bans_expire_once_and_next_is_known() {
    let mut bans = list(10);
    assert_eq!(bans.next_expiry(), None);
    shut_out(&mut bans, "10.0.0.0/8", now()).unwrap();
    assert_eq!(bans.next_expiry(), None);
    punish(&mut bans, "198.51.100.1", now()).unwrap();
    punish(&mut bans, "198.51.100.2", now() + SECOND).unwrap();
    assert_eq!(bans.next_expiry(), Some(now() + DAY));

    assert_eq!(bans.expire(now() + DAY - SECOND), []);
    assert_eq!(subnets(&bans.expire(now() + DAY)), ["198.51.100.1"]);
    assert_eq!(bans.expire(now() + DAY), []);
    assert_eq!(bans.next_expiry(), Some(now() + DAY + SECOND));
    assert_eq!(bans.len(), 2);
}

#[test]
fn list_is_sorted_by_origin_and_subnet() {
    let mut bans = list(10);
    punish(&mut bans, "2001:db8::1", now()).unwrap();
    punish(&mut bans, "10.0.0.1", now()).unwrap();
    shut_out(&mut bans, "198.51.0.0/16", now()).unwrap();
    shut_out(&mut bans, "100.0.0.0/8", now()).unwrap();
    assert_eq!(
        subnets(&bans.list()),
        ["100.0.0.0/8", "198.51.0.0/16", "10.0.0.1", "2001:db8::/64"]
    );
}
