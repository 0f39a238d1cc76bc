//! Resolves the names of peers and seeds.

use std::net::SocketAddr;
use std::time::Instant;

use bsv_p2p::connection::resolve;
use bsv_p2p::discovery::{Deadline, default_resolver};

use crate::lasting::RESOLVE_TIMEOUT;
use crate::reach::Reach;
use crate::shared::{Failure, with_sources};

/// The result of [`find`].
pub(crate) struct Found {
    /// The addresses of all names without duplicates, peers before seeds.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The names that could not be resolved, and why.
    pub(crate) failed: Vec<(String, String)>,
}

/// Resolves the names of all peers and seeds, one after the other.
///
/// Blocks for at most [`RESOLVE_TIMEOUT`] for each name, and at most until `end`.
///
/// # Errors
///
/// - If no name has an address.
/// - If the port of a peer is the default port of another network.
/// - [`WrongUsage`](crate::shared::WrongUsage) if seeds are required and the network has none.
pub(crate) fn find(reach: &Reach, end: Instant) -> Result<Found, Failure> {
    let seeds = reach.seed_names()?;
    let (config, dns) = (
        reach.connection_config(),
        default_resolver(&reach.seeds.dns)?,
    );
    let network = reach.network();
    let mut found = Found {
        addresses: Vec::new(),
        failed: Vec::new(),
    };
    let timeout = || {
        let left = end.saturating_duration_since(Instant::now());
        left.min(RESOLVE_TIMEOUT)
    };
    for name in &reach.peer {
        match resolve(name, network.port(), timeout()) {
            Ok(addresses) => {
                for address in &addresses {
                    config.check_port(*address)?;
                }
                found.add(addresses);
            }
            Err(reason) => found.failed.push((name.clone(), with_sources(&reason))),
        }
    }
    for name in seeds {
        match dns.resolve(&name, &Deadline::after(timeout())) {
            Ok(addresses) => {
                let port = reach.seed_port();
                found.add(addresses.into_iter().map(|ip| (ip, port).into()));
            }
            Err(error) => found.failed.push((name, with_sources(&error))),
        }
    }
    match (found.addresses.is_empty(), found.failed.last()) {
        (true, Some((name, reason))) => Err(format!("{name}: {reason}").into()),
        _ => Ok(found),
    }
}

impl Found {
    fn add(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }
}
