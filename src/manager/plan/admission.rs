//! Admission of inbound connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::dialing::is_near;
use super::{Attachment, Insight, Link, LinkState, Plan};
use crate::event::InboundRejectReason;
use crate::manager::clock::Now;
use crate::peers::{PeerId, Subnet, address_group};
use crate::session::{Direction, DisconnectReason};

/// The minimum age at which a handshake is evicted for a new connection if all slots are occupied.
///
/// An honest peer proceeds immediately. The minimum age therefore decreases as the number of
/// stalled handshakes grows. Otherwise about a hundred of them would delay every new peer.
#[derive(Clone, Copy, Debug)]
struct GivesWay {
    /// The age while the number of handshakes is at most [`FEW`].
    after: Duration,
    /// The lower bound of the age, for any number of handshakes.
    soonest: Duration,
}

/// Limits of a handshake without a complete `version`, which normally arrives in the first packet.
const SILENT: GivesWay = GivesWay {
    after: Duration::from_millis(500),
    soonest: Duration::from_millis(25),
};
/// Limits of a handshake with a `version`, which completes after one further round trip.
const SPOKEN: GivesWay = GivesWay {
    after: Duration::from_secs(2),
    soonest: Duration::from_millis(500),
};
/// Number of handshakes up to which the minimum age is constant.
const FEW: u32 = 8;

impl GivesWay {
    /// Returns the minimum age of the oldest of `count` handshakes.
    fn age(self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(FEW);
        (self.after * FEW / count * FEW / count).max(self.soonest)
    }
}

/// The decision on an accepted socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Admission {
    /// The connection is accepted and occupies a slot.
    LetIn,
    /// The connection is accepted without a slot, because it may be the second stream of a peer. If
    /// it turns out to be a new peer, it is rejected for capacity.
    AsStream,
    /// The connection is rejected for capacity after a handshake, without a slot.
    TurnAway,
    /// The socket is closed immediately.
    Refuse(InboundRejectReason),
    /// The socket is held, and no other is accepted, until the state changes or the given time is
    /// reached.
    Wait(Option<Instant>),
}

impl Plan {
    /// Decides on a newly accepted socket, or again on one that is held.
    pub(in crate::manager) fn on_accepted(
        &mut self,
        peer_id: PeerId,
        address: SocketAddr,
        insight: &impl Insight,
        now: Now,
    ) -> Admission {
        let ip = address.ip();
        if let Some(ban) = self.bans.read().is_banned(ip, now.wall) {
            return Admission::Refuse(InboundRejectReason::Banned(ban.reason));
        }
        let limits = self.config.listener.clone();
        let beyond_limit = self.address_limit(ip);
        let handshakes = self.links.counts().handshakes;
        let has_room = self.free_for_inbound() > 0 && handshakes < limits.max_handshakes;
        if has_room && beyond_limit.is_none() {
            self.let_in(peer_id, address, now);
            return Admission::LetIn;
        }
        if self.awaits_stream(ip, insight) {
            self.stream_candidates.insert(peer_id, address);
            return Admission::AsStream;
        }
        if let Some(limit) = beyond_limit {
            return Admission::Refuse(limit);
        }
        if handshakes > 0 {
            return self.make_way(insight, now);
        }
        if limits.evict_inbound && self.evict_for(address) {
            return Admission::Wait(None);
        }
        if self.turned_away.len() < limits.max_capacity_rejects {
            self.turned_away.insert(peer_id, address);
            return Admission::TurnAway;
        }
        Admission::Refuse(InboundRejectReason::Capacity)
    }

    /// Returns the per-address limit that a new connection from this address would exceed, if any.
    fn address_limit(&self, address: IpAddr) -> Option<InboundRejectReason> {
        if self.config.allows_private() && is_near(address) {
            return None;
        }
        let limits = &self.config.listener;
        let (all, handshakes) = self.links.inbound_from(self.owner_of(address));
        if handshakes >= limits.max_handshakes_per_address {
            return Some(InboundRejectReason::HandshakeLimit);
        }
        (all >= limits.max_per_address).then_some(InboundRejectReason::AddressLimit)
    }

    /// Returns the addresses that are limited together. A host with IPv6 usually has a whole
    /// subnet.
    fn owner_of(&self, address: IpAddr) -> Subnet {
        match address {
            IpAddr::V4(_) => Subnet::single(address),
            IpAddr::V6(_) => Subnet::containing(address, self.config.bans.automatic_ipv6_prefix),
        }
    }

    /// Returns the number of slots that are free for inbound connections.
    pub(in crate::manager) fn free_for_inbound(&self) -> usize {
        let counts = self.links.counts();
        let kept = self.reserved_outbound().saturating_sub(counts.outbound);
        let free = self.config.max_connections.saturating_sub(counts.taken());
        free.saturating_sub(kept)
    }

    /// Removes an accepted or rejected connection whose thread could not be spawned.
    pub(in crate::manager) fn on_not_spawned(&mut self, peer_id: PeerId) {
        self.links.remove(peer_id);
        self.turned_away.remove(&peer_id);
        self.stream_candidates.remove(&peer_id);
    }

    fn let_in(&mut self, peer_id: PeerId, address: SocketAddr, now: Now) {
        let link = Link {
            address,
            direction: Direction::Inbound,
            attachment: Attachment::Candidate,
            state: LinkState::Opening(now.instant),
            closing: false,
            again: false,
        };
        self.links.insert(peer_id, link);
    }

    /// Evicts a handshake when all slots are occupied. The oldest one without a complete `version`,
    /// or the oldest of the others, is closed once it has reached the minimum age.
    fn make_way(&mut self, insight: &impl Insight, now: Now) -> Admission {
        let leaving = |(_, link): &(PeerId, &Link)| {
            link.closing && matches!(link.state, LinkState::Opening(_))
        };
        if self.links.inbound().any(|link| leaving(&link)) {
            return Admission::Wait(None);
        }
        let handshakes = self.links.handshakes();
        let (spoken, silent): (Vec<_>, Vec<_>) =
            handshakes.partition(|(peer_id, _)| insight.has_version(*peer_id));
        let due = |handshakes: &[(PeerId, Instant)], gives_way: GivesWay| {
            let oldest = handshakes.iter().min_by_key(|(_, since)| *since)?;
            Some((oldest.0, oldest.1 + gives_way.age(handshakes.len())))
        };
        let due = [due(&silent, SILENT), due(&spoken, SPOKEN)];
        match due.into_iter().flatten().min_by_key(|(_, at)| *at) {
            Some((peer_id, at)) if at <= now.instant => {
                self.close(peer_id, DisconnectReason::AtCapacity);
                Admission::Wait(None)
            }
            due => Admission::Wait(due.map(|(_, at)| at)),
        }
    }

    /// Closes the newest connection of the largest address group, if that group has at least two
    /// members more than that of `newcomer`. Returns whether a connection is closing.
    fn evict_for(&mut self, newcomer: SocketAddr) -> bool {
        if self.links.inbound().any(|(_, link)| link.closing) {
            return true;
        }
        let mut groups: HashMap<Subnet, (usize, Instant, PeerId)> = HashMap::new();
        for (peer_id, link) in self.links.inbound() {
            let LinkState::Connected(since) = link.state else {
                continue;
            };
            let entry = groups
                .entry(address_group(link.address.ip()))
                .or_insert((0, since, peer_id));
            entry.0 += 1;
            if since >= entry.1 {
                (entry.1, entry.2) = (since, peer_id);
            }
        }
        let own = groups
            .get(&address_group(newcomer.ip()))
            .map_or(0, |(members, _, _)| *members);
        let crowded = groups
            .into_values()
            .max_by_key(|(members, since, _)| (*members, *since));
        match crowded {
            Some((members, _, newest)) if members > own + 1 => {
                self.close(newest, DisconnectReason::AtCapacity);
                true
            }
            _ => false,
        }
    }
}
