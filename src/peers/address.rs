//! Classification of IP addresses, and their network groups.
//!
//! Source: Bitcoin SV node 1.2.2, `src/netaddress.cpp`, and later entries of the IANA registries of
//! special-purpose addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Subnet;

/// The kind of network that an IP address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AddressKind {
    /// This machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// A local network or the network of a provider: `10.0.0.0/8`, `172.16.0.0/12`,
    /// `192.168.0.0/16`, `100.64.0.0/10`, `169.254.0.0/16`, `fe80::/10`, and `fc00::/7` without the
    /// prefixes of overlay networks.
    Private,
    /// No reachable host: `0.0.0.0/8`, and reserved, multicast, documentation and benchmark
    /// addresses. Includes encoded Tor and I2P names (OnionCat, GarliCat), and IPv6 addresses that
    /// embed an IPv4 address which is not public.
    Unroutable,
    /// A host on the internet.
    Public,
}

impl AddressKind {
    /// Returns the kind of an address. IPv4-mapped IPv6 addresses are classified as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ip) => kind_v4(ip),
            IpAddr::V6(ip) => kind_v6(ip),
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AddressKind::Loopback => "loopback",
            AddressKind::Private => "private",
            AddressKind::Unroutable => "unroutable",
            AddressKind::Public => "public",
        })
    }
}

/// Returns whether an address belongs to a host on the internet.
///
/// Other addresses are never dialed if a remote peer advertised them.
pub fn is_routable(address: IpAddr) -> bool {
    AddressKind::of(address) == AddressKind::Public
}

/// Returns the network group of an address, whose addresses probably have one owner.
///
/// The group is the /16 of an IPv4 address and the /32 of an IPv6 address. It is the /36 of an IPv6
/// address of Hurricane Electric, where anyone can get a smaller network. An IPv6 address that
/// embeds the address of an IPv4 host (mapped, translated, 6to4, Teredo) has the group of that
/// host.
///
/// ```
/// use bsv_p2p::peers::address_group;
///
/// let address = |text: &str| text.parse().unwrap();
/// assert_eq!(address_group(address("8.8.4.4")).to_string(), "8.8.0.0/16");
/// assert_eq!(address_group(address("2002:0808:0404::1")).to_string(), "8.8.0.0/16");
/// assert_eq!(address_group(address("2a00:1450::8")).to_string(), "2a00:1450::/32");
/// ```
pub fn address_group(address: IpAddr) -> Subnet {
    match address.to_canonical() {
        IpAddr::V4(ip) => Subnet::containing(ip.into(), 16),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(ip) => Subnet::containing(ip.into(), 16),
            None => Subnet::containing(ip.into(), if is_tunnel_broker(ip) { 36 } else { 32 }),
        },
    }
}

fn kind_v4(ip: Ipv4Addr) -> AddressKind {
    match ip.octets() {
        [127, ..] => AddressKind::Loopback,
        // "This network" (RFC 791) is not a destination.
        [0, ..] => AddressKind::Unroutable,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        // Shared by the customers of a provider (RFC 6598), and link-local (RFC 3927).
        [100, 64..=127, ..] | [169, 254, ..] => AddressKind::Private,
        // Protocol assignments (RFC 6890), documentation (RFC 5737) and benchmarks (RFC 2544).
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] => {
            AddressKind::Unroutable
        }
        // Multicast, reserved, broadcast.
        [224..=255, ..] => AddressKind::Unroutable,
        _ => AddressKind::Public,
    }
}

fn kind_v6(ip: Ipv6Addr) -> AddressKind {
    if ip == Ipv6Addr::LOCALHOST {
        return AddressKind::Loopback;
    }
    match ip.segments() {
        // OnionCat and GarliCat encode names of Tor and I2P, which a socket cannot reach.
        [0xfd87, 0xd87e, 0xeb43, ..] | [0xfd60, 0xdb4d, 0xddb5, ..] => AddressKind::Unroutable,
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfebf, ..] => AddressKind::Private,
        // Documentation (RFC 3849, RFC 9637), benchmarks (RFC 5180) and hashes (RFC 4843,
        // RFC 7343).
        [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x2001, 2, 0, ..]
        | [0x2001, 0x10..=0x2f, ..] => AddressKind::Unroutable,
        // Global unicast addresses assigned so far (RFC 4291), and translated ones (RFC 6052).
        [0x2000..=0x3fff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => match embedded_v4(ip) {
            Some(ip) if kind_v4(ip) != AddressKind::Public => AddressKind::Unroutable,
            _ => AddressKind::Public,
        },
        _ => AddressKind::Unroutable,
    }
}

/// Returns the IPv4 host that an IPv6 address embeds.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = ip.to_bits() as u32;
    match ip.segments() {
        // Translated (RFC 6052, RFC 6145).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(low.into()),
        // 6to4 (RFC 3964).
        [0x2002, high, low, ..] => Some((u32::from(high) << 16 | u32::from(low)).into()),
        // Teredo (RFC 4380) inverts every bit.
        [0x2001, 0, ..] => Some((!low).into()),
        _ => None,
    }
}

/// Returns whether an address belongs to Hurricane Electric.
fn is_tunnel_broker(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x2001, 0x470, ..])
}

#[cfg(test)]
mod tests {
    use super::AddressKind::*;
    use super::*;

    /// First and last address of each range.
    #[test]
    fn ipv4_ranges_match_the_registry() {
        for (first, last, kind) in [
            ("0.0.0.0", "0.255.255.255", Unroutable),
            ("1.0.0.0", "9.255.255.255", Public),
            ("10.0.0.0", "10.255.255.255", Private),
            ("11.0.0.0", "100.63.255.255", Public),
            ("100.64.0.0", "100.127.255.255", Private),
            ("100.128.0.0", "126.255.255.255", Public),
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("128.0.0.0", "169.253.255.255", Public),
            ("169.254.0.0", "169.254.255.255", Private),
            ("169.255.0.0", "172.15.255.255", Public),
            ("172.16.0.0", "172.31.255.255", Private),
            ("172.32.0.0", "191.255.255.255", Public),
            ("192.0.0.0", "192.0.0.255", Unroutable),
            ("192.0.1.0", "192.0.1.255", Public),
            ("192.0.2.0", "192.0.2.255", Unroutable),
            ("192.0.3.0", "192.167.255.255", Public),
            ("192.168.0.0", "192.168.255.255", Private),
            ("192.169.0.0", "198.17.255.255", Public),
            ("198.18.0.0", "198.19.255.255", Unroutable),
            ("198.20.0.0", "198.51.99.255", Public),
            ("198.51.100.0", "198.51.100.255", Unroutable),
            ("198.51.101.0", "203.0.112.255", Public),
            ("203.0.113.0", "203.0.113.255", Unroutable),
            ("203.0.114.0", "223.255.255.255", Public),
            ("224.0.0.0", "255.255.255.255", Unroutable),
        ] {
            for text in [first, last] {
                let ip: Ipv4Addr = text.parse().unwrap();
                assert_eq!(AddressKind::of(ip.into()), kind, "{ip}");
                let mapped = ip.to_ipv6_mapped();
                assert_eq!(AddressKind::of(mapped.into()), kind, "{mapped}");
                assert_eq!(is_routable(mapped.into()), kind == Public);
            }
        }
    }

    #[test]
    fn ipv6_ranges_match_the_registry() {
        for (text, kind) in [
            ("::", Unroutable),
            ("::1", Loopback),
            ("::2", Unroutable),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b::10.0.0.1", Unroutable),
            ("64:ff9b:1::8.8.8.8", Unroutable),
            ("1fff:ffff::", Unroutable),
            ("2000::", Public),
            ("2001:1::", Public),
            ("2001:2::1", Unroutable),
            ("2001:2:1::", Public),
            ("2001:f:ffff::", Public),
            ("2001:10::", Unroutable),
            ("2001:2f:ffff::", Unroutable),
            ("2001:30::", Public),
            ("2001:db7:ffff::", Public),
            ("2001:db8::", Unroutable),
            ("2001:db9::", Public),
            ("2002:0808:0808::", Public),
            ("2002:7f00:1::", Unroutable),
            ("2001:0:1:2:3:4:f7f7:f7f7", Public),
            ("2001:0:1:2:3:4:f5ff:fffe", Unroutable),
            ("3ffe:ffff::", Public),
            ("3fff::", Unroutable),
            ("3fff:fff:ffff::", Unroutable),
            ("3fff:1000::", Public),
            ("4000::", Unroutable),
            ("fbff::", Unroutable),
            ("fc00::", Private),
            ("fd60:db4d:ddb5::1", Unroutable),
            ("fd60:db4d:ddb6::", Private),
            ("fd87:d87e:eb42:ffff::", Private),
            ("fd87:d87e:eb43:1::1", Unroutable),
            ("fd87:d87e:eb44::", Private),
            ("fdff:ffff::", Private),
            ("fe00::", Unroutable),
            ("fe7f::", Unroutable),
            ("fe80::", Private),
            ("febf:ffff::", Private),
            ("fec0::", Unroutable),
            ("ff02::1", Unroutable),
        ] {
            assert_eq!(AddressKind::of(text.parse().unwrap()), kind, "{text}");
        }
    }

    #[test]
    fn group_is_a_prefix_or_an_embedded_host() {
        for (text, expected) in [
            ("8.9.10.11", "8.9.0.0/16"),
            ("::ffff:8.9.10.11", "8.9.0.0/16"),
            ("64:ff9b::8.9.10.11", "8.9.0.0/16"),
            ("::ffff:0:8.9.10.11", "8.9.0.0/16"),
            ("2002:0809:0a0b::1", "8.9.0.0/16"),
            ("2001:0:1:2:3:4:f7f6:f5f4", "8.9.0.0/16"),
            ("2a00:1450:4001:1::5", "2a00:1450::/32"),
            ("2a00:1451::", "2a00:1451::/32"),
            ("2001:470:abcd::1", "2001:470:a000::/36"),
            ("2001:471:abcd::1", "2001:471::/32"),
            ("127.0.0.1", "127.0.0.0/16"),
        ] {
            let group = address_group(text.parse().unwrap());
            assert_eq!(group.to_string(), expected, "{text}");
        }
    }
}
