//! Which peers a tool reaches, and for how long: the arguments that tools have in common which look for peers.

use std::time::{Duration, Instant};

use bsv_p2p::{ConnectionConfig, Network};
use clap::Args;

use crate::lasting::seconds;
use crate::seeds::Seeds;
use crate::shared::{WrongUsage, network};
use crate::user_agent::OwnUserAgent;

/// Longer times might overflow the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

// No documentation comment: it would stand in the help of each tool, in the place of the tool's own.
#[derive(Args)]
pub(crate) struct Reach {
    /// A peer: HOST:PORT, or HOST for the network's own port; may be given several times. With neither peers nor seeds it is the
    /// network's own DNS seeds that are asked
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer: Vec<String>,
    #[command(flatten)]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) agent: OwnUserAgent,
    /// The peers' network: mainnet, testnet, stn, regtest, teratestnet, tstn, or a JSON file that defines one
    #[arg(long, default_value = "mainnet", value_name = "NAME|FILE", value_parser = network)]
    pub(crate) network: Network,
    /// Connect to a --peer even if its port is the default port of another network
    #[arg(long)]
    pub(crate) force_port: bool,
    /// How long it may take in all, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print JSON objects, each in a line of its own
    #[arg(long)]
    pub(crate) json: bool,
}

impl Reach {
    /// The seeds to be asked: none where peers are named and no seeds are.
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

    /// The port of the nodes behind the seeds.
    pub(crate) fn seed_port(&self) -> u16 {
        self.seeds
            .default_port
            .map_or(self.network.port(), |port| port.get())
    }

    /// When the time is over, if it begins now.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.timeout.min(LONGEST)
    }
}
