//! A bounded table of peers with an eviction order.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::SystemTime;

use super::{Peer, PeerId, PeerStatus, StoreError, canonical};

/// Peers by id and by address, and the order of their eviction.
#[derive(Debug)]
pub(crate) struct PeerTable {
    max: usize,
    peers: HashMap<PeerId, Peer>,
    addresses: HashMap<SocketAddr, PeerId>,
    /// The peers that may be evicted, in this order.
    eviction_order: BTreeSet<EvictionKey>,
}

type EvictionKey = (EvictionRank, SystemTime, PeerId);

/// The rank of a peer. Lower ranks are evicted first, and earlier times first within a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionRank {
    /// Ordered by the time of the status.
    Inaccessible,
    /// Ordered by the time at which the peer was last seen.
    Unknown,
    /// Ordered by the end of the ban. After it, the peer ranks like an inaccessible one.
    Banned,
    /// Ordered by the start of the ban.
    PermanentlyBanned,
    /// Ordered by the time of the status.
    Valid,
}

impl PeerTable {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            peers: HashMap::new(),
            addresses: HashMap::new(),
            eviction_order: BTreeSet::new(),
        }
    }

    pub(crate) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(crate) fn find(&self, address: SocketAddr) -> Option<&Peer> {
        let address = canonical(address).ok()?;
        self.peers.get(self.addresses.get(&address)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Inserts a new peer, and returns the peer that was evicted for it.
    pub(crate) fn create(
        &mut self,
        peer: Peer,
        now: SystemTime,
    ) -> Result<Option<Peer>, StoreError> {
        let id = peer.id;
        if self.peers.contains_key(&id) {
            return Err(StoreError::DuplicateId(id));
        }
        self.insert(peer)?;
        if self.peers.len() <= self.max {
            return Ok(None);
        }
        // The new peer may itself have the lowest rank.
        let lowest = self.lowest(now).unwrap_or(id);
        let evicted = self.remove(lowest);
        if lowest == id {
            return Err(StoreError::Full { limit: self.max });
        }
        Ok(evicted)
    }

    /// Replaces the peer with the same id.
    pub(crate) fn update(&mut self, peer: Peer) -> Result<(), StoreError> {
        let id = peer.id;
        let before = self.remove(id).ok_or(StoreError::NotFound(id))?;
        let replaced = self.insert(peer);
        if replaced.is_err() {
            // Its address is still free.
            self.insert(before)?;
        }
        replaced
    }

    pub(crate) fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.peers.remove(&id)?;
        self.addresses.remove(&peer.socket_address());
        if let Some(key) = eviction_key(&peer) {
            self.eviction_order.remove(&key);
        }
        Some(peer)
    }

    /// Changes the capacity, and returns the peers that were evicted. Manual peers are kept.
    pub(crate) fn set_max(&mut self, max: usize, now: SystemTime) -> Vec<Peer> {
        self.max = max;
        let mut evicted = Vec::new();
        while self.peers.len() > self.max
            && let Some(lowest) = self.lowest(now)
        {
            evicted.extend(self.remove(lowest));
        }
        evicted
    }

    fn insert(&mut self, mut peer: Peer) -> Result<(), StoreError> {
        peer.ip_address = peer.ip_address.to_canonical();
        let address = peer.socket_address();
        if self.addresses.contains_key(&address) {
            return Err(StoreError::DuplicateAddress(address));
        }
        self.addresses.insert(address, peer.id);
        self.eviction_order.extend(eviction_key(&peer));
        self.peers.insert(peer.id, peer);
        Ok(())
    }

    /// Returns the peer to evict first, if there is one that may be evicted.
    fn lowest(&self, now: SystemTime) -> Option<PeerId> {
        let first_of = |rank| {
            let from = (rank, SystemTime::UNIX_EPOCH, PeerId::from_u128(0));
            self.eviction_order
                .range(from..)
                .next()
                .filter(|key| key.0 == rank)
        };
        let inaccessible = first_of(EvictionRank::Inaccessible);
        let over = first_of(EvictionRank::Banned).filter(|(_, until, _)| *until <= now);
        let useless = inaccessible.into_iter().chain(over);
        let lowest = useless.min_by_key(|(_, since, _)| *since);
        lowest.or(self.eviction_order.first()).map(|(_, _, id)| *id)
    }
}

/// Returns the position of a peer in the eviction order, or `None` if it must not be evicted.
fn eviction_key(peer: &Peer) -> Option<EvictionKey> {
    if peer.manual {
        return None;
    }
    let (rank, time) = match peer.status {
        PeerStatus::Inaccessible => (EvictionRank::Inaccessible, peer.status_timestamp),
        PeerStatus::Unknown => (EvictionRank::Unknown, peer.last_seen),
        PeerStatus::Banned(_) => match peer.banned_until {
            Some(until) => (EvictionRank::Banned, until),
            None => (EvictionRank::PermanentlyBanned, peer.status_timestamp),
        },
        PeerStatus::Valid => (EvictionRank::Valid, peer.status_timestamp),
    };
    // Searches start at this time.
    Some((rank, time.max(SystemTime::UNIX_EPOCH), peer.id))
}

#[cfg(test)]
mod tests;
