//! Dialing: selection and pacing of candidates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Action, Attachment, Link, LinkState, Plan};
use crate::manager::clock::Now;
use crate::peers::{
    AddressKind, Ban, BanOrigin, Peer, PeerId, PeerSource, PeerStatus, PeerStatusKind, Subnet,
    address_group, is_routable,
};
use crate::session::{Direction, DisconnectReason};

/// Maximum number of candidates that are dialed in one burst.
const BURST: u32 = 32;
/// Interval at which one further dial is permitted. It limits the cost of a list of dead addresses.
const ONE_MORE: Duration = Duration::from_millis(250);
/// Delay before a dial or restart is retried when no slot is free.
pub(super) const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// Rate limit for dialing candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct DialPace {
    /// The time at which the full burst is available again.
    level: Instant,
}

impl DialPace {
    pub(super) fn new(now: Instant) -> Self {
        Self { level: now }
    }

    /// Returns the earliest time of the next dial.
    pub(super) fn next(self) -> Instant {
        self.level
            .checked_sub(ONE_MORE * (BURST - 1))
            .unwrap_or(self.level)
    }

    fn try_take(&mut self, now: Instant) -> bool {
        if self.next() > now {
            return false;
        }
        self.level = self.level.max(now) + ONE_MORE;
        true
    }
}

/// The eligibility of a peer for dialing.
enum Candidate {
    /// The peer may be dialed now.
    Now,
    /// The peer may be dialed at the given time.
    Later(Instant),
    /// The peer may not be dialed unless the state changes.
    No,
}

impl Plan {
    /// Returns the number of further candidates to dial.
    pub(super) fn wanted(&self) -> usize {
        if self.stopping || self.fixed.is_some() {
            return 0;
        }
        let counts = self.links.counts();
        // Inbound connections in the handshake do not count.
        let missing = self
            .config
            .target_connections
            .saturating_sub(counts.outbound + counts.inbound);
        let own = self.config.reserved_outbound();
        let missing_own = own.saturating_sub(counts.outbound);
        missing.max(missing_own).min(self.free_places())
    }

    /// Returns the number of occupied slots.
    pub(in crate::manager) fn taken_places(&self) -> usize {
        self.links.counts().taken()
    }

    /// Returns the number of free slots.
    pub(super) fn free_places(&self) -> usize {
        self.config
            .max_connections
            .saturating_sub(self.taken_places())
    }

    /// Returns the number of slots that are reserved for outbound connections.
    pub(super) fn reserved_outbound(&self) -> usize {
        match &self.fixed {
            Some(fixed) => fixed.len(),
            None => self.config.reserved_outbound(),
        }
    }

    /// Starts the restarts that are due, if slots are free.
    pub(super) fn begin_due(&mut self, now: Now) {
        let due = self.links.waiting().filter(|(_, due)| *due <= now.instant);
        let mut due: Vec<(PeerId, Instant)> = due.collect();
        due.sort_by_key(|(_, due)| *due);
        for (peer_id, _) in due {
            let has_room = self.free_places() > 0;
            let Some(link) = self.links.get_mut(peer_id) else {
                continue;
            };
            if link.closing {
                // The final event of this connection is still pending.
                link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
            } else if has_room {
                link.state = LinkState::Opening(now.instant);
                self.actions.push_back(Action::Restart { peer_id });
                self.change(peer_id, |peer| peer.record_attempt(now.wall));
            } else if link.attachment != Attachment::Candidate {
                link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
            } else {
                // Other connections have taken the slot.
                self.close(peer_id, DisconnectReason::AtCapacity);
            }
        }
    }

    /// Dials candidates until the target is reached or none is eligible now.
    pub(super) fn fill(&mut self, now: Now) {
        if self.fixed.is_some() {
            return self.fill_fixed(now);
        }
        while self.wanted() > 0 && self.look_at.is_some_and(|at| at <= now.instant) {
            if self.pace.next() > now.instant {
                return;
            }
            let (chosen, later) = self.look(now);
            let Some(peer_id) = chosen else {
                self.look_at = later;
                return self.starve(now);
            };
            self.pace.try_take(now.instant);
            self.dial(peer_id, false, now);
        }
    }

    /// Dials the fixed peers that have no connection.
    fn fill_fixed(&mut self, now: Now) {
        let fixed: Vec<PeerId> = self.fixed.iter().flatten().copied().collect();
        let mut later = None;
        for peer_id in fixed {
            if self.links.get(peer_id).is_some() {
                continue;
            }
            let due = self
                .retries
                .get(&peer_id)
                .map_or(now.instant, |retry| retry.at);
            if due > now.instant {
                later = earlier(later, due);
            } else if self.is_banned(peer_id, now) || self.free_places() == 0 {
                later = earlier(later, now.after(NO_ROOM_PAUSE));
            } else {
                self.dial_anew(peer_id, now);
            }
        }
        self.look_at = later;
    }

    /// Returns the best candidate, or the earliest time at which a peer may become one.
    fn look(&mut self, now: Now) -> (Option<PeerId>, Option<Instant>) {
        self.renew_statuses(now);
        let (mut valid, mut later) = (Vec::new(), None);
        let (mut usual, mut unusual) = (BTreeMap::new(), BTreeMap::new());
        for peer in self.table.iter() {
            match self.judge(peer, now) {
                Candidate::Now if peer.status == PeerStatus::Valid => valid.push(peer.id),
                Candidate::Now => {
                    let others = match self.has_usual_port(peer) {
                        true => &mut usual,
                        false => &mut unusual,
                    };
                    let told_by: &mut Vec<PeerId> = others.entry(source_of(peer)).or_default();
                    told_by.push(peer.id);
                }
                Candidate::Later(at) => later = earlier(later, at),
                Candidate::No => {}
            }
        }
        // Known-good peers come first. The choice among equals is random, so that no attacker can
        // predict it. For other peers, the source is chosen first, so that advertising more
        // addresses yields no more dials. Advertised addresses with an unusual port come last.
        if valid.is_empty() {
            let others = if usual.is_empty() { unusual } else { usual };
            let source = self.choose(others.len());
            valid = source
                .and_then(|at| others.into_values().nth(at))
                .unwrap_or_default();
        }
        let chosen = self.choose(valid.len());
        (chosen.map(|at| valid[at]), later)
    }

    /// Returns whether a peer has a default port or was not merely advertised. All other addresses
    /// are dialed last, because they may belong to any server.
    fn has_usual_port(&self, peer: &Peer) -> bool {
        !matches!(peer.source, PeerSource::Peer(_))
            || peer.manual
            || peer.port == self.config.network().port()
            || Some(peer.port) == self.config.discovery.default_port
    }

    /// Returns a random index below `count`, or `None` if `count` is 0.
    pub(super) fn choose(&mut self, count: usize) -> Option<usize> {
        let chosen = (self.random)().checked_rem(count as u64);
        chosen.map(|at| at as usize)
    }

    /// Returns whether a peer may be dialed, and when.
    fn judge(&self, peer: &Peer, now: Now) -> Candidate {
        let is_private = self.is_private(peer);
        if self.links.get(peer.id).is_some()
            || self.links.outbound_to(peer.socket_address()).is_some()
            || !(is_private || peer.manual || is_routable(peer.ip_address))
            || peer.port == 0
        {
            return Candidate::No;
        }
        match peer.status.kind() {
            // The status is renewed when the ban or cool-down has expired.
            PeerStatusKind::Banned | PeerStatusKind::Inaccessible => {
                return match self.renewal(peer, now) {
                    Some(at) => Candidate::Later(at),
                    None => Candidate::No,
                };
            }
            PeerStatusKind::Valid | PeerStatusKind::Unknown => {}
        }
        let retry = self.retries.get(&peer.id).map(|retry| retry.at);
        let paused = self.local_faults.paused_until(peer.ip_address);
        if let Some(at) = retry.max(paused)
            && at > now.instant
        {
            return Candidate::Later(at);
        }
        if !is_private && self.links.has_outbound_in(address_group(peer.ip_address)) {
            return Candidate::No;
        }
        match self.end_of_ban(peer, now) {
            Some(over) if over <= now.instant => Candidate::Now,
            Some(over) => Candidate::Later(over),
            None => Candidate::No,
        }
    }

    /// Returns the time at which no ban excludes the peer: `now` if none does, `None` if the ban is
    /// permanent.
    fn end_of_ban(&self, peer: &Peer, now: Now) -> Option<Instant> {
        let bans = self.bans.read();
        let ban = bans.is_banned(peer.ip_address, now.wall);
        match ban.filter(|ban| keeps_away(ban, peer)) {
            Some(ban) => Some(now.instant_of(ban.until?)),
            None => Some(now.instant),
        }
    }

    /// Returns whether a peer has a local address and the configuration treats those like public
    /// ones.
    fn is_private(&self, peer: &Peer) -> bool {
        self.config.allows_private() && is_near(peer.ip_address)
    }

    /// Resets the status of peers whose cool-down or ban has expired.
    fn renew_statuses(&mut self, now: Now) {
        let renewed: Vec<PeerId> = self
            .table
            .iter()
            .filter(|peer| self.renewal(peer, now).is_some_and(|at| at <= now.instant))
            .map(|peer| peer.id)
            .collect();
        for peer_id in renewed {
            self.change(peer_id, |peer| {
                // The transition from both statuses is always valid.
                let _ = peer.set_status(PeerStatus::Unknown, now.wall);
            });
            self.retries.remove(&peer_id);
        }
    }

    /// Returns the time at which the status of an inaccessible or banned peer is reset.
    fn renewal(&self, peer: &Peer, now: Now) -> Option<Instant> {
        match peer.status.kind() {
            PeerStatusKind::Inaccessible => {
                // A status timestamp in the future is due to a wrong clock. It must not extend the
                // cool-down.
                if peer.status_timestamp > now.wall {
                    return Some(now.instant);
                }
                let over = peer.status_timestamp.checked_add(self.config.cooldown)?;
                Some(now.instant_of(over))
            }
            PeerStatusKind::Banned => self.end_of_ban(peer, now),
            PeerStatusKind::Valid | PeerStatusKind::Unknown => None,
        }
    }

    /// Dials a manual peer, whatever its status.
    pub(super) fn dial_anew(&mut self, peer_id: PeerId, now: Now) {
        self.change(peer_id, |peer| {
            let is_left_alone = matches!(
                peer.status.kind(),
                PeerStatusKind::Inaccessible | PeerStatusKind::Banned
            );
            if is_left_alone {
                // The transition from both statuses is always valid.
                let _ = peer.set_status(PeerStatus::Unknown, now.wall);
            }
        });
        self.dial(peer_id, true, now);
    }

    /// Dials a known peer that has no connection.
    pub(super) fn dial(&mut self, peer_id: PeerId, named: bool, now: Now) {
        let Some(address) = self.table.get(peer_id).map(Peer::socket_address) else {
            return;
        };
        self.change(peer_id, |peer| peer.record_attempt(now.wall));
        let attachment = if self.is_fixed(peer_id) {
            Attachment::Fixed
        } else if named {
            Attachment::Named
        } else {
            Attachment::Candidate
        };
        let link = Link {
            address,
            direction: Direction::Outbound,
            attachment,
            state: LinkState::Opening(now.instant),
            closing: false,
            again: false,
        };
        self.links.insert(peer_id, link);
        self.actions.push_back(Action::Dial {
            peer_id,
            address,
            attachment,
        });
    }

    pub(super) fn is_fixed(&self, peer_id: PeerId) -> bool {
        let fixed = self.fixed.as_ref();
        fixed.is_some_and(|fixed| fixed.contains(&peer_id))
    }

    pub(super) fn is_banned(&self, peer_id: PeerId, now: Now) -> bool {
        let bans = self.bans.read();
        self.table.get(peer_id).is_some_and(|peer| {
            let ban = bans.is_banned(peer.ip_address, now.wall);
            ban.is_some_and(|ban| keeps_away(ban, peer))
        })
    }
}

/// Returns whether a ban that covers the address of a peer applies to the peer. Automatic bans do
/// not apply to manual peers, because another peer at the address may have caused them.
pub(super) fn keeps_away(ban: &Ban, peer: &Peer) -> bool {
    ban.by == BanOrigin::Manual || !peer.manual
}

/// Returns whether an address is a loopback or private address.
pub(in crate::manager) fn is_near(address: std::net::IpAddr) -> bool {
    matches!(
        AddressKind::of(address),
        AddressKind::Loopback | AddressKind::Private
    )
}

/// Returns the address group that advertised the peer, or `None` for trusted sources.
fn source_of(peer: &Peer) -> Option<Subnet> {
    match peer.source {
        PeerSource::Peer(source) => Some(address_group(source)),
        PeerSource::Manual | PeerSource::Seed | PeerSource::Inbound => None,
    }
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
