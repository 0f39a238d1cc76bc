//! The arguments of all tools.

use std::fs::File;
use std::io::Read;

use bsv_p2p::Network;
use clap::Args;

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
pub(crate) struct Common {
    /// The network: mainnet, testnet, stn, regtest, teratestnet, tstn, or a JSON file that defines
    /// one [default: mainnet]
    #[arg(long, value_name = "NAME|FILE", value_parser = network)]
    network: Option<Network>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Common {
    /// Returns the network given on the command line, or `default` if none is given.
    pub(crate) fn network_or(&self, default: Network) -> Network {
        self.network.clone().unwrap_or(default)
    }
}

/// Parses `--network`: the name of a network, or the path of a JSON file that defines one.
///
/// # Errors
///
/// - If the text is not the name of a network and the file cannot be read.
/// - If the file defines no valid network.
fn network(text: &str) -> Result<Network, String> {
    let unknown = match text.parse() {
        Ok(network) => return Ok(network),
        Err(unknown) => unknown,
    };
    let file = match File::open(text) {
        Ok(file) => file,
        Err(error) => return Err(format!("{unknown}, or a file ({error})")),
    };
    let mut json = String::new();
    let read = file.take(MAX_NETWORK_FILE).read_to_string(&mut json);
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

/// Maximum length of a file that defines a network, in bytes. A table with the maximum number of
/// checkpoints is smaller.
const MAX_NETWORK_FILE: u64 = 4 * 1024 * 1024;
