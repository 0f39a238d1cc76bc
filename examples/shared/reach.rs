//! The common arguments of the tools that find peers by name and by seeds.

use std::time::{Duration, Instant};

use bsv_p2p::{ConnectionConfig, Network};
use clap::Args;

use crate::lasting::seconds;
use crate::seeds::Seeds;
use crate::shared::{WrongUsage, network};
use crate::user_agent::OwnUserAgent;

/// Maximum of `--timeout`. Longer times could overflow the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
pub(crate) struct Reach {
    /// A peer: HOST:PORT, or HOST for the default port of the network. Can be repeated. If neither
    /// --peer nor --seed is given, the DNS seeds of the network are queried
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer: Vec<String>,
    #[command(flatten)]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) agent: OwnUserAgent,
    /// The network of the peers: mainnet, testnet, stn, regtest, teratestnet, tstn, or a JSON file
    /// that defines one
    #[arg(long, default_value = "mainnet", value_name = "NAME|FILE", value_parser = network)]
    pub(crate) network: Network,
    /// Connect to a --peer even if its port is the default port of another network
    #[arg(long)]
    pub(crate) force_port: bool,
    /// Maximum duration of the whole run, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Reach {
    /// Returns the seeds to query: none if `--peer` is given without `--seed`.
    ///
    /// # Errors
    ///
    /// - [`WrongUsage`] if seeds are required and the network has none.
    pub(crate) fn seed_names(&self) -> Result<Vec<String>, WrongUsage> {
        if !self.peer.is_empty() && self.seeds.seed.is_empty() {
            return Ok(Vec::new());
        }
        self.seeds.names(&self.network)
    }

    /// Returns the configuration of connections to peers that the user named.
    pub(crate) fn connection_config(&self) -> ConnectionConfig {
        let mut config = ConnectionConfig::new(self.network.clone());
        config.session.user_agent = self.agent.user_agent.clone();
        config.allow_any_port = self.force_port;
        config
    }

    /// Returns the port of the nodes whose addresses the seeds return.
    pub(crate) fn seed_port(&self) -> u16 {
        self.seeds
            .default_port
            .map_or(self.network.port(), |port| port.get())
    }

    /// Returns the time at which `--timeout` expires if it starts now.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.timeout.min(LONGEST)
    }
}
