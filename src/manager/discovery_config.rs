//! How a manager comes to know of peers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::network::Network;
use crate::peers::canonical;
use crate::session::ConfigError;
use crate::{host_name, system_names};

/// How a manager comes to know of peers, beside those that it remembers and those that the program names.
///
/// Nothing of this happens in fixed-peer mode, and nothing while `target_connections` is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct DiscoveryConfig {
    /// Names whose addresses are those of nodes; by default (`None`) those of the [network](Network::dns_seeds), of which regtest has none. At
    /// most 64. An update asks at once if they are others.
    pub seeds: Option<Vec<String>>,
    /// Addresses of nodes that are known beforehand, taken for candidates like those that seeds give; none by default. An update adds
    /// further ones at once.
    pub addresses: Vec<SocketAddr>,
    /// Whom to ask for the addresses of seeds, in this order; the system's name servers by default (none). Needs the feature `dns`. An update
    /// holds for the next time.
    pub name_servers: Vec<SocketAddr>,
    /// On which port the nodes listen whose addresses seeds give; the network's by default. An update holds for the next time.
    pub default_port: Option<u16>,
    /// How often the seeds are asked, beside at the start; every hour by default. While all of them fail they are asked sooner, after 30 s
    /// and then pauses that double; and a manager that is connected to nobody and knows of nobody whom it could dial asks again after 60 s. An update holds from the
    /// next time on.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub interval: Duration,
    /// How long to wait for the addresses of one seed; 10 s by default. An update holds for the next time.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub timeout: Duration,
    /// Whether peers that we have dialled are asked for addresses that they know (`getaddr`), once in each connection; yes by default. The
    /// program cannot ask them again then. An update holds for further connections.
    pub request_addresses: bool,
}

/// How many seeds there may be.
const MAX_SEEDS: usize = 64;

impl DiscoveryConfig {
    /// The names to ask for.
    pub(super) fn seeds(&self, network: &Network) -> Vec<String> {
        match &self.seeds {
            Some(seeds) => seeds.clone(),
            None => network.dns_seeds().to_vec(),
        }
    }

    /// Checks the values, but for durations.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        let seeds = self.seeds.as_deref().unwrap_or_default();
        check(
            seeds.len() <= MAX_SEEDS,
            "discovery.seeds",
            &seeds.len(),
            "at most 64 are allowed",
        )?;
        for seed in seeds {
            check(
                is_seed(seed),
                "discovery.seeds",
                seed,
                "an IP address or a host name of 1 to 253 letters, digits, '-', '_' and dots is needed",
            )?;
        }
        let lists = [
            ("discovery.addresses", &self.addresses),
            ("discovery.name_servers", &self.name_servers),
        ];
        for (field, addresses) in lists {
            for address in addresses {
                check(
                    address.port() != 0,
                    field,
                    address,
                    "a port above 0 is needed",
                )?;
            }
        }
        for address in &self.addresses {
            check(
                canonical(*address).is_ok(),
                "discovery.addresses",
                address,
                "an address without an IPv6 scope is needed",
            )?;
        }
        check(
            self.name_servers.is_empty() || cfg!(feature = "dns"),
            "discovery.name_servers",
            &self.name_servers.len(),
            "only with the feature dns can they be chosen",
        )?;
        check(
            self.default_port != Some(0),
            "discovery.default_port",
            &0,
            "a port above 0 is needed",
        )
    }
}

/// Returns whether a resolver can be asked for the seed.
fn is_seed(seed: &str) -> bool {
    let host = seed.strip_suffix('.').unwrap_or(seed);
    system_names::numeric(seed).is_some() || host_name::check(host).is_ok()
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
