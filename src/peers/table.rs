//! A bounded table of peers with an eviction order.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::SystemTime;

use super::{Peer, PeerId, PeerStatus, StoreError, canonical};

/// Peers by id and by address, and the order of their eviction.
#[derive(Debug)]
pub(crate) struct Table {
    max: usize,
    peers: HashMap<PeerId, Peer>,
    addresses: HashMap<SocketAddr, PeerId>,
    /// The peers that may be evicted, in this order.
    places: BTreeSet<Place>,
}

type Place = (Rank, SystemTime, PeerId);

/// The rank of a peer. Lower ranks are evicted first, and earlier times first within a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Ordered by the time of the status.
    Inaccessible,
    /// Ordered by the time at which the peer was last seen.
    Unknown,
    /// Ordered by the end of the ban. After it, the peer ranks like an inaccessible one.
    Banned,
    /// Ordered by the start of the ban.
    BannedForEver,
    /// Ordered by the time of the status.
    Valid,
}

impl Table {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            peers: HashMap::new(),
            addresses: HashMap::new(),
            places: BTreeSet::new(),
        }
    }

    pub(crate) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(crate) fn find(&self, address: SocketAddr) -> Option<&Peer> {
        let address = canonical(address).ok()?;
        self.peers.get(self.addresses.get(&address)?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
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
        let worst = self.worst(now).unwrap_or(id);
        let gone = self.remove(worst);
        if worst == id {
            return Err(StoreError::Full { limit: self.max });
        }
        Ok(gone)
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
        if let Some(place) = place(&peer) {
            self.places.remove(&place);
        }
        Some(peer)
    }

    /// Changes the capacity, and returns the peers that were evicted. Manual peers are kept.
    pub(crate) fn set_max(&mut self, max: usize, now: SystemTime) -> Vec<Peer> {
        self.max = max;
        let mut gone = Vec::new();
        while self.peers.len() > self.max
            && let Some(worst) = self.worst(now)
        {
            gone.extend(self.remove(worst));
        }
        gone
    }

    fn insert(&mut self, mut peer: Peer) -> Result<(), StoreError> {
        peer.ip_address = peer.ip_address.to_canonical();
        let address = peer.socket_address();
        if self.addresses.contains_key(&address) {
            return Err(StoreError::DuplicateAddress(address));
        }
        self.addresses.insert(address, peer.id);
        self.places.extend(place(&peer));
        self.peers.insert(peer.id, peer);
        Ok(())
    }

    /// Returns the peer to evict first, if there is one that may be evicted.
    fn worst(&self, now: SystemTime) -> Option<PeerId> {
        let first_of = |rank| {
            let from = (rank, SystemTime::UNIX_EPOCH, PeerId::from_u128(0));
            self.places
                .range(from..)
                .next()
                .filter(|place| place.0 == rank)
        };
        let inaccessible = first_of(Rank::Inaccessible);
        let over = first_of(Rank::Banned).filter(|(_, until, _)| *until <= now);
        let useless = inaccessible.into_iter().chain(over);
        let worst = useless.min_by_key(|(_, since, _)| *since);
        worst.or(self.places.first()).map(|(_, _, id)| *id)
    }
}

/// Returns the position of a peer in the eviction order, or `None` if it must not be evicted.
fn place(peer: &Peer) -> Option<Place> {
    if peer.named {
        return None;
    }
    let (rank, time) = match peer.status {
        PeerStatus::Inaccessible => (Rank::Inaccessible, peer.status_timestamp),
        PeerStatus::Unknown => (Rank::Unknown, peer.last_seen),
        PeerStatus::Banned(_) => match peer.banned_until {
            Some(until) => (Rank::Banned, until),
            None => (Rank::BannedForEver, peer.status_timestamp),
        },
        PeerStatus::Valid => (Rank::Valid, peer.status_timestamp),
    };
    // Searches start at this time.
    Some((rank, time.max(SystemTime::UNIX_EPOCH), peer.id))
}

#[cfg(test)]
mod tests;
