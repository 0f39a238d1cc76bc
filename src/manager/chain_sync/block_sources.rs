//! Chooses the peer to request a block from.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::peers::PeerId;

/// Time for which a stalled peer is tried last.
pub(super) const SLOW_DURATION: Duration = Duration::from_secs(300);
/// Number of stalled peers remembered before expired entries are removed.
const MAX_SLOW: usize = 1024;

/// The open block requests and the recent stalls of each peer. Has no thread, socket or clock.
#[derive(Debug, Default)]
pub(super) struct BlockSources {
    open: HashMap<PeerId, usize>,
    slow_until: HashMap<PeerId, Instant>,
}

/// A connected peer that can serve a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockSource {
    pub(super) peer_id: PeerId,
    /// The position among the peers that announced the block. Lower is earlier.
    pub(super) announced: Option<u64>,
    /// Whether the peer advertises `NODE_NETWORK`.
    pub(super) serves: bool,
    pub(super) round_trip: Duration,
}

impl BlockSources {
    /// Chooses a peer and counts one open request for it.
    ///
    /// Prefers a peer without a recent stall, then the one with the fewest open requests. Ties are
    /// resolved by the earliest announcement, then by `NODE_NETWORK`, then by the shortest round
    /// trip.
    pub(super) fn choose(&mut self, all: &[BlockSource], now: Instant) -> Option<PeerId> {
        let best = all.iter().min_by_key(|one| {
            let is_slow = self.is_slow(one.peer_id, now);
            let open = self.open.get(&one.peer_id).copied().unwrap_or(0);
            // `Some` sorts before `None`, and a lower position before a higher one.
            let announced = Reverse(one.announced.map(Reverse));
            (is_slow, open, announced, !one.serves, one.round_trip)
        })?;
        *self.open.entry(best.peer_id).or_default() += 1;
        Some(best.peer_id)
    }

    /// Ends one open request of a peer.
    pub(super) fn on_end(&mut self, peer_id: PeerId) {
        if let Some(open) = self.open.get_mut(&peer_id) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&peer_id);
            }
        }
    }

    /// Records a stall of a peer.
    pub(super) fn on_slow(&mut self, peer_id: PeerId, now: Instant) {
        if self.slow_until.len() >= MAX_SLOW {
            self.slow_until.retain(|_, until| now < *until);
        }
        self.slow_until.insert(peer_id, now + SLOW_DURATION);
    }

    fn is_slow(&self, peer_id: PeerId, now: Instant) -> bool {
        let until = self.slow_until.get(&peer_id);
        until.is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u128, announced: Option<u64>, millis: u64) -> BlockSource {
        BlockSource {
            peer_id: PeerId::from_u128(number),
            announced,
            serves: true,
            round_trip: Duration::from_millis(millis),
        }
    }

    /// Returns the order in which peers are chosen if each request fails.
    fn order(sources: &mut BlockSources, all: &[BlockSource], now: Instant) -> Vec<u128> {
        let mut left = all.to_vec();
        let mut order = Vec::new();
        while let Some(chosen) = sources.choose(&left, now) {
            sources.on_end(chosen);
            left.retain(|one| one.peer_id != chosen);
            order.push(chosen.as_u128());
        }
        order
    }

    #[test]
    fn announcement_precedes_service_and_round_trip() {
        let now = Instant::now();
        let mut sources = BlockSources::default();
        let without_blocks = BlockSource {
            serves: false,
            ..source(5, None, 1)
        };
        let all = [
            source(1, None, 30),
            source(2, Some(9), 900),
            source(3, Some(4), 999),
            source(4, None, 20),
            without_blocks,
        ];
        assert_eq!(order(&mut sources, &all, now), [3, 2, 4, 1, 5]);
    }

    #[test]
    fn stalled_peer_is_last_for_five_minutes() {
        let now = Instant::now();
        let mut sources = BlockSources::default();
        let all = [source(1, Some(1), 1), source(2, None, 2)];
        sources.on_slow(PeerId::from_u128(1), now);
        assert_eq!(order(&mut sources, &all, now), [2, 1]);
        let almost = now + SLOW_DURATION - Duration::from_nanos(1);
        assert_eq!(order(&mut sources, &all, almost), [2, 1]);
        assert_eq!(order(&mut sources, &all, now + SLOW_DURATION), [1, 2]);
    }

    #[test]
    fn concurrent_requests_are_spread_over_peers() {
        let now = Instant::now();
        let mut sources = BlockSources::default();
        let all = [source(1, Some(1), 1), source(2, None, 2)];
        let mut chosen = [0; 3];
        for _ in 0..5 {
            let peer = sources.choose(&all, now).unwrap();
            chosen[peer.as_u128() as usize] += 1;
        }
        assert_eq!(chosen, [0, 3, 2]);
        for number in [1, 1, 1, 2, 2] {
            sources.on_end(PeerId::from_u128(number));
        }
        assert!(sources.open.is_empty());
        assert_eq!(sources.choose(&[], now), None);
    }
}
