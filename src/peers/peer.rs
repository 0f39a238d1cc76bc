//! The data of a peer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::{BanReason, InvalidStatusChange, PeerId, PeerStatus, UserAgent};

/// The data of a peer, by which peers are selected for dialing and for eviction.
///
/// This is a plain value: after a change, store it with
/// [`PeerStore::update`](super::PeerStore::update). Times are wall-clock times, so that they stay
/// valid after a restart. They are passed by the caller; no method reads the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The id of the peer, unique in this process and constant while the peer is stored. It is
    /// never sent.
    pub id: PeerId,
    /// The IP address. IPv4-mapped IPv6 addresses are stored as IPv4.
    pub ip_address: IpAddr,
    /// The TCP port on which the peer listens. For an inbound peer that was not advertised, this is
    /// the source port of its connection.
    pub port: u16,
    /// The status. [`Peer::set_status`] changes it according to the table of [`PeerStatus`].
    pub status: PeerStatus,
    /// The time at which the status was set or last confirmed.
    pub status_timestamp: SystemTime,
    /// The end of the ban of a banned peer, `None` if the ban is permanent. `None` for any other
    /// status.
    pub banned_until: Option<SystemTime>,
    /// The first source of the address.
    pub source: PeerSource,
    /// Whether this is a manual peer: the application added it, at first or later. Manual peers are
    /// never evicted.
    pub manual: bool,
    /// The service bits. Before the first handshake, these are the advertised bits. Afterwards,
    /// they are the bits of the peer's last `version`.
    pub services: u64,
    /// Fields of the peer's last `version`, `None` before the first handshake.
    pub version: Option<PeerVersion>,
    /// The last time at which the peer was connected or advertised.
    pub last_seen: SystemTime,
    /// The time of the last outbound connection attempt.
    pub last_tried: Option<SystemTime>,
    /// The time of the last completed handshake.
    pub last_connected: Option<SystemTime>,
    /// The number of consecutive failed attempts since the last handshake.
    pub failures: u32,
}

/// The fields of a peer's `version` message except its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerVersion {
    /// The protocol version of the peer.
    pub protocol_version: i32,
    /// The user agent of the peer.
    pub user_agent: UserAgent,
    /// The height of the peer's chain at the time of the handshake.
    pub start_height: i32,
}

/// The source of a peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerSource {
    /// The application.
    Manual,
    /// A DNS seed.
    Seed,
    /// An `addr` message of the peer with this address.
    Peer(IpAddr),
    /// An inbound connection of the peer.
    Inbound,
}

impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerSource::Manual => f.write_str("manual"),
            PeerSource::Seed => f.write_str("DNS seed"),
            PeerSource::Peer(address) => write!(f, "peer {address}"),
            PeerSource::Inbound => f.write_str("inbound"),
        }
    }
}

/// The error of an IPv6 address that has a scope where none can be stored.
///
/// A scope is the number of a network interface of this machine, which may change after a restart.
/// Stores, bans and other peers use addresses without scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: expected an address without an IPv6 scope")]
#[non_exhaustive]
pub struct ScopedAddressError {
    /// The address.
    pub address: SocketAddr,
}

/// Returns the address in its stored form: an IPv4-mapped IPv6 address as IPv4.
pub(crate) fn canonical(address: SocketAddr) -> Result<SocketAddr, ScopedAddressError> {
    match address {
        SocketAddr::V6(ipv6) if ipv6.scope_id() != 0 => Err(ScopedAddressError { address }),
        _ => Ok(SocketAddr::new(address.ip().to_canonical(), address.port())),
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Peer {
    /// Creates a peer with a random id and the status `Unknown`, last seen at `now`.
    ///
    /// The peer is manual if `source` is [`PeerSource::Manual`].
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
            id: PeerId::random(),
            ip_address: address.ip(),
            port: address.port(),
            status: PeerStatus::Unknown,
            status_timestamp: now,
            banned_until: None,
            source,
            manual: source == PeerSource::Manual,
            services: 0,
            version: None,
            last_seen: now,
            last_tried: None,
            last_connected: None,
            failures: 0,
        })
    }

    /// Returns the IP address and the port.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip_address, self.port)
    }

    /// Sets the status as of `now`. Removes the end of a ban, so a ban that this method sets is
    /// permanent. [`Peer::record_ban`] sets a ban with an end.
    ///
    /// # Errors
    ///
    /// [`InvalidStatusChange`] if the table of [`PeerStatus`] does not contain the change. The peer
    /// is unchanged.
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

    /// Records that the address is banned until a time, or permanently if `until` is `None`.
    ///
    /// This does not add a ban; see [`BanList`](super::BanList).
    pub fn record_ban(&mut self, reason: BanReason, until: Option<SystemTime>, now: SystemTime) {
        // Every status can change to this one.
        self.status = PeerStatus::Banned(reason);
        self.status_timestamp = now;
        self.banned_until = until;
    }

    /// Records that another peer advertised this one with service bits and the time at which it was
    /// last seen.
    ///
    /// A `seen` in the future is replaced by `now`. The service bits are added to the known bits if
    /// no handshake has completed. Otherwise, they are ignored.
    pub fn record_advertised(&mut self, services: u64, seen: SystemTime, now: SystemTime) {
        self.last_seen = self.last_seen.max(seen.min(now));
        if self.version.is_none() {
            self.services |= services;
        }
    }

    /// Records an outbound connection attempt.
    pub fn record_attempt(&mut self, now: SystemTime) {
        self.last_tried = Some(now);
    }

    /// Records a failed attempt.
    ///
    /// The caller must set the status if it considers the peer inaccessible.
    pub fn record_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Records a completed handshake: sets the status `Valid` and the data of the `version`, and
    /// resets the failures.
    ///
    /// # Errors
    ///
    /// [`InvalidStatusChange`] if the peer is banned. The peer is unchanged.
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

    /// Returns whether the peer is not worth storing or advertising, by the rules of the node
    /// (Bitcoin SV node 1.2.2, `src/addrman.cpp`, `IsTerrible`).
    ///
    /// Always returns `false` for a manual peer, and for a peer that was tried within the last
    /// minute. Otherwise, returns `true` in each of these cases:
    ///
    /// - The peer was last seen more than 7 days ago, or more than 10 minutes in the future.
    /// - 3 attempts failed, and no handshake ever completed.
    /// - 10 consecutive attempts failed, and the last handshake was more than 2 days ago.
    pub fn is_terrible(&self, now: SystemTime) -> bool {
        let past = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        if self.manual || self.last_tried.is_some_and(|tried| past(tried) <= MINUTE) {
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
