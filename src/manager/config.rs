//! What a manager is made with.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use log::LevelFilter;

use super::DiscoveryConfig;
use crate::connection::{ConnectionConfig, RestartConfig};
use crate::network::Network;
use crate::peers::{BanConfig, InMemoryPeerStore, Subnet, canonical};
use crate::session::ConfigError;

/// How a [`Manager`](super::Manager) behaves: how many peers it wants, whom it takes, what it remembers.
///
/// [`Manager::update_config`](super::Manager::update_config) takes another one while the manager runs; what each field does then is
/// written at the field.
///
/// ```
/// use bsv_p2p::{ManagerConfig, Network};
///
/// let mut config = ManagerConfig::new(Network::Testnet);
/// config.target_connections = 4;
/// config.listener.enabled = true;
/// assert!(config.validate().is_ok());
/// config.max_connections = 3;
/// assert_eq!(
///     config.validate().unwrap_err().to_string(),
///     "target_connections is 4: at most max_connections is allowed",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ManagerConfig {
    /// The network, and how each connection behaves. An update reaches live connections within a second, as
    /// [`PeerConnectionHandle::update_config`](crate::connection::PeerConnectionHandle::update_config) says; network and magic stay.
    pub connection: ConnectionConfig,
    /// How many connections there shall be, in both directions together; 8 by default. With 0 nobody is dialled that the program
    /// does not name. An update dials more, or dials no more; it closes nothing.
    pub target_connections: usize,
    /// How many connections there may be at most, in both directions together; 20 by default, at least 1. An update that lowers it closes nobody:
    /// there are no further ones until enough have ended.
    ///
    /// What counts is peers: the second stream of one (`connection.session.multistreams`) takes no place. It costs what a connection
    /// costs all the same, so that there may be two threads and two descriptors for each peer.
    pub max_connections: usize,
    /// How many peers we want to have dialled ourselves, however many have dialled us; 4 by default. So many places, but no more than
    /// the target and half of the maximum, are kept for them, so that strangers cannot surround us. An update holds for further connections.
    pub min_outbound: usize,
    /// Whether loopback and private addresses are peers like any other, without limits for each address and group, and never banned
    /// automatically: for networks of one's own. By default (`None`) as the [network](crate::NetworkParams::allow_private)
    /// says: on regtest alone of the built-in ones. Where it is off they may still connect and be named,
    /// but are never dialled because others tell of them. An update holds for further decisions.
    pub allow_private: Option<bool>,
    /// When a peer is dialled again whose connection has failed or was lost. An update holds from each connection's next end on.
    pub restarts: RestartConfig,
    /// How long a peer is left alone that could not be reached or is not one for us; 1 hour by default. An update holds for all that wait.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub cooldown: Duration,
    /// How peers become known that the program does not name.
    pub discovery: DiscoveryConfig,
    /// Whether and how peers are let in.
    pub listener: ListenerConfig,
    /// How bans are made. An update holds for further bans.
    pub bans: BanConfig,
    /// Who is never banned. An update holds at once: bans that cover such an address mean nothing for it.
    pub whitelist: Vec<Subnet>,
    /// How many peers are remembered at most; 10,000 by default, at least 1, at most [`InMemoryPeerStore::MAX_PEERS`]. An update to
    /// fewer forgets those that are worth the least.
    pub max_known_peers: usize,
    /// How many bytes of payloads all connections together may hold; 512 MiB by default, at least
    /// `connection.session.limits.buffered`. An update holds at once.
    pub max_payload_memory: u64,
    /// How often the store is saved, beside after bans and at the end; every 5 minutes by default. An update holds from the next time on.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub save_interval: Duration,
    /// How long [`Manager::shutdown`](super::Manager::shutdown) may take; 10 s by default. An update holds at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub shutdown_timeout: Duration,
    /// The time without a new block after which
    /// [`ControlEvent::TipStale`](crate::event::ControlEvent::TipStale) is emitted. Defaults to 60
    /// minutes; zero disables the event. The maximum is 100 years. An update takes effect at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub stale_tip_timeout: Duration,
    /// Down to which level this manager and its connections write log records; all by default. The global level belongs to the program
    /// and holds besides. An update holds for the next record.
    pub log_level: LevelFilter,
}

/// Whether and how peers are let in that dial us.
///
/// A peer that is connected dials once more for its second stream, and only the first message shows what that connection is. So the limits
/// hold for it until then if it keeps to them, and where it does not, it is let in besides as long as a peer at its address may have a second
/// stream: no more connections for an address than such peers, each for no longer than a handshake. One that turns out to be a further peer
/// instead is told that there is no room. For bans there is no such exception.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ListenerConfig {
    /// Whether there is a listener; no by default. An update starts or stops it; connections stay.
    pub enabled: bool,
    /// Where it listens; `0.0.0.0` and the network's port by default (`None`), and a port of 0 for one that the system chooses. `[::]`
    /// listens for IPv4 as well. The scope of an IPv6 address is kept. An update moves it; connections stay.
    pub address: Option<SocketAddr>,
    /// Where others can dial us, to be told to peers; nothing by default. A router may lead from there to the listener. It is
    /// told to each peer after the handshake, and to all every 8 hours. An update tells all at once.
    pub announce: Option<SocketAddr>,
    /// How long until a failed bind is tried again; 10 s by default. An update tries at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub bind_retry: Duration,
    /// How many handshakes of such peers may go on at once; 64 by default, at least 1. Never more than there are free places. When there is
    /// no room for a newcomer the oldest gives way to it that stands still: after 500 ms without a `version`, after 2 s with one, and the
    /// sooner the more there are, down to 25 ms and 500 ms. This and the following are updated for those who come next.
    pub max_handshakes: usize,
    /// How many of them from one address, or one subnet of IPv6 as `bans.automatic_ipv6_prefix` says; 4 by default, at least 1.
    pub max_handshakes_per_address: usize,
    /// How long such a handshake may take; 10 s by default. `connection.session.handshake_timeout` holds as well.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub handshake_timeout: Duration,
    /// How many connections one address, or one such subnet, may have with us that it has opened; 8 by default, at least 1. Second streams
    /// of peers are not counted.
    pub max_per_address: usize,
    /// How many peers are turned away politely at once, with a handshake and a reason, when there is no room; 16 by default. The sockets
    /// of further ones are closed.
    pub max_capacity_rejects: usize,
    /// Whether the newest connection of the most crowded group of addresses gives way to a newcomer when there is no room; no by default.
    pub evict: bool,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            address: None,
            announce: None,
            bind_retry: Duration::from_secs(10),
            max_handshakes: 64,
            max_handshakes_per_address: 4,
            handshake_timeout: Duration::from_secs(10),
            max_per_address: 8,
            max_capacity_rejects: 16,
            evict: false,
        }
    }
}

/// Longer ones might overflow the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl ManagerConfig {
    /// The defaults for `network`.
    pub fn new(network: Network) -> Self {
        Self {
            connection: ConnectionConfig::new(network),
            target_connections: 8,
            max_connections: 20,
            min_outbound: 4,
            allow_private: None,
            restarts: RestartConfig::default(),
            cooldown: Duration::from_secs(3600),
            discovery: DiscoveryConfig::default(),
            listener: ListenerConfig::default(),
            bans: BanConfig::default(),
            whitelist: Vec::new(),
            max_known_peers: InMemoryPeerStore::DEFAULT_MAX_PEERS,
            max_payload_memory: 512 * 1024 * 1024,
            save_interval: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(10),
            stale_tip_timeout: Duration::from_secs(3600),
            log_level: LevelFilter::Trace,
        }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.connection.network
    }

    /// Whether loopback and private addresses are peers like any other.
    pub fn allows_private(&self) -> bool {
        self.allow_private
            .unwrap_or(self.network().params().allow_private)
    }

    /// Where the listener listens, if there is one.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        let usual = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.network().port()));
        let address = self.listener.address.unwrap_or(usual);
        self.listener.enabled.then_some(address)
    }

    /// Whether peers that we have dialled are asked for addresses, but in fixed-peer mode.
    pub(super) fn asks_peers(&self) -> bool {
        self.discovery.request_addresses && self.target_connections > 0
    }

    /// How many places are kept for peers that we dial: the least of `min_outbound`, the target, and half of the maximum.
    pub fn reserved_outbound(&self) -> usize {
        self.min_outbound
            .min(self.target_connections)
            .min(self.max_connections / 2)
    }

    /// Checks that the values can work together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field that is wrong, and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        self.connection.validate()?;
        self.restarts.validate()?;
        self.discovery.validate()?;
        let one = "at least 1 is needed";
        check(
            self.max_connections > 0,
            "max_connections",
            &self.max_connections,
            one,
        )?;
        check(
            self.target_connections <= self.max_connections,
            "target_connections",
            &self.target_connections,
            "at most max_connections is allowed",
        )?;
        check(
            (1..=InMemoryPeerStore::MAX_PEERS).contains(&self.max_known_peers),
            "max_known_peers",
            &self.max_known_peers,
            "at least 1 and at most InMemoryPeerStore::MAX_PEERS is needed",
        )?;
        check(
            self.max_payload_memory >= self.connection.session.limits.buffered,
            "max_payload_memory",
            &self.max_payload_memory,
            "at least connection.session.limits.buffered is needed",
        )?;
        check(
            self.bans.automatic_ipv6_prefix <= 128,
            "bans.automatic_ipv6_prefix",
            &self.bans.automatic_ipv6_prefix,
            "at most 128 is allowed",
        )?;
        for (field, value) in [
            ("cooldown", self.cooldown),
            ("bans.automatic_duration", self.bans.automatic_duration),
            ("save_interval", self.save_interval),
            ("shutdown_timeout", self.shutdown_timeout),
            ("discovery.interval", self.discovery.interval),
            ("discovery.timeout", self.discovery.timeout),
            ("listener.bind_retry", self.listener.bind_retry),
            (
                "listener.handshake_timeout",
                self.listener.handshake_timeout,
            ),
        ] {
            check(
                !value.is_zero() && value <= LONGEST_WAIT,
                field,
                &value,
                "a duration above zero and of at most 100 years is needed",
            )?;
        }
        check(
            self.stale_tip_timeout <= LONGEST_WAIT,
            "stale_tip_timeout",
            &self.stale_tip_timeout,
            "at most 100 years are allowed",
        )?;
        for (field, value) in [
            ("listener.max_handshakes", self.listener.max_handshakes),
            (
                "listener.max_handshakes_per_address",
                self.listener.max_handshakes_per_address,
            ),
            ("listener.max_per_address", self.listener.max_per_address),
        ] {
            check(value > 0, field, &value, one)?;
        }
        if let Some(address) = self.listener.announce {
            check(
                address.port() != 0 && !address.ip().is_unspecified(),
                "listener.announce",
                &address,
                "an address and a port that peers can dial are needed",
            )?;
            check(
                canonical(address).is_ok(),
                "listener.announce",
                &address,
                "an address without an IPv6 scope is needed",
            )?;
        }
        Ok(())
    }
}

impl Default for ManagerConfig {
    /// The defaults for mainnet.
    fn default() -> Self {
        Self::new(Network::Mainnet)
    }
}

#[cfg(test)]
mod tests;
