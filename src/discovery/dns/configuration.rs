//! Which name servers are asked, and for which names: `resolv.conf(5)`.

use std::net::SocketAddr;

/// What a lookup needs to know of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Asked in this order.
    pub(super) servers: Vec<SocketAddr>,
    /// What is put after a name, one after the other.
    pub(super) search: Vec<String>,
    /// A name with so many dots is first tried as it stands.
    pub(super) ndots: usize,
}

impl Configuration {
    /// These name servers, and names as they stand.
    pub(super) fn of_servers(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            search: Vec::new(),
            ndots: 1,
        }
    }

    /// The names that `host` may stand for, in the order in which they are tried, each with a dot at the end.
    pub(super) fn candidates(&self, host: &str, is_absolute: bool) -> Vec<String> {
        let as_it_stands = format!("{host}.");
        if is_absolute {
            return vec![as_it_stands];
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
        candidates.insert(place, as_it_stands);
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
    /// The system's resolver does not look further for a higher number: `MAXNDOTS` of `resolv.h`.
    const MAX_NDOTS: u32 = 15;
    /// So much of the file is read; it has a few lines.
    const MAX_FILE: u64 = 64 * 1024;

    impl Configuration {
        /// What the file says. One that is missing or names no server means a name server on this host.
        pub(in crate::discovery::dns) fn read(file: &Path) -> Self {
            let mut text = Vec::new();
            if let Ok(file) = File::open(file) {
                // What could be read before an error is better than nothing.
                let _ = file.take(MAX_FILE).read_to_end(&mut text);
            }
            Self::parse(&text)
        }

        /// Lines that nobody understands are passed over, as the system does. Of `options` only `ndots` matters here.
        pub(super) fn parse(text: &[u8]) -> Self {
            let (mut config, _) = Config::parse_with_errors(text);
            // Three servers and six domains, as the system.
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

    /// A link-local address belongs to one interface, which is given by its number or its name. If there is no such interface, the server
    /// cannot be reached.
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
            ..Configuration::of_servers(Vec::new())
        }
    }

    #[test]
    fn a_name_with_enough_dots_is_tried_as_it_stands_before_the_search_list_and_others_after_it() {
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
    fn an_absolute_name_is_tried_as_it_stands_only() {
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
        fn the_system_names_servers_search_list_and_dots() {
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
        fn without_a_server_the_one_on_this_host_is_asked() {
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
        fn an_interface_may_be_named() {
            let index = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
            let config = Configuration::parse(b"nameserver fe80::1%lo");
            assert_eq!(
                config.servers,
                servers(&[&format!("[fe80::1%{}]:53", index.trim())])
            );
        }
    }
}
