//! Which peers have announced which blocks.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use crate::wire::BlockHash;

/// How many blocks are remembered of each peer, the latest: nobody can push out what others have announced.
const REMEMBERED: usize = 32;

/// Which connected peers have announced which blocks lately, and in which order.
#[derive(Default)]
pub(super) struct Announcers {
    peers: HashMap<Uuid, VecDeque<(BlockHash, u64)>>,
    count: u64,
}

impl Announcers {
    /// A peer has announced a block.
    pub(super) fn add(&mut self, peer_id: Uuid, hash: BlockHash) {
        self.count += 1;
        let announced = self.peers.entry(peer_id).or_default();
        if announced.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if announced.len() == REMEMBERED {
            announced.pop_front();
        }
        announced.push_back((hash, self.count));
    }

    /// A peer is connected no more.
    pub(super) fn forget(&mut self, peer_id: Uuid) {
        self.peers.remove(&peer_id);
    }

    /// Of whom something is remembered.
    pub(super) fn peers(&self) -> Vec<Uuid> {
        self.peers.keys().copied().collect()
    }

    /// Where a peer stands among those who have announced a block: less is earlier.
    pub(super) fn place(&self, peer_id: Uuid, hash: BlockHash) -> Option<u64> {
        let mut announced = self.peers.get(&peer_id)?.iter();
        announced.find_map(|(known, place)| (*known == hash).then_some(*place))
    }

    /// Who has announced a block first.
    pub(super) fn first(&self, hash: BlockHash) -> Option<Uuid> {
        let places = self.peers.keys();
        let places = places.filter_map(|peer| Some((self.place(*peer, hash)?, *peer)));
        places.min().map(|(_, peer_id)| peer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> BlockHash {
        BlockHash([number; 32])
    }

    #[test]
    fn the_first_of_those_who_are_still_there_counts() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let mut announcers = Announcers::default();
        assert_eq!(announcers.first(hash(1)), None);
        announcers.add(one, hash(1));
        announcers.add(other, hash(1));
        announcers.add(one, hash(1));
        assert_eq!(announcers.first(hash(1)), Some(one));
        assert!(announcers.place(one, hash(1)) < announcers.place(other, hash(1)));
        announcers.forget(one);
        assert_eq!(announcers.first(hash(1)), Some(other));
        assert_eq!(announcers.place(other, hash(2)), None);
    }

    #[test]
    fn a_peer_that_announces_much_pushes_out_what_it_has_announced_itself() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let mut announcers = Announcers::default();
        announcers.add(one, hash(0));
        for number in 0..=REMEMBERED as u8 {
            announcers.add(other, hash(number));
        }
        assert_eq!(announcers.first(hash(0)), Some(one));
        assert_eq!(announcers.place(other, hash(0)), None);
        assert!(announcers.place(other, hash(1)).is_some());
    }
}
