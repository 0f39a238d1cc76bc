//! Validation of names, and names that need no query.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ResolveError;
use crate::{host_name, system_resolver};

/// A valid name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParsedName<'a> {
    /// The name needs no query.
    Addresses(Vec<IpAddr>),
    /// The name of a host.
    Host {
        /// The name without a dot at the end.
        name: &'a str,
        /// Whether the name ended with a dot, so that the search list is not applied.
        is_absolute: bool,
    },
}

/// Validates and classifies a name before the lookup.
pub(super) fn classify_name(name: &str) -> Result<ParsedName<'_>, ResolveError> {
    if let Some(address) = system_resolver::numeric(name) {
        return Ok(ParsedName::Addresses(vec![address.to_canonical()]));
    }
    let (host, is_absolute) = match name.strip_suffix('.') {
        Some(host) => (host, true),
        None => (name, false),
    };
    host_name::check(host).map_err(|error| ResolveError::InvalidName {
        name: name.to_owned(),
        error,
    })?;
    if is_localhost(host) {
        return Ok(ParsedName::Addresses(vec![
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
        ]));
    }
    Ok(ParsedName::Host {
        name: host,
        is_absolute,
    })
}

/// Returns whether a name means this host, and must not be queried (RFC 6761, section 6.3).
fn is_localhost(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// Returns the first `max` distinct addresses, IPv4-mapped addresses as IPv4.
pub(super) fn distinct(addresses: impl IntoIterator<Item = IpAddr>, max: usize) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        let address = address.to_canonical();
        if !kept.contains(&address) {
            kept.push(address);
            if kept.len() == max {
                break;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_name::InvalidName;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn rule_of(name: &str) -> InvalidName {
        match classify_name(name) {
            Err(ResolveError::InvalidName { name: named, error }) => {
                assert_eq!(named, name);
                error
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn addresses_and_localhost_need_no_query() {
        let both = ips(&["127.0.0.1", "::1"]);
        for (name, answer) in [
            ("203.0.113.7", ips(&["203.0.113.7"])),
            ("2001:db8::7", ips(&["2001:db8::7"])),
            ("[2001:db8::7]", ips(&["2001:db8::7"])),
            ("::ffff:203.0.113.7", ips(&["203.0.113.7"])),
            ("localhost", both.clone()),
            ("LocalHost.", both.clone()),
            ("seed.localhost", both),
        ] {
            assert_eq!(
                classify_name(name),
                Ok(ParsedName::Addresses(answer)),
                "{name}"
            );
        }
    }

    #[test]
    fn dot_at_the_end_makes_name_absolute() {
        for (name, is_absolute) in [("seed.test.", true), ("seed.test", false)] {
            let host = ParsedName::Host {
                name: "seed.test",
                is_absolute,
            };
            assert_eq!(classify_name(name), Ok(host));
        }
        assert!(matches!(
            classify_name("localhost.test"),
            Ok(ParsedName::Host { .. })
        ));
        assert!(matches!(
            classify_name("_seed-1.test"),
            Ok(ParsedName::Host { .. })
        ));
    }

    #[test]
    fn invalid_names_are_rejected_with_the_rule() {
        for name in ["", ".", "..", "seed..test", ".seed", "seed.."] {
            assert_eq!(rule_of(name), InvalidName::EmptyLabel, "{name:?}");
        }
        for (name, character) in [
            ("seed test", ' '),
            ("seed:8333", ':'),
            ("s\0d", '\0'),
            ("séed.test", 'é'),
            ("a\\046b", '\\'),
        ] {
            assert_eq!(
                rule_of(name),
                InvalidName::Character { character },
                "{name:?}"
            );
        }
        for name in ["1.2.3", "127.1", "1.2.3.4.5", "256.1.1.1", "8333"] {
            assert_eq!(rule_of(name), InvalidName::Number, "{name:?}");
        }
    }

    #[test]
    fn names_and_labels_have_maximum_length() {
        let label = "a".repeat(63);
        assert!(classify_name(&format!("{label}.test")).is_ok());
        assert_eq!(
            rule_of(&format!("{label}a.test")),
            InvalidName::LongLabel { len: 64 }
        );
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(classify_name(&longest).is_ok());
        assert!(classify_name(&format!("{longest}.")).is_ok());
        assert_eq!(
            rule_of(&format!("{longest}a")),
            InvalidName::TooLong { len: 254 }
        );
    }

    #[test]
    fn distinct_keeps_order_up_to_maximum() {
        let all = ips(&["1.1.1.1", "::ffff:1.1.1.1", "2::2", "1.1.1.1", "3.3.3.3"]);
        assert_eq!(
            distinct(all.clone(), 9),
            ips(&["1.1.1.1", "2::2", "3.3.3.3"])
        );
        assert_eq!(distinct(all, 2), ips(&["1.1.1.1", "2::2"]));
    }
}
