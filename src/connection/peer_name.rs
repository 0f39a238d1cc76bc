//! Parsing and resolution of peer names.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::peer_addr::{PeerAddr, Repr};
use crate::host_name;
use crate::session::DisconnectReason;
use crate::system_error::SystemError;
use crate::system_resolver;

/// The maximum length of an interface name in a scope.
const MAX_SCOPE: usize = 64;

/// Resolves the address of a peer.
///
/// `peer` is a [`SocketAddr`], or an IP address or a host name, with or without a port, as
/// [`PeerAddr`] documents. The port defaults to `default_port`. An IPv6 address needs brackets if a
/// port follows. It may have a scope, which is the number or the name of an interface:
/// `[fe80::1%2]:8333`, `fe80::1%eth0`. The addresses keep the scope.
///
/// A numeric address is returned immediately. Other names are resolved by the system on a helper
/// thread. Blocks for at most `timeout`. After that the helper thread continues until the system
/// gives up. It is the only thread of this library that is not joined.
///
/// # Errors
///
/// - [`DisconnectReason::InvalidName`] if the name is empty, is too long, or contains a character
///   that no host name has, such as a space or a control character. No lookup is made.
/// - [`DisconnectReason::NameNotResolved`] if the system finds no address.
/// - [`DisconnectReason::ResolveTimeout`] if the system does not respond in time.
/// - [`DisconnectReason::LocalFault`] if this machine is out of threads, descriptors or memory.
pub fn resolve(
    peer: impl Into<PeerAddr>,
    default_port: u16,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, DisconnectReason> {
    match peer.into().0 {
        Repr::Socket(address) => Ok(vec![address]),
        Repr::Name(name) => resolve_name(&name, default_port, timeout),
    }
}

fn resolve_name(
    name: &str,
    default_port: u16,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, DisconnectReason> {
    let parsed = PeerName::parse(name, default_port);
    let parsed = parsed.map_err(|detail| DisconnectReason::InvalidName {
        name: name.to_owned(),
        detail,
    })?;
    let (host, port) = match parsed {
        PeerName::Address(address) => return Ok(vec![address]),
        PeerName::Host { host, port } => (host, port),
    };
    let unresolved = |detail: String| DisconnectReason::NameNotResolved {
        name: name.to_owned(),
        detail,
    };
    let answer = system_resolver::lookup(format!("{host}:{port}"))
        .map_err(|error| DisconnectReason::LocalFault(error.into()))?;
    match answer.recv_timeout(timeout) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(unresolved("no address found".into())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            let system = SystemError::from(&error);
            if system.is_out_of_resources() {
                return Err(DisconnectReason::LocalFault(system));
            }
            Err(unresolved(error.to_string()))
        }
        Err(RecvTimeoutError::Timeout) => Err(DisconnectReason::ResolveTimeout {
            name: name.to_owned(),
            after: timeout,
        }),
        Err(RecvTimeoutError::Disconnected) => Err(unresolved("the resolver failed".into())),
    }
}

/// The name of a peer, parsed.
#[derive(Debug, PartialEq, Eq)]
enum PeerName<'a> {
    /// A numeric address.
    Address(SocketAddr),
    /// A host name, or an IPv6 address with an interface name. The system must resolve either.
    Host { host: &'a str, port: u16 },
}

impl<'a> PeerName<'a> {
    /// Parses a name. The error describes the fault.
    fn parse(name: &'a str, default_port: u16) -> Result<Self, String> {
        if let Ok(address) = name.parse() {
            return Ok(PeerName::Address(address));
        }
        if let Some(bracketed) = name.strip_prefix('[') {
            let (ip, rest) = bracketed.split_once(']').ok_or("']' is missing")?;
            let port = match rest.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if rest.is_empty() => default_port,
                None => return Err(format!("expected ':' and a port after ']', got {rest:?}")),
            };
            return Self::ipv6(ip, port);
        }
        if name.matches(':').count() > 1 {
            return Self::ipv6(name, default_port);
        }
        let (host, port) = match name.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (name, None),
        };
        // The host is checked first, so that its fault is reported rather than that of the port.
        let plain = host.strip_suffix('.').unwrap_or(host);
        host_name::check_syntax(plain).map_err(|fault| fault.to_string())?;
        let port = port.map_or(Ok(default_port), parse_port)?;
        match host.parse() {
            Ok(ip) => Ok(PeerName::Address(SocketAddr::new(ip, port))),
            Err(_) => Ok(PeerName::Host { host, port }),
        }
    }

    /// Parses an IPv6 address with or without a scope.
    fn ipv6(text: &'a str, port: u16) -> Result<Self, String> {
        let (ip, scope) = match text.split_once('%') {
            Some((ip, scope)) => (ip, Some(scope)),
            None => (text, None),
        };
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| format!("{ip:?} is not an IPv6 address"))?;
        let scope_id = match scope {
            None => 0,
            Some(scope) => match scope.parse() {
                Ok(number) => number,
                Err(_) if is_interface_name(scope) => {
                    return Ok(PeerName::Host { host: text, port });
                }
                Err(_) => return Err(format!("{scope:?} is not an interface")),
            },
        };
        let address = SocketAddrV6::new(ip, port, 0, scope_id);
        Ok(PeerName::Address(address.into()))
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `parse` accepts a sign, which is not allowed in a port.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number);
    port.ok_or_else(|| format!("expected a port from 0 to 65535, got {text:?}"))
}

fn is_interface_name(scope: &str) -> bool {
    (1..=MAX_SCOPE).contains(&scope.len()) && scope.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn resolved(name: &str) -> SocketAddr {
        let addresses = resolve(name, 8333, SECOND).unwrap();
        assert_eq!(addresses.len(), 1, "{name}");
        addresses[0]
    }

    /// Returns the fault of an invalid name.
    fn fault(name: &str) -> String {
        match resolve(name, 8333, SECOND) {
            Err(DisconnectReason::InvalidName {
                name: named,
                detail,
            }) => {
                assert_eq!(named, name);
                detail
            }
            other => panic!("{name:?}: {other:?}"),
        }
    }

    #[test]
    fn numeric_addresses_resolve_with_default_port() {
        for (name, address) in [
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("127.0.0.1", "127.0.0.1:8333"),
            ("[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:8333"),
            ("::1", "[::1]:8333"),
        ] {
            assert_eq!(resolved(name), address.parse().unwrap(), "{name}");
        }
    }

    #[test]
    fn host_and_port_resolve_like_text() {
        for (peer, address) in [
            (PeerAddr::from(("127.0.0.1", 7)), "127.0.0.1:7"),
            (("::1", 7).into(), "[::1]:7"),
            (("[::1]", 7).into(), "[::1]:7"),
            (("fe80::1%7".to_owned(), 8).into(), "[fe80::1%7]:8"),
            ((Ipv6Addr::LOCALHOST, 7).into(), "[::1]:7"),
            (Ipv6Addr::LOCALHOST.into(), "[::1]:8333"),
        ] {
            let addresses = resolve(&peer, 8333, SECOND).unwrap();
            assert_eq!(addresses, [address.parse().unwrap()], "{peer}");
        }
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 8333, 0, 7);
        assert_eq!(resolve(scoped, 1, SECOND), Ok(vec![scoped.into()]));
        for host in ["", "localhost:1", "a b"] {
            let error = resolve((host, 7), 8333, SECOND).unwrap_err();
            let is_invalid = matches!(error, DisconnectReason::InvalidName { .. });
            assert!(is_invalid, "{host:?}: {error:?}");
        }
    }

    #[test]
    fn numeric_scope_is_kept() {
        for name in ["[fe80::1%7]:8333", "[fe80::1%7]", "fe80::1%7"] {
            let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 8333, 0, 7);
            assert_eq!(resolved(name), address.into(), "{name}");
        }
    }

    /// Linux always has the loopback interface, with index 1 in each network namespace.
    #[test]
    #[cfg(target_os = "linux")]
    fn interface_name_becomes_its_number() {
        for name in ["[fe80::1%lo]:8333", "[fe80::1%lo]", "fe80::1%lo"] {
            let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 8333, 0, 1);
            assert_eq!(resolved(name), address.into(), "{name}");
        }
    }

    #[test]
    fn unknown_interface_is_an_error_with_the_name() {
        let name = "[fe80::1%no-such-interface]:8333";
        let error = resolve(name, 8333, 10 * SECOND).unwrap_err();
        assert!(
            matches!(&error, DisconnectReason::NameNotResolved { name: named, .. } if named == name),
            "{error:?}"
        );
    }

    #[test]
    fn invalid_names_are_refused_before_a_lookup() {
        for (name, expected) in [
            ("", "empty label"),
            (":8333", "empty label"),
            ("a..b:8333", "empty label"),
            (
                "127.0.0.1:18444\n",
                r#"expected a port from 0 to 65535, got "18444\n""#,
            ),
            ("127.0.0.1\n:18444", r"invalid character '\n'"),
            ("127.0.0.1\r\n", r"invalid character '\r'"),
            (" 127.0.0.1", "invalid character ' '"),
            ("localhost :1", "invalid character ' '"),
            ("no such host!:1", "invalid character ' '"),
            ("localhost\0", r"invalid character '\0'"),
            ("localhost\u{1b}[2J", r"invalid character '\u{1b}'"),
            (
                "http://localhost",
                r#"expected a port from 0 to 65535, got "//localhost""#,
            ),
            ("localhost/", "invalid character '/'"),
            ("localhost:", r#"expected a port from 0 to 65535, got """#),
            (
                "localhost:99999",
                r#"expected a port from 0 to 65535, got "99999""#,
            ),
            (
                "localhost:+1",
                r#"expected a port from 0 to 65535, got "+1""#,
            ),
            (
                "http://localhost:1",
                r#""http://localhost:1" is not an IPv6 address"#,
            ),
            ("[::1", "']' is missing"),
            (
                "[::1]8333",
                r#"expected ':' and a port after ']', got "8333""#,
            ),
            (
                "[::1]:18444\n",
                r#"expected a port from 0 to 65535, got "18444\n""#,
            ),
            ("[127.0.0.1]", r#""127.0.0.1" is not an IPv6 address"#),
            ("[localhost]:1", r#""localhost" is not an IPv6 address"#),
            ("fe80::1%", r#""" is not an interface"#),
            ("[fe80::1%lo\n]:1", r#""lo\n" is not an interface"#),
            ("127.0.0.1%1", "invalid character '%'"),
        ] {
            assert_eq!(fault(name), expected, "{name:?}");
        }
    }

    #[test]
    fn names_have_maximum_lengths() {
        let label = "a".repeat(63);
        let parsed = |name: &str| PeerName::parse(name, 8333).map(|_| ());
        assert_eq!(parsed(&label), Ok(()));
        let long = fault(&format!("{label}a"));
        assert_eq!(long, "expected labels of at most 63 characters, got 64");
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(parsed(&longest), Ok(()));
        assert_eq!(parsed(&format!("{longest}.:8333")), Ok(()));
        let long = fault(&format!("{longest}a"));
        assert_eq!(long, "expected at most 253 characters, got 254");
    }

    #[test]
    fn error_prints_the_name_in_one_line() {
        let error = resolve("127.0.0.1:18444\n", 8333, SECOND).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"invalid peer name "127.0.0.1:18444\n": expected a port from 0 to 65535, got "18444\n""#
        );
    }
}
