//! Whether a peer that dials us is let in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::dialling::is_near;
use super::{Attachment, Insight, Link, LinkState, Plan};
use crate::event::InboundRejectReason;
use crate::manager::clock::Now;
use crate::peers::{PeerId, Subnet, address_group};
use crate::session::{Direction, DisconnectReason};

/// How old a handshake must be to give way to a newcomer when all places are taken. A peer that means well goes on at once, so the more stand
/// still, the less time each of them has: else some hundred of them would keep everybody waiting who comes behind.
#[derive(Clone, Copy, Debug)]
struct GivesWay {
    /// While there are few.
    after: Duration,
    /// However many there are.
    soonest: Duration,
}

/// A handshake without a complete `version`, which usually comes with the first packet.
const SILENT: GivesWay = GivesWay {
    after: Duration::from_millis(500),
    soonest: Duration::from_millis(25),
};
/// One with a `version`, which goes on after one more way there and back.
const SPOKEN: GivesWay = GivesWay {
    after: Duration::from_secs(2),
    soonest: Duration::from_millis(500),
};
/// How many are few.
const FEW: u32 = 8;

impl GivesWay {
    /// How old the oldest of so many must be.
    fn age(self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(FEW);
        (self.after * FEW / count * FEW / count).max(self.soonest)
    }
}

/// What is done with a socket that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Admission {
    /// It gets a connection, which is counted.
    LetIn,
    /// It gets a connection that is not counted, for it may be the second stream of a peer. If it is a peer itself it is told that there is no
    /// room.
    AsStream,
    /// It is told politely that there is no room. Not counted.
    TurnAway,
    /// It is closed.
    Refuse(InboundRejectReason),
    /// It waits, and nobody else is accepted, until something has changed, and until then if nothing does.
    Wait(Option<Instant>),
}

impl Plan {
    /// A socket was accepted, or still waits.
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

    /// Whether this address has as many connections as it may have, and which.
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

    /// The addresses that count as one: whoever has an IPv6 address has many.
    fn owner_of(&self, address: IpAddr) -> Subnet {
        match address {
            IpAddr::V4(_) => Subnet::single(address),
            IpAddr::V6(_) => Subnet::containing(address, self.config.bans.automatic_ipv6_prefix),
        }
    }

    /// How many more peers that dial us there may be.
    pub(in crate::manager) fn free_for_inbound(&self) -> usize {
        let counts = self.links.counts();
        let kept = self.reserved_outbound().saturating_sub(counts.outbound);
        let free = self.config.max_connections.saturating_sub(counts.taken());
        free.saturating_sub(kept)
    }

    /// There was no thread for one that was to be let in or turned away.
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

    /// All places are taken, some by handshakes: the oldest without a complete `version`, or the oldest of the others, gives way once it is
    /// old enough.
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

    /// Sends the newest connection of the most crowded group of addresses away, if that is more crowded than the newcomer's own. Returns
    /// whether one goes.
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
