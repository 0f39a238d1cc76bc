//! Tests of the ban list: capacity, and loading after a restart.

use super::*;

#[test]
fn manual_ban_replaces_its_predecessor_in_full_list() {
    let mut bans = list(1);
    shut_out(&mut bans, "10.0.0.0/8", now()).unwrap();
    let end = now() + SECOND;
    let shorter = bans.ban(
        subnet("10.0.0.0/8"),
        BanReason::WrongChain,
        Some(end),
        now(),
    );
    assert_eq!(bans.list(), [shorter.unwrap().ban]);
}

#[test]
fn full_list_evicts_oldest_automatic_ban() {
    let mut bans = list(3);
    punish(&mut bans, "198.51.100.2", now() + SECOND).unwrap();
    punish(&mut bans, "198.51.100.1", now()).unwrap();
    shut_out(&mut bans, "10.0.0.0/8", now() - DAY).unwrap();

    let new = punish(&mut bans, "198.51.100.3", now() + 2 * SECOND).unwrap();
    assert_eq!(subnets(&new.evicted), ["198.51.100.1"]);
    let new = shut_out(&mut bans, "11.0.0.0/8", now() + 3 * SECOND).unwrap();
    assert_eq!(subnets(&new.evicted), ["198.51.100.2"]);
    let new = shut_out(&mut bans, "12.0.0.0/8", now() + 3 * SECOND).unwrap();
    assert_eq!(subnets(&new.evicted), ["198.51.100.3"]);

    let before = bans.list();
    let full = BanError::Full { limit: 3 };
    assert_eq!(shut_out(&mut bans, "13.0.0.0/8", now()).unwrap_err(), full);
    assert_eq!(punish(&mut bans, "198.51.100.4", now()).unwrap_err(), full);
    assert_eq!(bans.list(), before);
}

#[test]
fn full_list_evicts_ended_bans_first() {
    let mut bans = list(3);
    punish(&mut bans, "198.51.100.1", now()).unwrap();
    for text in ["10.0.0.0/8", "11.0.0.0/8"] {
        let end = Some(now() + SECOND);
        bans.ban(subnet(text), BanReason::Manual, end, now())
            .unwrap();
    }
    let new = punish(&mut bans, "198.51.100.2", now() + SECOND).unwrap();
    let mut evicted = subnets(&new.evicted);
    evicted.sort();
    assert_eq!(evicted, ["10.0.0.0/8", "11.0.0.0/8"]);
    assert_eq!(subnets(&bans.list()), ["198.51.100.1", "198.51.100.2"]);
}

#[test]
fn capacity_is_respected_and_has_a_maximum() {
    assert!(punish(&mut list(0), "198.51.100.1", now()).is_err());
    assert_eq!(list(usize::MAX).config().max_bans, BanList::MAX_BANS);
}

#[test]
fn ban_continues_after_a_restart() {
    let mut bans = list(10);
    punish(&mut bans, "198.51.100.1", now()).unwrap();
    punish(&mut bans, "198.51.100.2", now() + 10 * SECOND).unwrap();
    shut_out(&mut bans, "10.0.0.0/8", now()).unwrap();

    let mut after = list(10);
    assert_eq!(after.load(bans.list(), now() + DAY), []);
    assert_eq!(subnets(&after.list()), ["10.0.0.0/8", "198.51.100.2"]);
    let end = now() + DAY + 10 * SECOND;
    assert!(after.is_banned(ip("198.51.100.2"), end - SECOND).is_some());
    assert!(after.is_banned(ip("198.51.100.2"), end).is_none());
}

#[test]
fn bans_of_incorrect_clock_are_corrected() {
    let future = now() + 1000 * DAY;
    let mut wrong = list(10);
    punish(&mut wrong, "198.51.100.1", future).unwrap();
    let end = Some(future + DAY);
    wrong
        .ban(subnet("10.0.0.0/8"), BanReason::Manual, end, future)
        .unwrap();

    let mut bans = list(10);
    bans.load(wrong.list(), now());
    let [by_hand, automatic] = bans.list()[..] else {
        panic!("{:?}", bans.list());
    };
    assert_eq!((by_hand.since, by_hand.until), (now(), end));
    assert_eq!(
        (automatic.since, automatic.until),
        (now(), Some(now() + DAY))
    );

    let for_ever = Ban {
        until: None,
        ..automatic
    };
    let mut bans = list(10);
    bans.load([for_ever], now());
    assert_eq!(bans.list(), [automatic]);
}

#[test]
fn load_returns_oldest_automatic_bans_above_capacity() {
    let mut bans = list(10);
    for (address, second) in [
        ("198.51.100.1", 1),
        ("198.51.100.2", 0),
        ("198.51.100.3", 2),
    ] {
        punish(&mut bans, address, now() + second * SECOND).unwrap();
    }
    for text in ["10.0.0.0/8", "11.0.0.0/8"] {
        shut_out(&mut bans, text, now()).unwrap();
    }
    let later = now() + 5 * SECOND;
    let mut small = list(3);
    let left = small.load(bans.list(), later);
    assert_eq!(subnets(&left), ["198.51.100.1", "198.51.100.2"]);
    assert_eq!(
        subnets(&small.list()),
        ["10.0.0.0/8", "11.0.0.0/8", "198.51.100.3"]
    );
    let left = list(1).load(bans.list(), later);
    assert_eq!(
        left.iter()
            .filter(|ban| ban.by == BanOrigin::Manual)
            .count(),
        1
    );
}

#[test]
fn unrepresentable_end_makes_ban_permanent() {
    let mut bans = BanList::new(BanConfig {
        automatic_duration: Duration::MAX,
        automatic_ipv6_prefix: 255,
        ..BanConfig::default()
    });
    let ban = punish(&mut bans, "2001:db8::1", now()).unwrap().ban;
    assert_eq!((ban.until, ban.subnet), (None, subnet("2001:db8::1")));
}

#[test]
fn load_keeps_existing_ban_or_the_newest() {
    let ban = |second: u32| {
        let mut one = list(1);
        shut_out(&mut one, "10.0.0.0/8", now() + second * SECOND).unwrap();
        one.list()[0]
    };
    let later = now() + 9 * SECOND;
    let mut bans = list(1);
    assert_eq!(bans.load([ban(1), ban(3), ban(2)], later), []);
    assert_eq!(bans.list(), [ban(3)]);
    assert_eq!(bans.load([ban(4)], later), []);
    assert_eq!(bans.list(), [ban(3)]);
}
