//! A stub resolver (RFC 1034, section 5.3.1), which queries recursive name servers.

mod answer;
mod configuration;
#[cfg(unix)]
mod hosts;
mod lookup;
mod query_limit;
mod question;
mod server;
mod tcp;

use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;

use configuration::Configuration;

use super::name::{ParsedName, classify_name};
use super::{Deadline, ResolveError, SeedResolver};

/// Queries name servers on the caller's thread, over UDP, and over TCP if the reply is truncated.
///
/// IPv4 and IPv6 addresses are queried in parallel.
///
/// | case | result |
/// | --- | --- |
/// | IP addresses, `localhost`, names of `/etc/hosts` | resolved without a query (RFC 6761, section 6.3) |
/// | a server does not reply | the next server is queried after 2 s, or earlier if the deadline is near; one more round follows |
/// | a server returns an error code or an invalid reply | the next server is queried |
/// | a server returns that the name does not exist | final; no other server is queried |
/// | addresses of one family are known, the query of the other has no reply | returned after one second |
/// | a packet does not match the query | ignored (RFC 5452, section 9) |
///
/// Replies are not signed, so they cannot be verified. An attacker who can read or guess the
/// packets can forge them. The addresses of a seed are only candidates for peers.
#[derive(Clone, Debug)]
pub struct DnsResolver {
    servers: ServerSource,
    #[cfg(unix)]
    hosts: PathBuf,
}

#[derive(Clone, Debug)]
enum ServerSource {
    Given(Configuration),
    /// Read for each lookup, because it changes when the machine moves to another network.
    #[cfg(unix)]
    File(PathBuf),
}

impl DnsResolver {
    /// Creates a resolver that queries `servers` in their order.
    ///
    /// The search list of the system is not applied, but its hosts file is used. If `servers` is
    /// empty, only names that need no query can be resolved.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers: ServerSource::Given(Configuration::from_servers(servers)),
            #[cfg(unix)]
            hosts: "/etc/hosts".into(),
        }
    }

    /// Creates a resolver that queries the name servers of `/etc/resolv.conf`, with its search list
    /// and `ndots`.
    ///
    /// The file is read for each lookup. If it does not exist or contains no server, 127.0.0.1 is
    /// queried.
    #[cfg(unix)]
    pub fn from_system() -> Self {
        Self {
            servers: ServerSource::File("/etc/resolv.conf".into()),
            hosts: "/etc/hosts".into(),
        }
    }
}

impl SeedResolver for DnsResolver {
    fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError> {
        let (host, is_absolute) = match classify_name(name)? {
            ParsedName::Addresses(addresses) => return Ok(addresses),
            ParsedName::Host { name, is_absolute } => (name, is_absolute),
        };
        #[cfg(unix)]
        {
            let known = hosts::look_up(&self.hosts, host);
            if !known.is_empty() {
                return Ok(known);
            }
        }
        match &self.servers {
            ServerSource::Given(servers) => lookup::look_up(servers, host, is_absolute, until),
            #[cfg(unix)]
            ServerSource::File(file) => {
                lookup::look_up(&Configuration::read(file), host, is_absolute, until)
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn system_files_are_read_for_each_lookup() {
        let folder = tempfile::tempdir().unwrap();
        let [hosts, conf] = ["hosts", "resolv.conf"].map(|name| folder.path().join(name));
        let resolver = DnsResolver {
            servers: ServerSource::File(conf.clone()),
            hosts: hosts.clone(),
        };
        // There is no interface with this number.
        std::fs::write(&conf, "nameserver fe80::1%4000000000\nsearch one.test").unwrap();
        let until = Deadline::after(Duration::from_secs(20));
        let error = resolver.resolve("seed.test", &until).unwrap_err();
        assert!(
            matches!(&error, ResolveError::NoAnswer { servers, .. }
                if servers[0].address == "[fe80::1%4000000000]:53".parse().unwrap()),
            "{error:?}"
        );
        std::fs::write(&hosts, "192.0.2.1 seed.test").unwrap();
        let found = resolver.resolve("seed.test.", &until);
        assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
    }
}
