//! The name servers and the search list: `resolv.conf(5)`.

use std::net::SocketAddr;

/// The configuration of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Queried in this order.
    pub(super) servers: Vec<SocketAddr>,
    /// The domains that are appended to a name, in this order.
    pub(super) search: Vec<String>,
    /// The number of dots from which a name is tried without a domain first.
    pub(super) ndots: usize,
}

impl Configuration {
    /// Creates a configuration without a search list.
    pub(super) fn from_servers(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            search: Vec::new(),
            ndots: 1,
        }
    }

    /// Returns the absolute names to look up for `host`, in this order.
    pub(super) fn candidates(&self, host: &str, is_absolute: bool) -> Vec<String> {
        let absolute = format!("{host}.");
        if is_absolute {
            return vec![absolute];
        }
        let domains = self.search.iter().map(|domain| domain.trim_matches('.'));
        let mut candidates: Vec<String> = domains
            .filter(|domain| !domain.is_empty())
            .map(|domain| format!("{host}.{domain}."))
            .collect();
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots {
            0
        } else {
            candidates.len()
        };
        candidates.insert(place, absolute);
        candidates
    }
}

#[cfg(unix)]
mod system {
    use std::fs::{self, File};
    use std::io::Read;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
    use std::path::Path;

    use resolv_conf::{Config, ScopedIp};

    use super::Configuration;

    /// The port of name servers (RFC 1035, section 4.2).
    const PORT: u16 = 53;
    /// The maximum of `ndots`, as in the resolver of the system (`MAXNDOTS` of `resolv.h`).
    const MAX_NDOTS: u32 = 15;
    /// The maximum number of bytes that are read of the file, which usually has a few lines.
    const MAX_FILE: u64 = 64 * 1024;

    impl Configuration {
        /// Reads a file. If it does not exist or contains no server, the configuration contains a
        /// server on this host.
        pub(in crate::discovery::dns) fn read(file: &Path) -> Self {
            let mut text = Vec::new();
            if let Ok(file) = File::open(file) {
                // A part that was read before an error is still used.
                let _ = file.take(MAX_FILE).read_to_end(&mut text);
            }
            Self::parse(&text)
        }

        /// Parses a file. Invalid lines are ignored, as by the system. Only `ndots` of `options` is
        /// used.
        pub(super) fn parse(text: &[u8]) -> Self {
            let (mut config, _) = Config::parse_with_errors(text);
            // At most three servers and six domains, as in the system.
            config.glibc_normalize();
            let mut servers: Vec<_> = config.nameservers.iter().filter_map(address).collect();
            if servers.is_empty() {
                servers.push((Ipv4Addr::LOCALHOST, PORT).into());
            }
            Self {
                servers,
                search: config.get_last_search_or_domain().cloned().collect(),
                ndots: config.ndots.min(MAX_NDOTS) as usize,
            }
        }
    }

    /// Returns the socket address of a server.
    ///
    /// A link-local address has a scope, which is the number or the name of an interface. Returns
    /// `None` if the interface does not exist.
    fn address(server: &ScopedIp) -> Option<SocketAddr> {
        let ScopedIp::V6(ip, Some(scope)) = server else {
            return Some((IpAddr::from(server), PORT).into());
        };
        let number = scope.parse().ok().or_else(|| {
            let text = fs::read_to_string(format!("/sys/class/net/{scope}/ifindex"));
            text.ok()?.trim().parse().ok()
        })?;
        Some(SocketAddrV6::new(*ip, PORT, 0, number).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(search: &[&str], ndots: usize) -> Configuration {
        Configuration {
            search: search.iter().map(ToString::to_string).collect(),
            ndots,
            ..Configuration::from_servers(Vec::new())
        }
    }

    #[test]
    fn dots_decide_whether_search_list_is_first() {
        let config = configuration(&["one.test", "two.test."], 2);
        assert_eq!(
            config.candidates("a.b", false),
            ["a.b.one.test.", "a.b.two.test.", "a.b."]
        );
        assert_eq!(
            config.candidates("a.b.c", false),
            ["a.b.c.", "a.b.c.one.test.", "a.b.c.two.test."]
        );
    }

    #[test]
    fn absolute_name_ignores_the_search_list() {
        let config = configuration(&["one.test", "."], 9);
        assert_eq!(config.candidates("a", true), ["a."]);
        assert_eq!(config.candidates("a", false), ["a.one.test.", "a."]);
    }

    #[cfg(unix)]
    mod files {
        use super::*;

        fn servers(texts: &[&str]) -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        }

        #[test]
        fn file_sets_servers_search_list_and_ndots() {
            let config = Configuration::parse(
                b"# \xff comment\n\
                  domain unused.test\n\
                  nameserver 192.0.2.1\n\
                  nameserver nonsense\n\
                  nonsense\n\
                  nameserver 2001:db8::1 # and more\n\
                  nameserver fe80::1%7\n\
                  nameserver 192.0.2.4\n\
                  search one.test two.test\n\
                  options timeout:1 ndots:3\n",
            );
            assert_eq!(
                config.servers,
                servers(&["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53"])
            );
            assert_eq!(config.search, ["one.test", "two.test"]);
            assert_eq!(config.ndots, 3);
            assert_eq!(Configuration::parse(b"options ndots:99").ndots, 15);
        }

        #[test]
        fn file_without_server_means_local_server() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("resolv.conf");
            for text in [None, Some(""), Some("nameserver fe80::1%nosuchinterface\n")] {
                if let Some(text) = text {
                    std::fs::write(&path, text).unwrap();
                }
                let config = Configuration::read(&path);
                assert_eq!(config.servers, servers(&["127.0.0.1:53"]), "{text:?}");
                assert_eq!(config.ndots, 1);
                assert!(config.search.is_empty());
            }
            std::fs::write(&path, "nameserver 192.0.2.1").unwrap();
            assert_eq!(
                Configuration::read(&path).servers,
                servers(&["192.0.2.1:53"])
            );
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn scope_may_be_an_interface_name() {
            let index = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
            let config = Configuration::parse(b"nameserver fe80::1%lo");
            assert_eq!(
                config.servers,
                servers(&[&format!("[fe80::1%{}]:53", index.trim())])
            );
        }
    }
}
