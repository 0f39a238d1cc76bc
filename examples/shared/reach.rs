//! The common arguments of the tools that find peers by name and by seeds.

use std::time::{Duration, Instant};

use bsv_p2p::{ConnectionConfig, Network};
use clap::Args;

use crate::dial::Dial;
use crate::lasting::seconds;
use crate::seeds::Seeds;
use crate::shared::WrongUsage;

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
    /// Maximum duration of the whole run, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    dial: Dial,
}

impl Reach {
    /// Returns whether to print JSON.
    pub(crate) fn json(&self) -> bool {
        self.dial.common.json
    }

    /// Returns the network of the peers.
    pub(crate) fn network(&self) -> Network {
        self.dial.common.network_or(Network::Mainnet)
    }

    /// Returns the seeds to query: none if `--peer` is given without `--seed`.
    ///
    /// # Errors
    ///
    /// - [`WrongUsage`] if seeds are required and the network has none.
    pub(crate) fn seed_names(&self) -> Result<Vec<String>, WrongUsage> {
        if !self.peer.is_empty() && self.seeds.seed.is_empty() {
            return Ok(Vec::new());
        }
        self.seeds.names(&self.network())
    }

    /// Returns the configuration of connections to peers that the user named.
    pub(crate) fn connection_config(&self) -> ConnectionConfig {
        self.dial.connection_config(self.network())
    }

    /// Returns the port of the nodes whose addresses the seeds return.
    pub(crate) fn seed_port(&self) -> u16 {
        let port = self.seeds.default_port;
        port.map_or(self.network().port(), |port| port.get())
    }

    /// Returns the time at which `--timeout` expires if it starts now.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.timeout.min(LONGEST)
    }
}
