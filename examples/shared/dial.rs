//! The arguments of the tools that dial peers.

use bsv_p2p::{ConnectionConfig, Network};
use clap::Args;

use crate::shared::Common;
use crate::user_agent::OwnUserAgent;

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
pub(crate) struct Dial {
    #[command(flatten)]
    agent: OwnUserAgent,
    /// Connect to a named peer even if its port is the default port of another network. Nodes ban
    /// hosts of other networks for 24 hours
    #[arg(long)]
    force_port: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Dial {
    /// Returns the configuration of connections to peers that the user named.
    pub(crate) fn connection_config(&self, network: Network) -> ConnectionConfig {
        let mut config = ConnectionConfig::new(network);
        config.session.user_agent = self.agent.user_agent.clone();
        config.allow_any_port = self.force_port;
        config
    }
}
