//! The configuration of peer discovery.

use std::net::SocketAddr;
use std::time::Duration;

use crate::network::Network;
use crate::peers::canonical;
use crate::session::ConfigError;
use crate::{host_name, system_resolver};

/// The configuration of peer discovery: DNS seeds, known addresses and `getaddr`.
///
/// The manager also dials the peers of its [store](crate::peers::PeerStore) and manual peers
/// ([`Manager::connect`](super::Manager::connect)). Discovery is disabled in fixed-peer mode
/// ([`Manager::start_fixed`](super::Manager::start_fixed)) and while `target_connections` is 0.
///
/// Struct expressions that end with `..DiscoveryConfig::default()` keep compiling when a field is
/// added. So does code that changes the fields of
/// [`ManagerConfig::discovery`](super::ManagerConfig::discovery), as below.
///
/// ```
/// use bsv_p2p::{ManagerConfig, Network};
///
/// let mut config = ManagerConfig::new(Network::Mainnet);
/// config.discovery.seeds = Some(vec!["seed.example.com".into()]);
/// config.discovery.addresses = vec!["203.0.113.7:8333".parse().unwrap()];
/// assert!(config.validate().is_ok());
/// config.discovery.addresses = vec!["203.0.113.7:0".parse().unwrap()];
/// assert!(config.validate().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct DiscoveryConfig {
    /// The DNS seeds: names that resolve to addresses of nodes. Defaults to `None`: those of the
    /// [network](Network::dns_seeds). Regtest has none. At most 64; an empty list disables lookups.
    ///
    /// Each must be an IP address or a host name of at most 253 letters, digits, `-`, `_` and dots.
    ///
    /// If an update changes the seeds, they are queried at once.
    pub seeds: Option<Vec<String>>,
    /// Known addresses of nodes, treated like addresses that a seed returned. Defaults to an empty
    /// list. Each must have a port above 0 and no IPv6 scope.
    ///
    /// An update adds new addresses at once.
    pub addresses: Vec<SocketAddr>,
    /// The name servers that are queried for seeds, in this order. Defaults to an empty list: the
    /// name servers of the system. Each must have a port above 0.
    ///
    /// Requires the feature `dns`: without it, a configuration with name servers is invalid.
    /// Ignored if the caller provides a resolver
    /// ([`Manager::with_resolver`](super::Manager::with_resolver)).
    ///
    /// An update applies from the next lookup.
    pub name_servers: Vec<SocketAddr>,
    /// The port of nodes whose addresses a seed returns. Defaults to `None`: the default port of
    /// the network. Must be above 0.
    ///
    /// An update applies from the next lookup.
    pub default_port: Option<u16>,
    /// The interval between lookups of the seeds. Defaults to 1 hour. Must be above zero and at
    /// most 100 years. The first lookup is at the start of the manager.
    ///
    /// If all seeds fail, the lookup is repeated after about 30 s. This delay doubles with each
    /// failure, up to the interval. If the seeds work, but there is neither a connection nor a
    /// candidate, the next lookup starts 60 s after the last one.
    ///
    /// An update applies from the next lookup.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub interval: Duration,
    /// The maximum duration of the lookup of one seed. Defaults to 10 s. Must be above zero and at
    /// most 100 years.
    ///
    /// An update applies from the next lookup.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub timeout: Duration,
    /// Whether to request addresses (`getaddr`) from outbound peers, once per connection. Defaults
    /// to `true`.
    ///
    /// If `true`, [`Manager::addresses`](super::Manager::addresses) fails for these peers, because
    /// a node answers `getaddr` once per connection.
    ///
    /// An update applies to further connections.
    pub request_addresses: bool,
}

/// Maximum number of seeds.
const MAX_SEEDS: usize = 64;

impl DiscoveryConfig {
    /// Returns the configured seeds, or those of the network.
    pub(super) fn seeds(&self, network: &Network) -> Vec<String> {
        match &self.seeds {
            Some(seeds) => seeds.clone(),
            None => network.dns_seeds().to_vec(),
        }
    }

    /// Checks all values except durations.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        let seeds = self.seeds.as_deref().unwrap_or_default();
        check(
            seeds.len() <= MAX_SEEDS,
            "discovery.seeds",
            &seeds.len(),
            "at most 64",
        )?;
        for seed in seeds {
            check(
                is_seed(seed),
                "discovery.seeds",
                seed,
                "an IP address or a host name of 1 to 253 letters, digits, '-', '_' and dots",
            )?;
        }
        let lists = [
            ("discovery.addresses", &self.addresses),
            ("discovery.name_servers", &self.name_servers),
        ];
        for (field, addresses) in lists {
            for address in addresses {
                check(address.port() != 0, field, address, "a port above 0")?;
            }
        }
        for address in &self.addresses {
            check(
                canonical(*address).is_ok(),
                "discovery.addresses",
                address,
                "an address without an IPv6 scope",
            )?;
        }
        check(
            self.name_servers.is_empty() || cfg!(feature = "dns"),
            "discovery.name_servers",
            &self.name_servers.len(),
            "0 without the feature dns",
        )?;
        check(
            self.default_port != Some(0),
            "discovery.default_port",
            &0,
            "a port above 0",
        )
    }
}

/// Returns whether a seed is an IP address or a valid host name.
fn is_seed(seed: &str) -> bool {
    let host = seed.strip_suffix('.').unwrap_or(seed);
    system_resolver::numeric(seed).is_some() || host_name::check(host).is_ok()
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            seeds: None,
            addresses: Vec::new(),
            name_servers: Vec::new(),
            default_port: None,
            interval: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            request_addresses: true,
        }
    }
}
