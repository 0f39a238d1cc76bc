//! Months of simulated time in a network of mixed peers.

use std::collections::HashSet;

use super::world::{Habit, World};
use super::*;
use crate::peers::address_group;

fn mixed(address: SocketAddr) -> Habit {
    let std::net::IpAddr::V4(ip) = address.ip() else {
        return Habit::IsDead;
    };
    match u32::from_be_bytes(ip.octets()) >> 16 & 0xff {
        at if at % 8 == 0 => Habit::Good,
        at if at % 8 == 1 => Habit::Flaps,
        at if at % 8 == 2 => Habit::Misbehaves,
        at if at % 8 == 3 => Habit::IsForeign,
        at if at % 8 == 4 => Habit::Refuses,
        _ => Habit::IsDead,
    }
}

/// Checks the invariants of the plan.
fn check(world: &World) {
    let plan = &world.plan;
    let counts = plan.links.counts();
    assert!(counts.taken() <= plan.config.max_connections, "{counts:?}");
    let kept = plan.reserved_outbound();
    let strangers = counts.inbound + counts.handshakes;
    assert!(
        strangers <= plan.config.max_connections - kept,
        "{counts:?}"
    );
    let mut groups = HashSet::new();
    for (_, link) in plan.links.iter() {
        if link.direction == Direction::Outbound && plan.fixed.is_none() {
            assert!(
                groups.insert(address_group(link.address.ip())),
                "two in {link:?}"
            );
        }
    }
}

#[test]
fn months_among_mixed_peers() {
    let mut banned = 0;
    for seed in 0..2 {
        let known = known(0..300, begin());
        let mut world = World::new(config(), known, mixed, seed);
        // In the first hours most dials reach peers that do not answer.
        world.run(6 * HOUR, None, check);
        let mut below = 0;
        let mut looked = 0;
        for _ in 0..60 {
            world.run(DAY, None, |world| {
                check(world);
                looked += 1;
                let connected = world.plan.links.counts().connected;
                below += usize::from(connected < 4);
            });
        }
        assert!(looked > 10_000, "{looked}");
        assert!(
            below * 10 < looked,
            "{below} of {looked} times fewer than four"
        );
        // The dialed peers differ from run to run. The chance that none of them misbehaves is one
        // in millions.
        banned += world.banned;
        let most = world.dialed.values().map(Vec::len).max().unwrap();
        // A refusing or dead peer is dialed eleven times, followed by an hour of cool-down.
        assert!(most < 60 * 24 * 16, "{most}");
    }
    assert!(banned > 0);
}

#[test]
fn inbound_crowds_stay_within_limits() {
    let known = known(0..200, begin());
    let mut world = World::new(config(), known, mixed, 5);
    world.strangers(SECOND);
    world.run(HOUR, Some(SECOND), check);
    let mut without = 0;
    let mut looked = 0;
    world.run(12 * HOUR, Some(SECOND), |world| {
        check(world);
        looked += 1;
        without += usize::from(world.plan.links.counts().outbound < 4);
    });
    assert!(world.let_in > 100, "{}", world.let_in);
    assert!(
        without * 4 < looked,
        "{without} of {looked} times fewer than four dialed"
    );
}

#[test]
fn dead_fixed_peer_is_dialed_until_back() {
    let mut world = World::new(config(), Vec::new(), |_| Habit::IsDead, 9);
    let now = world.now;
    world.plan.fix(&[address(1), address(2)], now).unwrap();
    world.run(30 * DAY, None, check);
    for number in [1, 2] {
        let tries = &world.dialed[&address(number)];
        let longest = tries
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap();
        assert!(longest <= 10 * SECOND + 600 * SECOND, "{longest:?}");
        let rate = tries.len() / 30;
        assert!((24 * 5..24 * 9).contains(&rate), "{rate} tries a day");
    }
}
