//! What has become different of what a store keeps.

use std::collections::HashMap;

use crate::peers::{Ban, Peer, PeerId};

/// What has become different of what a store keeps, since it was last written. Of two changes of one thing the later counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// The peers as they are now; `None` for one that is forgotten.
    pub(super) peers: HashMap<PeerId, Option<Peer>>,
    /// All bans that there are now, if any was made or lifted.
    pub(super) bans: Option<Vec<Ban>>,
    /// Whether the store shall be saved.
    pub(super) save: bool,
}

impl Changes {
    pub(super) fn keep(&mut self, peer: Peer) {
        self.peers.insert(peer.id, Some(peer));
    }

    pub(super) fn forget(&mut self, peer_id: PeerId) {
        self.peers.insert(peer_id, None);
    }

    pub(super) fn save(&mut self) {
        self.save = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.bans.is_none() && !self.save
    }

    /// Adds what has become different since.
    pub(super) fn merge(&mut self, later: Changes) {
        self.peers.extend(later.peers);
        self.bans = later.bans.or(self.bans.take());
        self.save |= later.save;
    }

    /// Takes out what is done anew by `later`.
    pub(super) fn supersede(&mut self, later: &Changes) {
        if !self.peers.is_empty() {
            self.peers.retain(|id, _| !later.peers.contains_key(id));
        }
        if later.bans.is_some() {
            self.bans = None;
        }
        self.save &= !later.save;
    }

    /// Keeps what waits bounded, if the store takes nothing for long. Peers that stay in it though they were to be forgotten do no harm.
    pub(super) fn limit_peers(&mut self, max: usize) {
        if self.peers.len() > max {
            self.peers.retain(|_, peer| peer.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::peers::PeerSource;

    #[test]
    fn the_later_change_of_one_thing_counts() {
        let address = "192.0.2.1:8333".parse().unwrap();
        let mut peer = Peer::new(address, PeerSource::Seed, SystemTime::UNIX_EPOCH).unwrap();
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        changes.keep(peer.clone());
        peer.failures = 1;
        let mut later = Changes::default();
        later.keep(peer.clone());
        later.bans = Some(Vec::new());
        changes.merge(later);
        assert_eq!(changes.peers[&peer.id], Some(peer.clone()));
        let mut later = Changes::default();
        later.forget(peer.id);
        later.save();
        changes.merge(later);
        assert_eq!(changes.peers[&peer.id], None);
        assert_eq!(changes.bans, Some(Vec::new()));
        assert!(changes.save && !changes.is_empty());
    }
}
