//! Pending changes of a peer store.

use std::collections::HashMap;

use crate::peers::{Ban, Peer, PeerId};

/// The changes since the last write to the store. A later change of an entry replaces an earlier
/// one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// The current values of changed peers; `None` for removed ones.
    pub(super) peers: HashMap<PeerId, Option<Peer>>,
    /// All current bans, if they changed.
    pub(super) bans: Option<Vec<Ban>>,
    /// Whether to save the store.
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

    /// Adds later changes.
    pub(super) fn merge(&mut self, later: Changes) {
        self.peers.extend(later.peers);
        self.bans = later.bans.or(self.bans.take());
        self.save |= later.save;
    }

    /// Removes the changes that `later` replaces.
    pub(super) fn supersede(&mut self, later: &Changes) {
        if !self.peers.is_empty() {
            self.peers.retain(|id, _| !later.peers.contains_key(id));
        }
        if later.bans.is_some() {
            self.bans = None;
        }
        self.save &= !later.save;
    }

    /// Discards pending removals of peers if there are more than `max` changed peers.
    ///
    /// This bounds the memory while the store is stuck. The store can then keep removed peers,
    /// which is harmless.
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
