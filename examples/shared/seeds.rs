//! Where the tools look for peers that nobody has named.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use bsv_p2p::Network;
use clap::Args;

use crate::shared::WrongUsage;

// No documentation comment: it would stand in the help of each tool, in the place of the tool's own.
#[derive(Args)]
pub(crate) struct Seeds {
    /// A DNS seed: a name whose addresses are those of nodes; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) seed: Vec<String>,
    /// A name server to ask for the seeds' addresses, before the next; may be given several times; port 53 by default [default: the
    /// system's]
    #[arg(long, value_name = "IP[:PORT]", value_parser = name_server)]
    pub(crate) dns: Vec<SocketAddr>,
    /// The port of the nodes behind the seeds [default: the network's own]
    #[arg(long, value_name = "PORT")]
    pub(crate) default_port: Option<NonZeroU16>,
}

impl Seeds {
    /// The seeds that are named, or those of the network.
    pub(crate) fn names(&self, network: &Network) -> Result<Vec<String>, WrongUsage> {
        if !self.seed.is_empty() {
            return Ok(self.seed.clone());
        }
        let names = network.dns_seeds();
        if names.is_empty() {
            let text = format!("{network} has no DNS seeds: name a --peer or a --seed");
            return Err(WrongUsage(text));
        }
        Ok(names.to_vec())
    }
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 53;
    let ip = text.trim_start_matches('[').trim_end_matches(']');
    let address = match (text.parse(), ip.parse::<IpAddr>()) {
        (Ok(address), _) => address,
        (Err(_), Ok(ip)) => SocketAddr::new(ip, PORT),
        (Err(_), Err(_)) => return Err("an IP address is needed, with or without a port".into()),
    };
    if address.port() == 0 {
        return Err("nobody can be asked at port 0".into());
    }
    Ok(address)
}
