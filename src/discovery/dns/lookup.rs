//! The lookup of a name: search list, order of servers, and repetitions.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;

use super::configuration::Configuration;
use super::query_limit::QueryLimit;
use super::server;
use crate::discovery::{Deadline, ResolveError, ServerError, ServerFailure};

/// The maximum timeout of one query. It is lower if the share of the remaining time is less.
const MAX_QUERY_TIME: Duration = Duration::from_secs(2);
/// The number of queries to a server that does not reply. The second one follows after all other
/// servers were queried, as in the resolver of the system.
const ROUNDS: usize = 2;

/// Looks up `host`, with the domains of the search list if they apply, until addresses are found.
pub(super) fn look_up(
    configuration: &Configuration,
    host: &str,
    is_absolute: bool,
    until: &Deadline,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut failed = None;
    for candidate in configuration.candidates(host, is_absolute) {
        let Ok(name) = Name::from_ascii(&candidate) else {
            // The name is too long with this domain of the search list.
            continue;
        };
        match query_servers(&configuration.servers, &name, host, until) {
            Ok(addresses) if addresses.is_empty() => {}
            Ok(addresses) => return Ok(addresses),
            // A server that replied, even with an error, may resolve the next name.
            Err(ResolveError::NoAnswer { name, servers }) if has_responsive_server(&servers) => {
                failed.get_or_insert(ResolveError::NoAnswer { name, servers });
            }
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| ResolveError::NotFound { name: host.into() }))
}

fn has_responsive_server(servers: &[ServerFailure]) -> bool {
    let mut errors = servers.iter().map(|server| &server.error);
    errors.any(|error| matches!(error, ServerError::Refused { .. }))
}

/// Queries the servers one after the other until one of them replies. Returns an empty list if the
/// name does not exist or has no address.
fn query_servers(
    servers: &[SocketAddr],
    name: &Name,
    host: &str,
    until: &Deadline,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut failures: Vec<ServerFailure> = Vec::new();
    let mut round = servers.to_vec();
    for _ in 0..ROUNDS {
        let mut unresponsive = Vec::new();
        for (index, &address) in round.iter().enumerate() {
            let Some(left) = until.remaining() else {
                return Err(until.expired(host, failures));
            };
            let share = left / u32::try_from(round.len() - index).unwrap_or(u32::MAX);
            let mut limit = QueryLimit::new(until, share.min(MAX_QUERY_TIME));
            let error = match server::query(address, name, &mut limit) {
                Ok(addresses) => return Ok(addresses),
                Err(error) => error,
            };
            if matches!(error, ServerError::NoReply { .. }) {
                unresponsive.push(address);
            }
            match failures.iter_mut().find(|known| known.address == address) {
                Some(known) => known.error = error,
                None => failures.push(ServerFailure { address, error }),
            }
        }
        round = unresponsive;
    }
    if until.remaining().is_none() {
        return Err(until.expired(host, failures));
    }
    Err(ResolveError::NoAnswer {
        name: host.into(),
        servers: failures,
    })
}

#[cfg(test)]
mod tests;
