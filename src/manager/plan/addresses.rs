//! Address relay: addresses that peers advertise, and addresses that are sent to peers.
//!
//! Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp` (`ProcessAddrMessage`,
//! `ProcessGetAddrMessage`) and `src/addrman.cpp`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::dialing::is_near;
use super::{Action, Plan};
use crate::manager::clock::Now;
use crate::peers::{
    Peer, PeerId, PeerSource, PeerStatus, PeerStatusKind, address_group, is_routable,
    is_service_port,
};
use crate::session::Direction;
use crate::wire::{MAX_ADDRESSES, NetworkAddress, Services, TimestampedAddress};

/// Divisor of `max_known_peers` for the share of one address group. The limit prevents a single
/// source from filling the table.
const SHARE_OF_A_SOURCE: usize = 8;
/// Number of known ports of one IP address at which further advertised ports are ignored.
const PORTS_OF_AN_ADDRESS: usize = 4;

/// Timestamps up to this value, in Unix seconds, are ignored.
const EARLIEST: u64 = 100_000_000;
/// Maximum accepted clock skew of a peer.
const AHEAD: Duration = Duration::from_secs(600);
/// Age assumed for an advertised address with an invalid timestamp.
const UNKNOWN_AGE: Duration = Duration::from_secs(5 * 24 * 3600);
/// Age added to every advertised address.
const HEARSAY: Duration = Duration::from_secs(2 * 3600);

/// Percentage of the known addresses in a `getaddr` response.
const SAMPLE_PERCENT: usize = 23;
/// Time for which all `getaddr` responses are equal. Repeated requests then reveal no further
/// addresses.
const SAMPLE_LASTS: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of entries in an `addr` message that is relayed. A longer one is a response.
const MAX_PASSED_ON: usize = 10;
/// Maximum age of a relayed address.
const NEWS: Duration = Duration::from_secs(600);
/// Number of peers to which an address is relayed.
const PASSED_ON_TO: usize = 2;
/// Maximum number of relayed addresses that are remembered.
const MAX_REMEMBERED: usize = 1000;

/// Interval at which our own address is announced.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(8 * 3600);

/// The state of the address relay.
#[derive(Debug)]
pub(super) struct Gossip {
    sample: Vec<TimestampedAddress>,
    /// The time at which the sample was taken, and the number of addresses it was drawn from.
    sampled: Option<(Instant, usize)>,
    /// The relayed addresses and the time of the relay. Prevents relay loops.
    passed_on: HashMap<SocketAddr, Instant>,
    /// The time of the next announcement of our own address.
    announce_at: Instant,
}

impl Gossip {
    pub(super) fn new(now: Now) -> Self {
        Self {
            sample: Vec::new(),
            sampled: None,
            passed_on: HashMap::new(),
            announce_at: now.after(ANNOUNCE_EVERY),
        }
    }
}

impl Plan {
    /// Handles addresses that a peer advertised within its rate limit.
    pub(in crate::manager) fn on_heard(
        &mut self,
        peer_id: PeerId,
        entries: &[TimestampedAddress],
        now: Now,
    ) {
        let Some(source) = self.links.get(peer_id).map(|link| link.address.ip()) else {
            return;
        };
        if self.fixed.is_some() || self.stopping {
            return;
        }
        self.forget_terrible_of(source, now);
        let mut places = self.places_for(source);
        let mut ports: HashMap<IpAddr, usize> = HashMap::new();
        for entry in entries {
            ports.insert(entry.address.ip.to_canonical(), 0);
        }
        for peer in self.table.iter() {
            if let Some(count) = ports.get_mut(&peer.ip_address) {
                *count += 1;
            }
        }
        for entry in entries {
            let address = entry.address.socket_address();
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let services = entry.address.services;
            let seen = seen(entry.time, now.wall);
            if !self.may_be_told(address) || !services.contains(self.required_services()) {
                continue;
            }
            if let Some(known) = self.table.find(address) {
                let peer_id = known.id;
                self.change(peer_id, |peer| {
                    peer.record_advertised(services.0, seen, now.wall);
                });
                continue;
            }
            let ports = ports.entry(address.ip()).or_default();
            let is_crowded = *ports >= PORTS_OF_AN_ADDRESS && !self.is_near_peer(address.ip());
            if places == 0 || is_crowded {
                continue;
            }
            let Ok(mut peer) = Peer::new(address, PeerSource::Peer(source), seen) else {
                continue;
            };
            peer.services = services.0;
            peer.status_timestamp = now.wall;
            if !peer.is_terrible(now.wall) && self.remember(peer, now) {
                places -= 1;
                *ports += 1;
            }
        }
        self.pass_on(peer_id, entries, now);
    }

    /// Adds a discovered peer. Returns whether the table had capacity for it.
    pub(super) fn remember(&mut self, peer: Peer, now: Now) -> bool {
        let Ok(forgotten) = self.table.create(peer.clone(), now.wall) else {
            return false;
        };
        if let Some(forgotten) = forgotten {
            self.forget(forgotten.id);
        }
        self.changes.keep(peer);
        self.look_again(now);
        true
    }

    /// Returns whether an advertised address may be dialed or relayed. Like
    /// [`may_be_dialed`](Self::may_be_dialed), but excludes the ports of well-known services.
    pub(super) fn may_be_told(&self, address: SocketAddr) -> bool {
        let port = address.port();
        let is_refused = is_service_port(port) && port != self.config.network().port();
        !is_refused && self.may_be_dialed(address)
    }

    /// Returns whether an address that is not configured as a manual peer may be dialed.
    pub(super) fn may_be_dialed(&self, address: SocketAddr) -> bool {
        address.port() != 0
            && Some(address) != self.config.listener.external_address
            && (is_routable(address.ip()) || self.is_near_peer(address.ip()))
    }

    fn required_services(&self) -> Services {
        self.config.connection.session.required_services
    }

    fn is_near_peer(&self, address: IpAddr) -> bool {
        self.config.allows_private() && is_near(address)
    }

    /// Returns how many more peers the address group of `source` may add to the table.
    fn places_for(&self, source: IpAddr) -> usize {
        let share = (self.config.max_known_peers / SHARE_OF_A_SOURCE).max(1);
        let source = address_group(source);
        let told = self.table.iter().filter(|peer| is_of(peer, source));
        share.saturating_sub(told.count())
    }

    /// Evicts terrible peers that the address group of `source` advertised, to free its share of
    /// the table.
    fn forget_terrible_of(&mut self, source: IpAddr, now: Now) {
        let source = address_group(source);
        let terrible = self
            .table
            .iter()
            .filter(|peer| is_of(peer, source) && peer.is_terrible(now.wall))
            .filter(|peer| self.links.get(peer.id).is_none())
            .map(|peer| peer.id);
        for peer_id in terrible.collect::<Vec<_>>() {
            self.table.remove(peer_id);
            self.forget(peer_id);
        }
    }

    /// Answers the first `getaddr` of an inbound peer with the sample.
    pub(in crate::manager) fn on_asked_for_addresses(&mut self, peer_id: PeerId, now: Now) {
        self.take_sample(now);
        if !self.gossip.sample.is_empty() && self.links.get(peer_id).is_some() {
            let addresses = self.gossip.sample.clone();
            self.actions
                .push_back(Action::SendAddresses { peer_id, addresses });
        }
    }

    /// Replaces the sample if it is a day old, or if the number of known addresses has doubled
    /// since.
    fn take_sample(&mut self, now: Now) {
        let mut known: Vec<TimestampedAddress> = self
            .table
            .iter()
            .filter(|peer| self.is_told(peer, now))
            .map(|peer| self.entry(peer, now))
            .collect();
        let is_good = self.gossip.sampled.is_some_and(|(at, of)| {
            now.instant.saturating_duration_since(at) < SAMPLE_LASTS && known.len() < 2 * of
        });
        if is_good {
            return;
        }
        self.gossip.sampled = Some((now.instant, known.len()));
        let wanted = (known.len() * SAMPLE_PERCENT).div_ceil(100);
        let wanted = wanted.min(MAX_ADDRESSES);
        for place in 0..wanted {
            let chosen = self.choose(known.len() - place).unwrap_or_default();
            known.swap(place, place + chosen);
        }
        known.truncate(wanted);
        self.gossip.sample = known;
    }

    /// Returns whether a peer may be included in a `getaddr` response. Peers known only to the
    /// application, or only by an inbound connection, are excluded.
    fn is_told(&self, peer: &Peer, now: Now) -> bool {
        let is_connected = self.is_connected(peer.id);
        let is_well = match peer.status.kind() {
            PeerStatusKind::Valid | PeerStatusKind::Unknown => true,
            PeerStatusKind::Inaccessible | PeerStatusKind::Banned => false,
        };
        is_well
            && matches!(peer.source, PeerSource::Seed | PeerSource::Peer(_))
            && (is_connected || !peer.is_terrible(now.wall))
            && self.may_be_told(peer.socket_address())
    }

    fn is_connected(&self, peer_id: PeerId) -> bool {
        self.links
            .get(peer_id)
            .is_some_and(|link| link.is_connected())
    }

    fn entry(&self, peer: &Peer, now: Now) -> TimestampedAddress {
        let seen = if self.is_connected(peer.id) {
            now.wall
        } else {
            peer.last_seen
        };
        TimestampedAddress {
            time: unix_seconds(seen),
            address: NetworkAddress::new(Services(peer.services), peer.socket_address()),
        }
    }

    /// Relays recent addresses to inbound peers only. A node that we dialed would accept only our
    /// own address.
    fn pass_on(&mut self, from: PeerId, entries: &[TimestampedAddress], now: Now) {
        if entries.len() > MAX_PASSED_ON {
            return;
        }
        let passed_on = &mut self.gossip.passed_on;
        passed_on.retain(|_, at| now.instant.saturating_duration_since(*at) < NEWS);
        for entry in entries {
            let address = entry.address.socket_address();
            let age = now.wall.duration_since(time(entry.time));
            if age.is_ok_and(|age| age > NEWS)
                || time(entry.time) > now.wall + AHEAD
                || !self.may_be_told(address)
                || self.gossip.passed_on.contains_key(&address)
                || self.gossip.passed_on.len() >= MAX_REMEMBERED
            {
                continue;
            }
            self.gossip.passed_on.insert(address, now.instant);
            let mut others: Vec<PeerId> = self
                .links
                .inbound()
                .filter(|(peer_id, link)| *peer_id != from && link.is_connected() && !link.closing)
                .map(|(peer_id, _)| peer_id)
                .collect();
            for _ in 0..PASSED_ON_TO {
                let Some(chosen) = self.choose(others.len()) else {
                    break;
                };
                self.actions.push_back(Action::SendAddresses {
                    peer_id: others.swap_remove(chosen),
                    addresses: vec![*entry],
                });
            }
        }
    }

    /// Requests addresses from a newly connected outbound peer, and announces our own address to
    /// any new peer.
    pub(super) fn introduce(&mut self, peer_id: PeerId, direction: Direction, now: Now) {
        let asks = self.config.asks_peers() && self.fixed.is_none();
        if asks && direction == Direction::Outbound {
            self.actions.push_back(Action::AskForAddresses { peer_id });
        }
        self.announce_to(peer_id, now);
    }

    fn announce_to(&mut self, peer_id: PeerId, now: Now) {
        let Some(address) = self.config.listener.external_address else {
            return;
        };
        let services = self.config.connection.session.services;
        let own = TimestampedAddress {
            time: unix_seconds(now.wall),
            address: NetworkAddress::new(services, address),
        };
        self.actions.push_back(Action::SendAddresses {
            peer_id,
            addresses: vec![own],
        });
    }

    /// Returns the time of the next announcement of our own address, if one is configured.
    pub(super) fn announcement_due(&self) -> Option<Instant> {
        let is_wanted = self.config.listener.external_address.is_some();
        is_wanted.then_some(self.gossip.announce_at)
    }

    /// Announces our own address to all connected peers if that is due.
    pub(super) fn announce(&mut self, now: Now) {
        if self
            .announcement_due()
            .is_some_and(|due| due <= now.instant)
        {
            self.announce_to_all(now);
        }
    }

    pub(super) fn announce_to_all(&mut self, now: Now) {
        self.gossip.announce_at = now.after(ANNOUNCE_EVERY);
        let connected = self.links.iter().filter(|(_, link)| link.is_connected());
        let connected: Vec<PeerId> = connected.map(|(peer_id, _)| peer_id).collect();
        for peer_id in connected {
            self.announce_to(peer_id, now);
        }
    }
}

/// Returns whether the address group `source` advertised the peer, and the peer is neither valid
/// nor manual.
fn is_of(peer: &Peer, source: crate::peers::Subnet) -> bool {
    let told = match peer.source {
        PeerSource::Peer(address) => address_group(address) == source,
        _ => false,
    };
    told && peer.status != PeerStatus::Valid && !peer.manual
}

fn time(seconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.into())
}

fn unix_seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// Returns the assumed time of last contact of a peer that was advertised with the timestamp
/// `seconds`.
fn seen(seconds: u32, now: SystemTime) -> SystemTime {
    let said = time(seconds);
    let said = if u64::from(seconds) <= EARLIEST || said > now + AHEAD {
        now.checked_sub(UNKNOWN_AGE).unwrap_or(UNIX_EPOCH)
    } else {
        said
    };
    said.min(now).checked_sub(HEARSAY).unwrap_or(UNIX_EPOCH)
}
