//! Admission of inbound connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::dialing::is_near;
use super::{Action, Attachment, Link, LinkState, Plan};
use crate::event::InboundRejectReason;
use crate::manager::clock::Now;
use crate::peers::{BanReason, PeerId, PeerRef, Subnet, address_group};
use crate::session::{Direction, DisconnectReason};

/// The minimum age at which a handshake is evicted for a new connection.
///
/// An honest peer proceeds immediately. The minimum age therefore decreases as the number of
/// stalled handshakes grows. Otherwise about a hundred of them would delay every new peer.
#[derive(Clone, Copy, Debug)]
struct EvictionAge {
    /// The age while the number of handshakes is at most [`MIN_HANDSHAKES`].
    base: Duration,
    /// The lower bound of the age, for any number of handshakes.
    min: Duration,
}

/// Limits of a handshake without a complete `version`, which normally arrives in the first packet.
const BEFORE_VERSION: EvictionAge = EvictionAge {
    base: Duration::from_millis(500),
    min: Duration::from_millis(25),
};
/// Limits of a handshake with a `version`, which completes after one further round trip.
const AFTER_VERSION: EvictionAge = EvictionAge {
    base: Duration::from_secs(2),
    min: Duration::from_millis(500),
};
/// Number of handshakes up to which the minimum age is constant.
const MIN_HANDSHAKES: u32 = 8;

impl EvictionAge {
    /// Returns the minimum age of the oldest of `count` handshakes.
    fn age(self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(MIN_HANDSHAKES);
        (self.base * MIN_HANDSHAKES / count * MIN_HANDSHAKES / count).max(self.min)
    }
}

/// The state of connections that the plan may not have received as an event yet.
pub(in crate::manager) trait ConnectionView {
    /// Returns whether the peer has sent its `version`.
    fn has_version(&self, peer_id: PeerId) -> bool;
}

/// An inbound socket whose first message is awaited, or whose admission is undecided.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingSocket {
    address: SocketAddr,
    /// The time at which it was accepted.
    since: Instant,
    /// Whether its first message has arrived.
    has_message: bool,
    /// The reason to report, if the socket is being closed.
    closing: Option<InboundRejectReason>,
}

impl PendingSocket {
    /// Returns the action that closes the socket, unless it is being closed.
    fn close(&mut self, socket: PeerId, reason: InboundRejectReason) -> Option<Action> {
        if self.closing.is_some() {
            return None;
        }
        self.closing = Some(reason);
        Some(Action::CloseSocket { socket })
    }
}

/// The end of a socket that has not become a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manager) enum SocketEnd {
    /// It is the second stream of a peer.
    Attached,
    /// It requested a stream in an invalid way.
    StreamRejected(DisconnectReason),
    /// It was closed, or admitted too late.
    Closed,
}

/// The decision on an accepted socket, before its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum SocketAdmission {
    /// The first message of the socket is read.
    Accept,
    /// The socket is closed immediately.
    Drop(InboundRejectReason),
    /// The socket is held, and no other is accepted, until the state changes or the given time is
    /// reached.
    Defer(Option<Instant>),
}

/// The decision on a socket whose first message shows that it is no second stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Admission {
    /// The connection is accepted and occupies a slot.
    Accept,
    /// The connection is rejected for capacity after a handshake, without a slot.
    RejectPolitely,
    /// The socket is closed immediately.
    Drop(InboundRejectReason),
    /// The socket is held until the state changes or the given time is reached.
    Defer(Option<Instant>),
}

impl Plan {
    /// Decides on a newly accepted socket, or again on one that is held.
    ///
    /// It may become the second stream of a peer, so the limits of connections do not apply yet.
    pub(in crate::manager) fn on_accepted(
        &mut self,
        peer_id: PeerId,
        address: SocketAddr,
        view: &impl ConnectionView,
        now: Now,
    ) -> SocketAdmission {
        if let Some(ban) = self.ban_of(address, now) {
            return SocketAdmission::Drop(ban);
        }
        if self.is_socket_limit_reached(address.ip()) {
            return SocketAdmission::Drop(InboundRejectReason::HandshakeLimit);
        }
        let pending = self.sockets.len() + self.links.counts().handshakes;
        if pending >= self.config.listener.max_handshakes {
            return SocketAdmission::Defer(self.evict_handshake(true, view, now));
        }
        let socket = PendingSocket {
            address,
            since: now.instant,
            has_message: false,
            closing: None,
        };
        self.sockets.insert(peer_id, socket);
        SocketAdmission::Accept
    }

    /// Decides on a socket that is no second stream, or again on one that is held.
    ///
    /// `has_ended` is set if the socket was closed, or its handshake timed out, before its first
    /// message. No connection is evicted for it.
    pub(in crate::manager) fn on_classified(
        &mut self,
        peer_id: PeerId,
        has_ended: bool,
        view: &impl ConnectionView,
        now: Now,
    ) -> Admission {
        let Some(socket) = self.sockets.get_mut(&peer_id) else {
            return Admission::Drop(InboundRejectReason::Capacity);
        };
        socket.has_message = true;
        let socket = *socket;
        let admission = self.admit(peer_id, socket, has_ended, view, now);
        if !matches!(admission, Admission::Defer(_)) {
            self.sockets.remove(&peer_id);
        }
        admission
    }

    fn admit(
        &mut self,
        peer_id: PeerId,
        socket: PendingSocket,
        has_ended: bool,
        view: &impl ConnectionView,
        now: Now,
    ) -> Admission {
        let address = socket.address;
        let refused = socket.closing.or_else(|| self.ban_of(address, now));
        if let Some(reason) = refused.or_else(|| self.address_limit(address.ip())) {
            return Admission::Drop(reason);
        }
        if self.free_for_inbound() > 0 {
            self.accept(peer_id, &socket);
            return Admission::Accept;
        }
        if has_ended {
            return Admission::Drop(InboundRejectReason::Capacity);
        }
        if self.links.counts().handshakes > 0 {
            return Admission::Defer(self.evict_handshake(false, view, now));
        }
        let limits = self.config.listener.clone();
        if limits.evict_inbound && self.evict_for(address) {
            return Admission::Defer(None);
        }
        if self.turned_away.len() < limits.max_capacity_rejects {
            self.turned_away.insert(peer_id, address);
            return Admission::RejectPolitely;
        }
        Admission::Drop(InboundRejectReason::Capacity)
    }

    /// Handles the end of a socket that has not become a connection. Returns the reason to report
    /// for a closed one.
    pub(in crate::manager) fn on_socket_over(
        &mut self,
        peer_id: PeerId,
        end: &SocketEnd,
        now: Now,
    ) -> Option<(SocketAddr, InboundRejectReason)> {
        // An admitted connection may not have been started.
        let admitted = self.links.remove(peer_id).map(|link| link.address);
        let admitted = admitted.or_else(|| self.turned_away.remove(&peer_id));
        let pending = self.sockets.remove(&peer_id);
        let closing = pending.and_then(|socket| socket.closing);
        let address = pending.map(|socket| socket.address).or(admitted)?;
        let reason = match end {
            SocketEnd::Attached => return None,
            SocketEnd::StreamRejected(reason) => {
                self.ban_peer(PeerRef::new(peer_id, address), reason, now);
                InboundRejectReason::StreamRejected
            }
            SocketEnd::Closed => closing.unwrap_or(InboundRejectReason::Capacity),
        };
        Some((address, reason)).filter(|_| !self.stopping)
    }

    /// Closes the sockets without a decision whose addresses are banned.
    pub(super) fn close_banned_sockets(&mut self, subnet: Subnet, reason: BanReason) {
        let bans = self.bans.read();
        for (peer_id, socket) in &mut self.sockets {
            let address = socket.address.ip();
            if subnet.contains(address) && bans.whitelisted_by(address).is_none() {
                let reason = InboundRejectReason::Banned(reason);
                self.actions.extend(socket.close(*peer_id, reason));
            }
        }
    }

    fn ban_of(&self, address: SocketAddr, now: Now) -> Option<InboundRejectReason> {
        let bans = self.bans.read();
        let ban = bans.is_banned(address.ip(), now.wall)?;
        Some(InboundRejectReason::Banned(ban.reason))
    }

    /// Returns whether the per-address limits apply.
    fn is_limited(&self, address: IpAddr) -> bool {
        !(self.config.allows_private() && is_near(address))
    }

    /// Returns whether an address has the maximum number of sockets without a decision.
    ///
    /// Each connected peer of the address may open one more socket for its second stream.
    fn is_socket_limit_reached(&self, address: IpAddr) -> bool {
        if !self.is_limited(address) {
            return false;
        }
        let owner = self.owner_of(address);
        let sockets = self.sockets.values();
        let sockets = sockets.filter(|socket| owner.contains(socket.address.ip()));
        let (all, handshakes) = self.links.inbound_from(owner);
        let max = self.config.listener.max_handshakes_per_address;
        sockets.count() >= max.saturating_add(all - handshakes)
    }

    /// Returns the per-address limit that a new connection from this address would exceed, if any.
    fn address_limit(&self, address: IpAddr) -> Option<InboundRejectReason> {
        if !self.is_limited(address) {
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

    fn accept(&mut self, peer_id: PeerId, socket: &PendingSocket) {
        let link = Link {
            address: socket.address,
            direction: Direction::Inbound,
            attachment: Attachment::Candidate,
            state: LinkState::Opening(socket.since),
            closing: false,
            again: false,
        };
        self.links.insert(peer_id, link);
    }

    /// Evicts a stale handshake, or with `with_sockets` also a stale socket, for a newer one.
    /// Returns when to decide again if no event occurs before.
    ///
    /// The oldest one without a complete `version`, or the oldest of the others, is closed once it
    /// has reached the minimum age.
    fn evict_handshake(
        &mut self,
        with_sockets: bool,
        view: &impl ConnectionView,
        now: Now,
    ) -> Option<Instant> {
        let sockets = self.sockets.iter().filter(|_| with_sockets);
        let sockets = sockets.map(|(peer_id, socket)| {
            let closing = socket.closing.is_some();
            (*peer_id, socket.since, closing, socket.has_message)
        });
        let handshakes = self.links.handshakes();
        let handshakes = handshakes
            .map(|(peer_id, since, closing)| (peer_id, since, closing, view.has_version(peer_id)));
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (peer_id, since, closing, has_version) in sockets.chain(handshakes) {
            if closing {
                // Its end admits the next one. At most one is evicted at a time.
                return None;
            }
            let kind = if has_version { &mut after } else { &mut before };
            kind.push((since, peer_id));
        }
        let due = |all: &[(Instant, PeerId)], eviction_age: EvictionAge| {
            let oldest = all.iter().min_by_key(|(since, _)| *since)?;
            Some((oldest.0 + eviction_age.age(all.len()), oldest.1))
        };
        let due = [due(&before, BEFORE_VERSION), due(&after, AFTER_VERSION)];
        let (at, peer_id) = due.into_iter().flatten().min_by_key(|(at, _)| *at)?;
        if at > now.instant {
            return Some(at);
        }
        match self.sockets.get_mut(&peer_id) {
            Some(socket) => {
                let close = socket.close(peer_id, InboundRejectReason::Capacity);
                self.actions.extend(close);
            }
            None => self.close(peer_id, DisconnectReason::AtCapacity),
        }
        None
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
