//! The arguments of peer discovery by DNS seeds.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use bsv_p2p::Network;
use clap::Args;

use crate::shared::WrongUsage;

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
pub(crate) struct Seeds {
    /// A DNS seed: a name that resolves to the addresses of nodes. Can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) seed: Vec<String>,
    /// A name server to query for the seeds, with port 53 by default. Can be repeated: if a server
    /// fails, the next one is queried [default: the name servers of the system]
    #[arg(long, value_name = "IP[:PORT]", value_parser = name_server)]
    pub(crate) dns: Vec<SocketAddr>,
    /// The port of the nodes whose addresses the seeds return [default: the port of the network]
    #[arg(long, value_name = "PORT")]
    pub(crate) default_port: Option<NonZeroU16>,
}

impl Seeds {
    /// Returns the given seeds, or those of the network if none is given.
    ///
    /// # Errors
    ///
    /// - [`WrongUsage`] if the network has no seeds either.
    pub(crate) fn names(&self, network: &Network) -> Result<Vec<String>, WrongUsage> {
        if !self.seed.is_empty() {
            return Ok(self.seed.clone());
        }
        let names = network.dns_seeds();
        if names.is_empty() {
            let text = format!("{network} has no DNS seeds: --peer or --seed is required");
            return Err(WrongUsage(text));
        }
        Ok(names.to_vec())
    }
}

/// Parses `--dns`. The port defaults to 53 and must not be 0.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 53;
    let ip = text.trim_start_matches('[').trim_end_matches(']');
    let address = match (text.parse(), ip.parse::<IpAddr>()) {
        (Ok(address), _) => address,
        (Err(_), Ok(ip)) => SocketAddr::new(ip, PORT),
        (Err(_), Err(_)) => return Err("expected an IP address, with or without a port".into()),
    };
    if address.port() == 0 {
        return Err("expected a port from 1 to 65535, got port 0".into());
    }
    Ok(address)
}
