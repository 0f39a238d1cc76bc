//! A bounded number of peers, and which of them is forgotten first.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::SystemTime;

use uuid::Uuid;

use super::{Peer, PeerStatus, StoreError, canonical};

/// Peers by id and by address, and in the order in which they are forgotten.
#[derive(Debug)]
pub(crate) struct Table {
    max: usize,
    peers: HashMap<Uuid, Peer>,
    addresses: HashMap<SocketAddr, Uuid>,
    /// Those that may be forgotten.
    places: BTreeSet<Place>,
}

type Place = (Rank, SystemTime, Uuid);

/// What a peer is worth. Among equals the earlier time goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// By when that was found.
    Inaccessible,
    /// By when it was last heard of.
    Unknown,
    /// By when the ban ends. Once it has, the peer is worth as little as an inaccessible one.
    Banned,
    /// By when it was banned.
    BannedForEver,
    /// By when that was last found.
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

    pub(crate) fn get(&self, id: Uuid) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(crate) fn find(&self, address: SocketAddr) -> Option<&Peer> {
        let address = canonical(address).ok()?;
        self.peers.get(self.addresses.get(&address)?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Puts a new peer in, and returns the one that had to go for it.
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
        // The new one has no privilege: it may itself be worth the least.
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
            // Nobody else has taken its address in between.
            self.insert(before)?;
        }
        replaced
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> Option<Peer> {
        let peer = self.peers.remove(&id)?;
        self.addresses.remove(&peer.socket_address());
        if let Some(place) = place(&peer) {
            self.places.remove(&place);
        }
        Some(peer)
    }

    /// Changes how many there may be, and returns those that had to go. Named peers stay.
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

    /// Who is forgotten first, if anybody may be.
    fn worst(&self, now: SystemTime) -> Option<Uuid> {
        let first_of = |rank| {
            let from = (rank, SystemTime::UNIX_EPOCH, Uuid::nil());
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

/// Where a peer stands in the order, if it may be forgotten at all.
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
    // Where a search begins no time is earlier.
    Some((rank, time.max(SystemTime::UNIX_EPOCH), peer.id))
}

#[cfg(test)]
mod tests;
