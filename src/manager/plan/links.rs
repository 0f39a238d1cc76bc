//! The connection table of the plan.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::Attachment;
use crate::peers::{PeerId, Subnet, address_group};
use crate::session::Direction;

/// A connection of the plan, from the decision to open it until its thread has ended.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    /// The persistence with which the connection is reopened.
    pub(super) attachment: Attachment,
    pub(super) state: LinkState,
    /// Whether the connection is being closed.
    pub(super) closing: bool,
    /// Whether the application requested the peer again after the connection started to close. If
    /// so, the peer is dialed as soon as the connection has ended.
    pub(super) again: bool,
}

/// The state of a connection, with the time that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// The connection is being dialed or in the handshake, since the given time.
    Opening(Instant),
    /// The handshake was completed at the given time.
    Connected(Instant),
    /// The connection has ended, and its restart is due at the given time.
    Waiting(Instant),
}

impl Link {
    /// Returns whether the connection occupies a slot.
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

/// All connections of the plan, except those that are being rejected.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: HashMap<PeerId, Link>,
}

/// The number of connections of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Outbound connections, including those in the handshake.
    pub(super) outbound: usize,
    /// Inbound connections with a completed handshake.
    pub(super) inbound: usize,
    /// Inbound connections in the handshake.
    pub(super) handshakes: usize,
    /// Connections with a completed handshake, in both directions.
    pub(super) connected: usize,
}

impl Counts {
    /// Returns the number of occupied slots.
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

    /// Returns the outbound connection to `address`, if there is one.
    pub(super) fn outbound_to(&self, address: SocketAddr) -> Option<PeerId> {
        let found = self
            .iter()
            .find(|(_, link)| link.direction == Direction::Outbound && link.address == address);
        found.map(|(peer_id, _)| peer_id)
    }

    /// Returns whether an outbound connection exists to the address group.
    pub(super) fn has_outbound_in(&self, addresses: Subnet) -> bool {
        self.links.values().any(|link| {
            link.direction == Direction::Outbound && address_group(link.address.ip()) == addresses
        })
    }

    /// Returns the number of inbound connections from `addresses`, and the number of those in the
    /// handshake.
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

    /// Returns the inbound handshakes, their start times, and whether they are being closed.
    pub(super) fn handshakes(&self) -> impl Iterator<Item = (PeerId, Instant, bool)> {
        self.inbound()
            .filter_map(|(peer_id, link)| match link.state {
                LinkState::Opening(since) => Some((peer_id, since, link.closing)),
                _ => None,
            })
    }

    /// Returns the connections with a scheduled restart, and the times at which it is due.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (PeerId, Instant)> {
        self.iter().filter_map(|(peer_id, link)| match link.state {
            LinkState::Waiting(due) => Some((peer_id, due)),
            _ => None,
        })
    }
}
