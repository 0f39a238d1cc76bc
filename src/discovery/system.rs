//! The resolver of the system.

use std::io::ErrorKind;
use std::net::IpAddr;

use crossbeam_channel::RecvTimeoutError;

use super::deadline::POLL_INTERVAL;
use super::name::{ParsedName, classify_name, distinct};
use super::{Deadline, MAX_ADDRESSES, ResolveError, SeedResolver};
use crate::system_resolver;

/// Resolves names with the system (`getaddrinfo`), in a helper thread.
///
/// The system determines the name servers and their timeouts, often five seconds each. If the first
/// server does not reply, the next one may therefore be queried too late.
///
/// At the deadline the lookup returns, but its helper thread runs until the system gives up.
/// Repeated failing lookups have one such thread for each lookup of the last half minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl SeedResolver for SystemResolver {
    fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError> {
        if let ParsedName::Addresses(addresses) = classify_name(name)? {
            return Ok(addresses);
        }
        if until.remaining().is_none() {
            return Err(until.expired(name, Vec::new()));
        }
        let failed = |kind, detail: String| ResolveError::System {
            name: name.to_owned(),
            kind,
            detail,
        };
        let answer = system_resolver::lookup(format!("{name}:0"))
            .map_err(|error| failed(error.kind(), error.to_string()))?;
        loop {
            let slice = until.remaining().unwrap_or_default().min(POLL_INTERVAL);
            match answer.recv_timeout(slice) {
                Ok(Ok(addresses)) => {
                    let addresses = addresses.iter().map(|address| address.ip());
                    let addresses = distinct(addresses, MAX_ADDRESSES);
                    return if addresses.is_empty() {
                        Err(ResolveError::NotFound { name: name.into() })
                    } else {
                        Ok(addresses)
                    };
                }
                Ok(Err(error)) => return Err(failed(error.kind(), error.to_string())),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed(ErrorKind::Other, "resolver thread failed".into()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if until.remaining().is_none() {
                        return Err(until.expired(name, Vec::new()));
                    }
                }
            }
        }
    }
}
