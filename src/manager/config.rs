//! The configuration of a manager.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use log::LevelFilter;

use super::DiscoveryConfig;
use crate::connection::{ConnectionConfig, RestartConfig};
use crate::network::Network;
use crate::peers::{BanConfig, InMemoryPeerStore, Subnet, canonical};
use crate::session::ConfigError;

/// The configuration of a [`Manager`](super::Manager).
///
/// [`ManagerConfig::new`] returns the defaults for a network, and [`ManagerConfig::default`] those
/// for mainnet. There is no builder.
///
/// Struct expressions that end with `..ManagerConfig::new(network)` keep compiling when a field is
/// added. So does code that changes the fields of a configuration. Nested configurations
/// ([`ConnectionConfig`], [`ListenerConfig`], [`DiscoveryConfig`], [`RestartConfig`],
/// [`BanConfig`]) are built in the same way.
///
/// [`Manager::new`](super::Manager::new) and
/// [`Manager::update_config`](super::Manager::update_config) reject invalid values; each field
/// documents its valid range and the effect of an update while the manager runs.
///
/// ```
/// use bsv_p2p::{ManagerConfig, Network};
///
/// let mut config = ManagerConfig {
///     target_connections: 4,
///     ..ManagerConfig::new(Network::Testnet)
/// };
/// config.listener.enabled = true;
/// assert!(config.validate().is_ok());
/// config.max_connections = 3;
/// assert_eq!(
///     config.validate().unwrap_err().to_string(),
///     "target_connections: expected at most max_connections, got 4",
/// );
/// ```
///
/// With the feature `serde`, durations are numbers of seconds. Missing fields have their defaults,
/// and unknown fields are rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ManagerConfig {
    /// The network and the configuration of each connection. Defaults to
    /// [`ConnectionConfig::new`] for the network. Must pass [`ConnectionConfig::validate`].
    ///
    /// An update reaches live connections within a second; see
    /// [`PeerConnectionHandle::update_config`][update]. The network and the magic cannot change.
    ///
    /// [update]: crate::connection::PeerConnectionHandle::update_config
    pub connection: ConnectionConfig,
    /// The number of connections to maintain, in both directions together. Defaults to 8. Must be
    /// at most `max_connections`.
    ///
    /// With 0, only manual peers ([`Manager::connect`](super::Manager::connect)) are dialed, and
    /// discovery is disabled. Ignored in fixed-peer mode
    /// ([`Manager::start_fixed`](super::Manager::start_fixed)).
    ///
    /// An update takes effect at once. A lower value closes no connection.
    pub target_connections: usize,
    /// The maximum number of connections, in both directions together. Defaults to 20. Must be at
    /// least 1, and at least the number of fixed peers.
    ///
    /// Inbound connections that are still in their handshake count. The second stream of a peer
    /// (`connection.session.multistreams`) does not count. It uses a thread and a file descriptor
    /// of its own, so that each peer can use two of each.
    ///
    /// An update takes effect at once. A lower value closes no connection; new ones are opened when
    /// enough connections have ended.
    pub max_connections: usize,
    /// The number of outbound connections to maintain, regardless of the number of inbound ones.
    /// Defaults to 4. Every value is valid.
    ///
    /// Slots are reserved for these connections, which prevents eclipse by inbound peers. The
    /// number is limited to `target_connections` and half of `max_connections`; see
    /// [`reserved_outbound`](Self::reserved_outbound). In fixed-peer mode one slot is reserved for
    /// each fixed peer instead.
    ///
    /// An update applies to further connections.
    pub min_outbound: usize,
    /// Whether loopback and private addresses are treated like public ones. Defaults to `None`: as
    /// the parameters of the [network](crate::NetworkParams::allow_private) say. Of the built-in
    /// networks only regtest allows them.
    ///
    /// If `true`, these addresses are never banned automatically. The limits for each address
    /// (`listener.max_per_address`, `listener.max_handshakes_per_address`) and the limit of one
    /// outbound connection for each address group do not apply to them.
    ///
    /// If `false`, such a peer can still connect, or be dialed as a manual or fixed peer. Its
    /// address is ignored if a seed, `discovery.addresses` or another peer provides it.
    ///
    /// An update applies to further decisions.
    pub allow_private: Option<bool>,
    /// The delays before a peer is dialed again after its connection failed or was lost. Defaults
    /// to [`RestartConfig::default`]. Must pass [`RestartConfig::validate`].
    ///
    /// A fixed peer is dialed again without a limit: `max_delayed_restarts` does not apply to it.
    ///
    /// An update applies from the next end of each connection.
    pub restarts: RestartConfig,
    /// The time for which an unreachable or unsuitable peer is not dialed. Defaults to 1 hour. Must
    /// be above zero and at most 100 years.
    ///
    /// For an unreachable or unsuitable fixed peer, `restarts.max_backoff` applies instead. After
    /// [`Manager::disconnect`](super::Manager::disconnect), `cooldown` applies to all peers.
    ///
    /// An update also applies to inaccessible peers, but not to peers that were disconnected by
    /// `disconnect` before the update.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub cooldown: Duration,
    /// The discovery of peers. Defaults to [`DiscoveryConfig::default`].
    pub discovery: DiscoveryConfig,
    /// The listener for inbound connections. Defaults to [`ListenerConfig::default`], which does
    /// not listen.
    pub listener: ListenerConfig,
    /// The rules for bans. Defaults to [`BanConfig::default`].
    ///
    /// `automatic_duration` must be above zero and at most 100 years; `automatic_ipv6_prefix` must
    /// be at most 128.
    ///
    /// An update applies to further bans. A lower `max_bans` takes effect at once: expired bans and
    /// then the oldest automatic bans are removed. Manual bans stay.
    pub bans: BanConfig,
    /// The addresses and subnets that are never banned. Defaults to an empty list.
    ///
    /// The whitelist overrides every ban, manual ones included. A whitelisted inbound peer is also
    /// a source of headers, like a manual peer; see
    /// [`Manager::follow_chain`](super::Manager::follow_chain).
    ///
    /// An update takes effect at once. A ban stays in the list, and is ineffective for whitelisted
    /// addresses.
    pub whitelist: Vec<Subnet>,
    /// The maximum number of known peers. Defaults to 10,000
    /// ([`InMemoryPeerStore::DEFAULT_MAX_PEERS`]). Must be at least 1 and at most
    /// [`InMemoryPeerStore::MAX_PEERS`].
    ///
    /// An update takes effect at once. If it is lower, the least valuable peers are removed, in the
    /// order documented at [`InMemoryPeerStore`].
    pub max_known_peers: usize,
    /// The maximum size of the large payloads that all connections hold together, in bytes.
    /// Defaults to 512 MiB. Must be at least `connection.session.limits.buffered`.
    ///
    /// The first 1 MiB of each connection does not count. If the limit is reached, connections stop
    /// reading in the middle of their next large payload. If they wait for
    /// `connection.payload_memory_timeout`, the connection is closed whose incomplete payloads hold
    /// the most memory: see [`PayloadMemory`](crate::PayloadMemory).
    ///
    /// An update takes effect at once.
    pub max_payload_memory: u64,
    /// The interval between saves of the peer store. Defaults to 5 minutes. Must be above zero and
    /// at most 100 years.
    ///
    /// The store is also saved when bans change and during the shutdown. Ignored without a store.
    ///
    /// A shorter interval takes effect at once, a longer one after the next save.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub save_interval: Duration,
    /// The maximum duration of [`Manager::shutdown`](super::Manager::shutdown). Defaults to 10 s.
    /// Must be above zero and at most 100 years.
    ///
    /// An update takes effect at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub shutdown_timeout: Duration,
    /// The time without a new block after which
    /// [`ControlEvent::TipStale`](crate::event::ControlEvent::TipStale) is emitted. Defaults to 60
    /// minutes; zero disables the event. The maximum is 100 years.
    ///
    /// An update takes effect at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub stale_tip_timeout: Duration,
    /// The maximum log level of the manager and its connections. Defaults to
    /// [`LevelFilter::Trace`].
    ///
    /// The global level of the `log` crate applies as well.
    ///
    /// An update takes effect with the next record.
    pub log_level: LevelFilter,
}

/// The configuration of the listener for inbound connections.
///
/// Struct expressions that end with `..ListenerConfig::default()` keep compiling when a field is
/// added. So does code that changes the fields of [`ManagerConfig::listener`], as below.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::event::ControlEvent;
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{Manager, ManagerConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = ManagerConfig::new(Network::Regtest);
/// config.listener.enabled = true;
/// config.listener.address = Some(([127, 0, 0, 1], 0).into());
/// let manager = Manager::new(config)?;
/// let events = manager.subscribe_control();
/// manager.start()?;
/// let address = match events.recv_timeout(Duration::from_secs(10))? {
///     ControlEvent::ListenerStarted { address } => address,
///     event => panic!("not listening: {event}"),
/// };
///
/// let node = LocalNode::start()?;
/// node.connect(address)?;
/// assert_eq!(manager.wait_for_peers(1, Duration::from_secs(10))?, 1);
/// manager.shutdown()?;
/// # Ok(())
/// # }
/// ```
///
/// # Second streams
///
/// A connected peer opens another TCP connection for its second stream. Only the first message
/// shows that a socket is a second stream. Until it is a stream or a connection, it counts toward
/// [`max_handshakes`](Self::max_handshakes) and
/// [`max_handshakes_per_address`](Self::max_handshakes_per_address). A second stream counts toward
/// no limit. Every other socket requests admission as a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ListenerConfig {
    /// Whether to accept inbound connections. Defaults to `false`.
    ///
    /// An update starts or stops the listener. Connections stay open.
    pub enabled: bool,
    /// The address to listen on. Defaults to `None`: `0.0.0.0` and the default port of the network.
    ///
    /// With port 0 the operating system chooses a port, which
    /// [`ControlEvent::ListenerStarted`](crate::event::ControlEvent::ListenerStarted) reports.
    /// `[::]` accepts IPv4 connections as well. The scope of an IPv6 address is used.
    ///
    /// An update moves the listener. Connections stay open.
    pub address: Option<SocketAddr>,
    /// The external address to advertise to peers. Defaults to `None`: nothing is advertised.
    ///
    /// The IP address must be specified and have no IPv6 scope. The port must be above 0.
    ///
    /// A router may forward this address to the listener. It is sent to each peer after the
    /// handshake, and to all peers every 8 hours, also if the listener is disabled. The manager
    /// never dials it.
    ///
    /// If an update changes it, the new address is sent to all peers at once.
    pub external_address: Option<SocketAddr>,
    /// The delay before a failed bind is repeated. Defaults to 10 s. Must be above zero and at most
    /// 100 years.
    ///
    /// If an update changes it after a failure, the bind is repeated at once.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub bind_retry: Duration,
    /// The maximum number of inbound connections in their handshake, and of sockets without
    /// a decision. Defaults to 64. Must be at least 1. Such a socket has a thread, but no slot.
    ///
    /// If it is reached, a new socket waits until another one is stale, and replaces it. If
    /// handshakes occupy the last slots, a connection waits until one of them is stale. A
    /// handshake is stale after 500 ms without a `version`, or after 2 s with one. With more than 8
    /// handshakes of a kind these times decrease, down to 25 ms and 500 ms.
    ///
    /// An update applies to further connections.
    pub max_handshakes: usize,
    /// The maximum number of inbound handshakes of one address. Defaults to 4. Must be at least 1.
    ///
    /// It also limits the sockets of the address without a decision. Each connected peer of
    /// the address raises this second limit by one, for its second stream.
    ///
    /// IPv6 addresses of one subnet of `bans.automatic_ipv6_prefix` bits count as one address. A
    /// further connection of the address is closed. Does not apply to private addresses if
    /// [`allow_private`](ManagerConfig::allow_private) is set.
    ///
    /// An update applies to further connections.
    pub max_handshakes_per_address: usize,
    /// The maximum duration of an inbound handshake, from the accept on. Defaults to 10 s. Must be
    /// above zero and at most 100 years.
    ///
    /// The shorter of this and `connection.session.handshake_timeout` applies.
    ///
    /// An update takes effect within a second, also for handshakes in progress.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub handshake_timeout: Duration,
    /// The maximum number of inbound connections of one address. Defaults to 8. Must be at least 1.
    ///
    /// Handshakes count, second streams do not. IPv6 addresses of one subnet of
    /// `bans.automatic_ipv6_prefix` bits count as one address. A further connection of the address
    /// is closed. Does not apply to private addresses if
    /// [`allow_private`](ManagerConfig::allow_private) is set.
    ///
    /// An update applies to further connections.
    pub max_per_address: usize,
    /// The maximum number of peers that are rejected politely at the same time when no slot is
    /// free. Defaults to 16. Every value is valid.
    ///
    /// Such a peer receives a handshake and a `reject` with the reason. Further connections are
    /// closed at once.
    ///
    /// An update applies to further connections.
    pub max_capacity_rejects: usize,
    /// Whether a new connection can replace a connected inbound peer when no slot is free. Defaults
    /// to `false`.
    ///
    /// The newest connection of the address group with the most inbound connections is closed. This
    /// group must have at least two connections more than the group of the new connection.
    /// Otherwise the new connection is rejected. While handshakes are in progress, the rule of
    /// `max_handshakes` applies instead.
    ///
    /// An update applies to further connections.
    pub evict_inbound: bool,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            address: None,
            external_address: None,
            bind_retry: Duration::from_secs(10),
            max_handshakes: 64,
            max_handshakes_per_address: 4,
            handshake_timeout: Duration::from_secs(10),
            max_per_address: 8,
            max_capacity_rejects: 16,
            evict_inbound: false,
        }
    }
}

/// Maximum duration. Longer ones could overflow the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl ManagerConfig {
    /// Returns the default configuration for `network`.
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

    /// Replaces the network (`connection.network`), and keeps all other values.
    ///
    /// ```
    /// use bsv_p2p::{ManagerConfig, Network};
    ///
    /// let config = ManagerConfig::default().with_network(Network::Testnet);
    /// assert_eq!(config, ManagerConfig::new(Network::Testnet));
    /// ```
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.connection.network = network;
        self
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.connection.network
    }

    /// Returns whether loopback and private addresses are treated like public ones: the value of
    /// [`allow_private`](Self::allow_private), or else that of the network.
    pub fn allows_private(&self) -> bool {
        self.allow_private
            .unwrap_or(self.network().params().allow_private)
    }

    /// Returns the address to listen on, or `None` if the listener is disabled.
    ///
    /// The port is 0 if the operating system chooses it.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        let usual = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.network().port()));
        let address = self.listener.address.unwrap_or(usual);
        self.listener.enabled.then_some(address)
    }

    /// Returns whether to send `getaddr` to outbound peers outside of fixed-peer mode.
    pub(super) fn asks_peers(&self) -> bool {
        self.discovery.request_addresses && self.target_connections > 0
    }

    /// Returns the number of slots that are reserved for outbound connections: the minimum of
    /// `min_outbound`, `target_connections` and half of `max_connections`.
    ///
    /// In fixed-peer mode one slot is reserved for each fixed peer instead.
    pub fn reserved_outbound(&self) -> usize {
        self.min_outbound
            .min(self.target_connections)
            .min(self.max_connections / 2)
    }

    /// Checks that all values are in their valid ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first invalid field and its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        self.connection.validate()?;
        self.restarts.validate()?;
        self.discovery.validate()?;
        let one = "at least 1";
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
            "at most max_connections",
        )?;
        check(
            (1..=InMemoryPeerStore::MAX_PEERS).contains(&self.max_known_peers),
            "max_known_peers",
            &self.max_known_peers,
            "at least 1 and at most InMemoryPeerStore::MAX_PEERS",
        )?;
        check(
            self.max_payload_memory >= self.connection.session.limits.buffered,
            "max_payload_memory",
            &self.max_payload_memory,
            "at least connection.session.limits.buffered",
        )?;
        check(
            self.bans.automatic_ipv6_prefix <= 128,
            "bans.automatic_ipv6_prefix",
            &self.bans.automatic_ipv6_prefix,
            "at most 128",
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
                "a duration above zero and at most 100 years",
            )?;
        }
        check(
            self.stale_tip_timeout <= LONGEST_WAIT,
            "stale_tip_timeout",
            &self.stale_tip_timeout,
            "at most 100 years",
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
        if let Some(address) = self.listener.external_address {
            check(
                address.port() != 0 && !address.ip().is_unspecified(),
                "listener.external_address",
                &address,
                "an address and a port that peers can dial",
            )?;
            check(
                canonical(address).is_ok(),
                "listener.external_address",
                &address,
                "an address without an IPv6 scope",
            )?;
        }
        Ok(())
    }
}

impl Default for ManagerConfig {
    /// Returns the default configuration for mainnet.
    fn default() -> Self {
        Self::new(Network::Mainnet)
    }
}

#[cfg(test)]
mod tests;
