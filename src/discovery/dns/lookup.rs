//! The way of a name through all that it may stand for, and through all name servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;

use super::configuration::Configuration;
use super::limit::Limit;
use super::server;
use crate::discovery::{Deadline, ResolveError, ServerError, ServerFailure};

/// One server may take so long at one time, and no more than its share of what is left.
const LONGEST_TRY: Duration = Duration::from_secs(2);
/// So often a server is asked that does not answer: the first time, and again when all others have been asked as well. The system's
/// resolver does as much.
const ROUNDS: usize = 2;

/// Looks `host` up under the names that it may stand for, until one of them has addresses.
pub(super) fn look_up(
    configuration: &Configuration,
    host: &str,
    is_absolute: bool,
    until: &Deadline,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut failed = None;
    for candidate in configuration.candidates(host, is_absolute) {
        let Ok(name) = Name::from_ascii(&candidate) else {
            // What the search list adds makes it too long.
            continue;
        };
        match ask_servers(&configuration.servers, &name, host, until) {
            Ok(addresses) if addresses.is_empty() => {}
            Ok(addresses) => return Ok(addresses),
            // Servers that answer at all may know the next name.
            Err(ResolveError::NoAnswer { name, servers }) if is_one_alive(&servers) => {
                failed.get_or_insert(ResolveError::NoAnswer { name, servers });
            }
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| ResolveError::NotFound { name: host.into() }))
}

fn is_one_alive(servers: &[ServerFailure]) -> bool {
    let mut faults = servers.iter().map(|server| &server.fault);
    faults.any(|fault| matches!(fault, ServerError::Refused { .. }))
}

/// Asks one server after the other until one of them knows: an empty list says that there is no such name, or no address of it.
fn ask_servers(
    servers: &[SocketAddr],
    name: &Name,
    host: &str,
    until: &Deadline,
) -> Result<Vec<IpAddr>, ResolveError> {
    let mut failures: Vec<ServerFailure> = Vec::new();
    let mut round = servers.to_vec();
    for _ in 0..ROUNDS {
        let mut silent = Vec::new();
        for (index, &address) in round.iter().enumerate() {
            let Some(left) = until.remaining() else {
                return Err(until.over(host, failures));
            };
            let share = left / u32::try_from(round.len() - index).unwrap_or(u32::MAX);
            let mut limit = Limit::new(until, share.min(LONGEST_TRY));
            let fault = match server::ask(address, name, &mut limit) {
                Ok(addresses) => return Ok(addresses),
                Err(fault) => fault,
            };
            if matches!(fault, ServerError::Silent { .. }) {
                silent.push(address);
            }
            match failures.iter_mut().find(|known| known.address == address) {
                Some(known) => known.fault = fault,
                None => failures.push(ServerFailure { address, fault }),
            }
        }
        round = silent;
    }
    if until.remaining().is_none() {
        return Err(until.over(host, failures));
    }
    Err(ResolveError::NoAnswer {
        name: host.into(),
        servers: failures,
    })
}

#[cfg(test)]
mod tests;
