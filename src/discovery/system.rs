//! The resolver of the system.

use std::io::ErrorKind;
use std::net::IpAddr;

use crossbeam_channel::RecvTimeoutError;

use super::deadline::SLICE;
use super::name::{Asked, distinct, judge};
use super::{Deadline, MAX_ADDRESSES, ResolveError, SeedResolver};
use crate::system_names;

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
        if let Asked::Known(addresses) = judge(name)? {
            return Ok(addresses);
        }
        if until.remaining().is_none() {
            return Err(until.over(name, Vec::new()));
        }
        let failed = |kind, detail: String| ResolveError::System {
            name: name.to_owned(),
            kind,
            detail,
        };
        let answer = system_names::ask(format!("{name}:0"))
            .map_err(|error| failed(error.kind(), error.to_string()))?;
        loop {
            let slice = until.remaining().unwrap_or_default().min(SLICE);
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
                    return Err(failed(ErrorKind::Other, "it has failed".into()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if until.remaining().is_none() {
                        return Err(until.over(name, Vec::new()));
                    }
                }
            }
        }
    }
}
