//! Whom to ask for a block: a pure machine, which knows no thread, socket or clock.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long is remembered that a peer stood still.
pub(super) const SLOW_FOR: Duration = Duration::from_secs(300);
/// Of how many peers that is remembered, before those are forgotten for whom it is over.
const MANY_SLOW: usize = 1024;

/// What each peer is giving, and who stood still lately.
#[derive(Debug, Default)]
pub(super) struct Suppliers {
    open: HashMap<Uuid, usize>,
    slow_until: HashMap<Uuid, Instant>,
}

/// A connected peer that may be asked for a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Supplier {
    pub(super) peer_id: Uuid,
    /// Where it stands among those who have announced the block: less is earlier.
    pub(super) announced: Option<u64>,
    /// Whether it says that it serves blocks.
    pub(super) serves: bool,
    pub(super) round_trip: Duration,
}

impl Suppliers {
    /// Which of these to ask: one that did not stand still lately, gives as little as possible to others, and announced the block first or
    /// answers soonest. It counts as asked from then on.
    pub(super) fn choose(&mut self, all: &[Supplier], now: Instant) -> Option<Uuid> {
        let best = all.iter().min_by_key(|one| {
            let is_slow = self.is_slow(one.peer_id, now);
            let open = self.open.get(&one.peer_id).copied().unwrap_or(0);
            // A place is better than none.
            let announced = Reverse(one.announced.map(Reverse));
            (is_slow, open, announced, !one.serves, one.round_trip)
        })?;
        *self.open.entry(best.peer_id).or_default() += 1;
        Some(best.peer_id)
    }

    /// A peer is asked no more.
    pub(super) fn on_end(&mut self, peer_id: Uuid) {
        if let Some(open) = self.open.get_mut(&peer_id) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&peer_id);
            }
        }
    }

    /// A peer did not give what it was asked for in time.
    pub(super) fn on_slow(&mut self, peer_id: Uuid, now: Instant) {
        if self.slow_until.len() >= MANY_SLOW {
            self.slow_until.retain(|_, until| now < *until);
        }
        self.slow_until.insert(peer_id, now + SLOW_FOR);
    }

    fn is_slow(&self, peer_id: Uuid, now: Instant) -> bool {
        let until = self.slow_until.get(&peer_id);
        until.is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supplier(number: u128, announced: Option<u64>, millis: u64) -> Supplier {
        Supplier {
            peer_id: Uuid::from_u128(number),
            announced,
            serves: true,
            round_trip: Duration::from_millis(millis),
        }
    }

    /// Who is asked if the one that is best is tried and left, time and again.
    fn order(suppliers: &mut Suppliers, all: &[Supplier], now: Instant) -> Vec<u128> {
        let mut left = all.to_vec();
        let mut order = Vec::new();
        while let Some(chosen) = suppliers.choose(&left, now) {
            suppliers.on_end(chosen);
            left.retain(|one| one.peer_id != chosen);
            order.push(chosen.as_u128());
        }
        order
    }

    #[test]
    fn who_announced_it_first_is_asked_first_and_then_who_answers_soonest() {
        let now = Instant::now();
        let mut suppliers = Suppliers::default();
        let no_server = Supplier {
            serves: false,
            ..supplier(5, None, 1)
        };
        let all = [
            supplier(1, None, 30),
            supplier(2, Some(9), 900),
            supplier(3, Some(4), 999),
            supplier(4, None, 20),
            no_server,
        ];
        assert_eq!(order(&mut suppliers, &all, now), [3, 2, 4, 1, 5]);
    }

    #[test]
    fn who_stood_still_is_asked_last_for_some_minutes() {
        let now = Instant::now();
        let mut suppliers = Suppliers::default();
        let all = [supplier(1, Some(1), 1), supplier(2, None, 2)];
        suppliers.on_slow(Uuid::from_u128(1), now);
        assert_eq!(order(&mut suppliers, &all, now), [2, 1]);
        let almost = now + SLOW_FOR - Duration::from_nanos(1);
        assert_eq!(order(&mut suppliers, &all, almost), [2, 1]);
        assert_eq!(order(&mut suppliers, &all, now + SLOW_FOR), [1, 2]);
    }

    #[test]
    fn several_at_once_are_spread_over_the_peers() {
        let now = Instant::now();
        let mut suppliers = Suppliers::default();
        let all = [supplier(1, Some(1), 1), supplier(2, None, 2)];
        let mut chosen = [0; 3];
        for _ in 0..5 {
            let peer = suppliers.choose(&all, now).unwrap();
            chosen[peer.as_u128() as usize] += 1;
        }
        assert_eq!(chosen, [0, 3, 2]);
        for number in [1, 1, 1, 2, 2] {
            suppliers.on_end(Uuid::from_u128(number));
        }
        assert!(suppliers.open.is_empty());
        assert_eq!(suppliers.choose(&[], now), None);
    }
}
