//! The connections that there are, as the plan sees them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::Attachment;
use crate::peers::{PeerId, Subnet, address_group};
use crate::session::Direction;

/// A connection, from the decision to have it until its thread has nothing left to do.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    /// How much the peer is wanted.
    pub(super) attachment: Attachment,
    pub(super) state: LinkState,
    /// Whether it is to end: the command has been given.
    pub(super) closing: bool,
    /// Whether the program has named the peer again since its end began: it is dialled as soon as it is over.
    pub(super) again: bool,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Being dialled, or shaking hands, since then.
    Opening(Instant),
    /// The handshake is complete, since then.
    Connected(Instant),
    /// It has ended, and its next life is due then.
    Waiting(Instant),
}

impl Link {
    /// Whether it has a place of its own.
    fn is_active(&self) -> bool {
        !matches!(self.state, LinkState::Waiting(_))
    }

    fn is_opening(&self) -> bool {
        matches!(self.state, LinkState::Opening(_))
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, LinkState::Connected(_))
    }
}

/// All connections but those that are being turned away.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: HashMap<PeerId, Link>,
}

/// How many connections there are, of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Peers that we have dialled, whatever their handshake.
    pub(super) outbound: usize,
    /// Peers that have dialled us and whose handshake is complete.
    pub(super) inbound: usize,
    /// Peers that have dialled us and still shake hands.
    pub(super) handshakes: usize,
    /// Of all of them, those whose handshake is complete.
    pub(super) connected: usize,
}

impl Counts {
    /// How many places are taken.
    pub(super) fn taken(self) -> usize {
        self.outbound + self.inbound + self.handshakes
    }
}

impl Links {
    pub(super) fn insert(&mut self, peer_id: PeerId, link: Link) {
        self.links.insert(peer_id, link);
    }

    pub(super) fn remove(&mut self, peer_id: PeerId) -> Option<Link> {
        self.links.remove(&peer_id)
    }

    pub(super) fn get(&self, peer_id: PeerId) -> Option<&Link> {
        self.links.get(&peer_id)
    }

    pub(super) fn get_mut(&mut self, peer_id: PeerId) -> Option<&mut Link> {
        self.links.get_mut(&peer_id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Link)> {
        self.links.iter().map(|(peer_id, link)| (*peer_id, link))
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for link in self.links.values().filter(|link| link.is_active()) {
            match link.direction {
                Direction::Outbound => counts.outbound += 1,
                Direction::Inbound if link.is_connected() => counts.inbound += 1,
                Direction::Inbound => counts.handshakes += 1,
            }
            counts.connected += usize::from(link.is_connected());
        }
        counts
    }

    /// The connection that we have dialled to this address.
    pub(super) fn outbound_to(&self, address: SocketAddr) -> Option<PeerId> {
        let found = self
            .iter()
            .find(|(_, link)| link.direction == Direction::Outbound && link.address == address);
        found.map(|(peer_id, _)| peer_id)
    }

    /// Whether one of the connections that we have dialled leads into this group of addresses.
    pub(super) fn has_outbound_in(&self, addresses: Subnet) -> bool {
        self.links.values().any(|link| {
            link.direction == Direction::Outbound && address_group(link.address.ip()) == addresses
        })
    }

    /// How many connections, and how many handshakes among them, those have that have dialled us from these addresses.
    pub(super) fn inbound_from(&self, addresses: Subnet) -> (usize, usize) {
        let from = self
            .inbound()
            .filter(|(_, link)| addresses.contains(link.address.ip()));
        from.fold((0, 0), |(all, handshakes), (_, link)| {
            (all + 1, handshakes + usize::from(link.is_opening()))
        })
    }

    pub(super) fn inbound(&self) -> impl Iterator<Item = (PeerId, &Link)> {
        self.iter()
            .filter(|(_, link)| link.direction == Direction::Inbound)
    }

    /// The handshakes of peers that have dialled us and are not sent away yet, with their beginnings.
    pub(super) fn handshakes(&self) -> impl Iterator<Item = (PeerId, Instant)> {
        self.inbound()
            .filter_map(|(peer_id, link)| match link.state {
                LinkState::Opening(since) if !link.closing => Some((peer_id, since)),
                _ => None,
            })
    }

    /// Those whose next life is awaited, and when it is due.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (PeerId, Instant)> {
        self.iter().filter_map(|(peer_id, link)| match link.state {
            LinkState::Waiting(due) => Some((peer_id, due)),
            _ => None,
        })
    }
}
