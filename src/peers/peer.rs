//! What is known of one peer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::{BanReason, InvalidStatusChange, PeerStatus, UserAgent};

/// What is known of a peer: enough to choose whom to dial and whom to forget.
///
/// A plain value: whoever changes it hands it to [`PeerStore::update`](super::PeerStore::update). Times are those of the wall clock, so
/// that they mean something after a restart; none is ever taken from a clock here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its identity in this program, for as long as it is known. It is never sent.
    pub id: Uuid,
    /// Where it is. IPv4 addresses mapped into IPv6 stand here as IPv4.
    pub ip_address: IpAddr,
    /// The TCP port on which it listens; for one that dialled us and was not heard of otherwise, the port from which it did.
    pub port: u16,
    /// What is thought of it. [`Peer::set_status`] changes it as the table of [`PeerStatus`] says.
    pub status: PeerStatus,
    /// Since when, or when that was last found again.
    pub status_timestamp: SystemTime,
    /// While it is banned: when that ends, `None` for never. `None` in any other status.
    pub banned_until: Option<SystemTime>,
    /// Who told of it first.
    pub source: PeerSource,
    /// Whether the program named it, first or later. Such a peer is never forgotten to make room for another.
    pub named: bool,
    /// The service bits that it is said to have, by itself as soon as it was connected to.
    pub services: u64,
    /// What it said of itself in its last `version`, if it was ever connected to.
    pub version: Option<PeerVersion>,
    /// When it was last heard of, by itself or by others.
    pub last_seen: SystemTime,
    /// When it was last dialled.
    pub last_tried: Option<SystemTime>,
    /// When a handshake with it was last complete.
    pub last_connected: Option<SystemTime>,
    /// How many tries in a row have failed since.
    pub failures: u32,
}

/// What a peer says of itself in its `version`, apart from its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerVersion {
    /// The protocol version that it speaks.
    pub protocol_version: i32,
    /// What it calls itself.
    pub user_agent: UserAgent,
    /// The height of its chain when it was connected to.
    pub start_height: i32,
}

/// Who told of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerSource {
    /// The program.
    Program,
    /// A DNS seed.
    Seed,
    /// The peer with this address, in an `addr`.
    Peer(IpAddr),
    /// The peer itself, by dialling us.
    Inbound,
}

impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerSource::Program => f.write_str("the program"),
            PeerSource::Seed => f.write_str("a DNS seed"),
            PeerSource::Peer(address) => write!(f, "{address}"),
            PeerSource::Inbound => f.write_str("itself"),
        }
    }
}

/// An IPv6 address has a scope where none can be kept.
///
/// A scope is the number of an interface of this machine, which may differ after a restart. Stores,
/// bans and other peers know addresses without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: expected an address without an IPv6 scope")]
pub struct ScopedAddressError {
    /// The address.
    pub address: SocketAddr,
}

/// Returns the address under which a peer is known: an IPv4 address in the form of IPv6 as IPv4.
pub(crate) fn canonical(address: SocketAddr) -> Result<SocketAddr, ScopedAddressError> {
    match address {
        SocketAddr::V6(ipv6) if ipv6.scope_id() != 0 => Err(ScopedAddressError { address }),
        _ => Ok(SocketAddr::new(address.ip().to_canonical(), address.port())),
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Peer {
    /// A peer that was just heard of, with a random id and the status `Unknown`.
    ///
    /// One that the program tells of is `named`.
    ///
    /// # Errors
    ///
    /// [`ScopedAddressError`] if the address is an IPv6 address with a scope.
    pub fn new(
        address: SocketAddr,
        source: PeerSource,
        now: SystemTime,
    ) -> Result<Self, ScopedAddressError> {
        let address = canonical(address)?;
        Ok(Self {
            id: Uuid::new_v4(),
            ip_address: address.ip(),
            port: address.port(),
            status: PeerStatus::Unknown,
            status_timestamp: now,
            banned_until: None,
            source,
            named: source == PeerSource::Program,
            services: 0,
            version: None,
            last_seen: now,
            last_tried: None,
            last_connected: None,
            failures: 0,
        })
    }

    /// The address and port as a socket takes them.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip_address, self.port)
    }

    /// Gives it a status that is right from `now` on. A ban given this way has no end; see [`Peer::record_ban`].
    ///
    /// # Errors
    ///
    /// [`InvalidStatusChange`] if the table of [`PeerStatus`] has no such way; nothing is changed.
    pub fn set_status(
        &mut self,
        status: PeerStatus,
        now: SystemTime,
    ) -> Result<(), InvalidStatusChange> {
        if !self.status.can_become(status) {
            return Err(InvalidStatusChange {
                from: self.status.kind(),
                to: status.kind(),
            });
        }
        self.status = status;
        self.status_timestamp = now;
        self.banned_until = None;
        Ok(())
    }

    /// Notes that its address is banned, until then or for good. This bans nobody: see [`BanList`](super::BanList).
    pub fn record_ban(&mut self, reason: BanReason, until: Option<SystemTime>, now: SystemTime) {
        // From every status there is a way to this one.
        self.status = PeerStatus::Banned(reason);
        self.status_timestamp = now;
        self.banned_until = until;
    }

    /// Notes that another peer told of it: with these services, last seen at `seen`, which counts for no later than `now`.
    ///
    /// Services add up until the peer tells its own, which no stranger changes.
    pub fn record_heard(&mut self, services: u64, seen: SystemTime, now: SystemTime) {
        self.last_seen = self.last_seen.max(seen.min(now));
        if self.version.is_none() {
            self.services |= services;
        }
    }

    /// Notes that it is being dialled.
    pub fn record_tried(&mut self, now: SystemTime) {
        self.last_tried = Some(now);
    }

    /// Notes that a try has failed. When tries are spent is up to the caller, who then sets the status.
    pub fn record_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes that a handshake with it is complete: it becomes `Valid`, and what it says of itself replaces what was known.
    ///
    /// # Errors
    ///
    /// [`InvalidStatusChange`] if it is banned; nothing is changed.
    pub fn record_connected(
        &mut self,
        services: u64,
        version: PeerVersion,
        now: SystemTime,
    ) -> Result<(), InvalidStatusChange> {
        self.set_status(PeerStatus::Valid, now)?;
        self.services = services;
        self.version = Some(version);
        self.last_seen = now;
        self.last_connected = Some(now);
        self.failures = 0;
        Ok(())
    }

    /// Whether it is not worth being kept or told of, by the rules of the node (Bitcoin SV node 1.2.2, `src/addrman.cpp`,
    /// `IsTerrible`): not tried in the last minute, and
    ///
    /// - last seen more than 10 minutes in the future, or more than 7 days ago;
    /// - or 3 times failed and never connected to;
    /// - or 10 times failed in a row and not connected to for more than 2 days.
    ///
    /// One that the program named never is.
    pub fn is_terrible(&self, now: SystemTime) -> bool {
        let past = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        if self.named || self.last_tried.is_some_and(|tried| past(tried) <= MINUTE) {
            return false;
        }
        let ahead = self.last_seen.duration_since(now).unwrap_or_default();
        if ahead > 10 * MINUTE || past(self.last_seen) > 7 * DAY {
            return true;
        }
        match self.last_connected {
            None => self.failures >= 3,
            Some(connected) => self.failures >= 10 && past(connected) > 2 * DAY,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.socket_address(), self.status)
    }
}

#[cfg(test)]
mod tests;
