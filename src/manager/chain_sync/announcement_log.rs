//! Records which peers announced which blocks.

use std::collections::{HashMap, VecDeque};

use crate::peers::PeerId;
use crate::wire::BlockHash;

/// Number of announcements kept per peer. A peer can only displace its own announcements.
const MAX_PER_PEER: usize = 32;

/// The latest block announcements of each connected peer, numbered in order of arrival.
#[derive(Default)]
pub(super) struct AnnouncementLog {
    peers: HashMap<PeerId, VecDeque<(BlockHash, u64)>>,
    count: u64,
}

impl AnnouncementLog {
    /// Records an announcement. A repeated announcement keeps its first position.
    pub(super) fn record(&mut self, peer_id: PeerId, hash: BlockHash) {
        self.count += 1;
        let announced = self.peers.entry(peer_id).or_default();
        if announced.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if announced.len() == MAX_PER_PEER {
            announced.pop_front();
        }
        announced.push_back((hash, self.count));
    }

    /// Removes all announcements of a peer.
    pub(super) fn remove(&mut self, peer_id: PeerId) {
        self.peers.remove(&peer_id);
    }

    /// Returns the peers that have announcements in the log.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.peers.keys().copied().collect()
    }

    /// Returns the position of a peer's announcement of a block. Lower is earlier.
    pub(super) fn position(&self, peer_id: PeerId, hash: BlockHash) -> Option<u64> {
        let mut announced = self.peers.get(&peer_id)?.iter();
        announced.find_map(|(known, position)| (*known == hash).then_some(*position))
    }

    /// Returns the peer that announced a block first.
    pub(super) fn first(&self, hash: BlockHash) -> Option<PeerId> {
        let peers = self.peers.keys();
        let positions = peers.filter_map(|peer| Some((self.position(*peer, hash)?, *peer)));
        positions.min().map(|(_, peer_id)| peer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> BlockHash {
        BlockHash([number; 32])
    }

    #[test]
    fn earliest_connected_announcer_is_first() {
        let [one, other] = [1, 2].map(PeerId::from_u128);
        let mut log = AnnouncementLog::default();
        assert_eq!(log.first(hash(1)), None);
        log.record(one, hash(1));
        log.record(other, hash(1));
        log.record(one, hash(1));
        assert_eq!(log.first(hash(1)), Some(one));
        assert!(log.position(one, hash(1)) < log.position(other, hash(1)));
        log.remove(one);
        assert_eq!(log.first(hash(1)), Some(other));
        assert_eq!(log.position(other, hash(2)), None);
    }

    #[test]
    fn peer_displaces_only_its_own_announcements() {
        let [one, other] = [1, 2].map(PeerId::from_u128);
        let mut log = AnnouncementLog::default();
        log.record(one, hash(0));
        for number in 0..=MAX_PER_PEER as u8 {
            log.record(other, hash(number));
        }
        assert_eq!(log.first(hash(0)), Some(one));
        assert_eq!(log.position(other, hash(0)), None);
        assert!(log.position(other, hash(1)).is_some());
    }
}
