//! A resolver of our own: a stub in the sense of RFC 1034, section 5.3.1, which asks name servers that ask others.

mod answer;
mod configuration;
#[cfg(unix)]
mod hosts;
mod limit;
mod lookup;
mod question;
mod server;
mod tcp;

use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;

use configuration::Configuration;

use super::name::{Asked, judge};
use super::{Deadline, ResolveError, SeedResolver};

/// Asks name servers itself, in the caller's thread, over UDP, and over TCP where the answer is long. IPv4 and IPv6 are asked for at
/// once.
///
/// | | |
/// | --- | --- |
/// | addresses, `localhost`, names of `/etc/hosts` | answered without a question (RFC 6761, section 6.3) |
/// | a server that is silent | gets two seconds at most, or its share of the time left, and is asked again when all others have been |
/// | one that refuses, fails, or cannot be understood | the next one is asked |
/// | one that says that there is no such name | is believed |
/// | addresses of one family, the other not told | a success, a second later |
/// | what does not belong to the question | is passed over (RFC 5452, section 9) |
///
/// Name servers are believed: answers are not signed. Whoever can read or guess the packets can lie, and what a seed says is only where
/// one may look for peers.
#[derive(Clone, Debug)]
pub struct DnsResolver {
    servers: Servers,
    #[cfg(unix)]
    hosts: PathBuf,
}

#[derive(Clone, Debug)]
enum Servers {
    Given(Configuration),
    /// Read for each lookup, for it changes when a computer moves to another network.
    #[cfg(unix)]
    File(PathBuf),
}

impl DnsResolver {
    /// Asks these name servers, in this order. Names are looked up as they stand, without the system's search list; its hosts file
    /// counts. Without any server only names can be resolved that need none.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers: Servers::Given(Configuration::of_servers(servers)),
            #[cfg(unix)]
            hosts: "/etc/hosts".into(),
        }
    }

    /// Asks the name servers of `/etc/resolv.conf`, which is read for each lookup, with its search list and `ndots`. If it is missing or
    /// names no server, there is one on this host, 127.0.0.1.
    #[cfg(unix)]
    pub fn from_system() -> Self {
        Self {
            servers: Servers::File("/etc/resolv.conf".into()),
            hosts: "/etc/hosts".into(),
        }
    }
}

impl SeedResolver for DnsResolver {
    fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError> {
        let (host, is_absolute) = match judge(name)? {
            Asked::Known(addresses) => return Ok(addresses),
            Asked::Host { name, is_absolute } => (name, is_absolute),
        };
        #[cfg(unix)]
        {
            let known = hosts::look_up(&self.hosts, host);
            if !known.is_empty() {
                return Ok(known);
            }
        }
        match &self.servers {
            Servers::Given(servers) => lookup::look_up(servers, host, is_absolute, until),
            #[cfg(unix)]
            Servers::File(file) => {
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
    fn the_files_of_the_system_are_read_for_each_lookup() {
        let folder = tempfile::tempdir().unwrap();
        let [hosts, conf] = ["hosts", "resolv.conf"].map(|name| folder.path().join(name));
        let resolver = DnsResolver {
            servers: Servers::File(conf.clone()),
            hosts: hosts.clone(),
        };
        // No interface of this number can be asked.
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
