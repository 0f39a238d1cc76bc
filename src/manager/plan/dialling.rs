//! Whom to dial, and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Action, Attachment, Link, LinkState, Plan};
use crate::manager::clock::Now;
use crate::peers::{
    AddressKind, Ban, BanOrigin, Peer, PeerId, PeerSource, PeerStatus, PeerStatusKind, Subnet,
    address_group, is_routable,
};
use crate::session::{Direction, DisconnectReason};

/// How many peers may be dialled at once after a while without dialling …
const BURST: u32 = 32;
/// … and after which pause one more, so that a list of dead addresses costs neither this machine nor the network much.
const ONE_MORE: Duration = Duration::from_millis(250);
/// How long a restart waits that finds no place.
pub(super) const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// How fast candidates are dialled.
#[derive(Clone, Copy, Debug)]
pub(super) struct DialPace {
    /// When the last of those would have been dialled that there were, one after the other.
    level: Instant,
}

impl DialPace {
    pub(super) fn new(now: Instant) -> Self {
        Self { level: now }
    }

    /// When the next one may be dialled.
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

/// What a look at a peer says about dialling it.
enum Candidate {
    /// It may be dialled.
    Now,
    /// Not before then.
    Later(Instant),
    /// Not while everything is as it is.
    No,
}

impl Plan {
    /// How many more candidates shall be dialled.
    pub(super) fn wanted(&self) -> usize {
        if self.stopping || self.fixed.is_some() {
            return 0;
        }
        let counts = self.links.counts();
        // A stranger that does not get on with its handshake is no peer.
        let missing = self
            .config
            .target_connections
            .saturating_sub(counts.outbound + counts.inbound);
        let own = self.config.reserved_outbound();
        let missing_own = own.saturating_sub(counts.outbound);
        missing.max(missing_own).min(self.free_places())
    }

    /// How many connections there are that have a place.
    pub(in crate::manager) fn taken_places(&self) -> usize {
        self.links.counts().taken()
    }

    /// How many more connections there may be.
    pub(super) fn free_places(&self) -> usize {
        self.config
            .max_connections
            .saturating_sub(self.taken_places())
    }

    /// How many places are kept for peers that we dial.
    pub(super) fn reserved_outbound(&self) -> usize {
        match &self.fixed {
            Some(fixed) => fixed.len(),
            None => self.config.reserved_outbound(),
        }
    }

    /// Begins the lives that are due, where there is room.
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
                // Its end is on its way.
                link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
            } else if has_room {
                link.state = LinkState::Opening(now.instant);
                self.actions.push_back(Action::Restart { peer_id });
                self.change(peer_id, |peer| peer.record_attempt(now.wall));
            } else if link.attachment != Attachment::Candidate {
                link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
            } else {
                // Others have taken its place.
                self.close(peer_id, DisconnectReason::AtCapacity);
            }
        }
    }

    /// Dials until there are as many connections as wanted, or nobody is left to be dialled now.
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

    /// The best candidate; or when the next peer may be one.
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
        // Those that were connected to before come first; among equals chance decides, which no stranger can foresee. Of the others it first
        // chooses who told of them: who tells of many gets no more tries than who tells of one. Advertised addresses with an unusual port
        // come last.
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

    /// Returns whether a peer is dialed before advertised addresses with another port than the
    /// default one, which may lead to anybody's server. The ports of configured addresses are usual.
    fn has_usual_port(&self, peer: &Peer) -> bool {
        !matches!(peer.source, PeerSource::Peer(_))
            || peer.manual
            || peer.port == self.config.network().port()
            || Some(peer.port) == self.config.discovery.default_port
    }

    /// One of so many, by chance.
    pub(super) fn choose(&mut self, count: usize) -> Option<usize> {
        let chosen = (self.random)().checked_rem(count as u64);
        chosen.map(|at| at as usize)
    }

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
            // Renewed when it is over.
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

    /// When no ban keeps a peer away any more: now, if none does; never, if that is for good.
    fn end_of_ban(&self, peer: &Peer, now: Now) -> Option<Instant> {
        let bans = self.bans.read();
        let ban = bans.is_banned(peer.ip_address, now.wall);
        match ban.filter(|ban| keeps_away(ban, peer)) {
            Some(ban) => Some(now.instant_of(ban.until?)),
            None => Some(now.instant),
        }
    }

    /// Whether loopback and private addresses are peers like any other, and this is one.
    fn is_private(&self, peer: &Peer) -> bool {
        self.config.allows_private() && is_near(peer.ip_address)
    }

    /// Gives those another chance whose cool-down or ban is over.
    fn renew_statuses(&mut self, now: Now) {
        let renewed: Vec<PeerId> = self
            .table
            .iter()
            .filter(|peer| self.renewal(peer, now).is_some_and(|at| at <= now.instant))
            .map(|peer| peer.id)
            .collect();
        for peer_id in renewed {
            self.change(peer_id, |peer| {
                // From both statuses there is a way to this one.
                let _ = peer.set_status(PeerStatus::Unknown, now.wall);
            });
            self.retries.remove(&peer_id);
        }
    }

    /// When an inaccessible or banned peer becomes an unknown one again.
    fn renewal(&self, peer: &Peer, now: Now) -> Option<Instant> {
        match peer.status.kind() {
            PeerStatusKind::Inaccessible => {
                // A clock that was wrong then shall not keep it away for ever.
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

    /// Dials a peer that the program has named, whatever was thought of it.
    pub(super) fn dial_anew(&mut self, peer_id: PeerId, now: Now) {
        self.change(peer_id, |peer| {
            let is_left_alone = matches!(
                peer.status.kind(),
                PeerStatusKind::Inaccessible | PeerStatusKind::Banned
            );
            if is_left_alone {
                // From both there is a way to this one.
                let _ = peer.set_status(PeerStatus::Unknown, now.wall);
            }
        });
        self.dial(peer_id, true, now);
    }

    /// Dials a peer that is known and has no connection.
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

/// Whether a ban that covers a peer's address keeps it away. What others have done there is no reason against one that the program has named.
pub(super) fn keeps_away(ban: &Ban, peer: &Peer) -> bool {
    ban.by == BanOrigin::Manual || !peer.manual
}

/// Whether an address leads to this machine or into a network of one's own.
pub(in crate::manager) fn is_near(address: std::net::IpAddr) -> bool {
    matches!(
        AddressKind::of(address),
        AddressKind::Loopback | AddressKind::Private
    )
}

/// Who told of a peer, by its group of addresses; `None` for whomever nobody tells what to say.
fn source_of(peer: &Peer) -> Option<Subnet> {
    match peer.source {
        PeerSource::Peer(source) => Some(address_group(source)),
        PeerSource::Manual | PeerSource::Seed | PeerSource::Inbound => None,
    }
}

fn earlier(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
