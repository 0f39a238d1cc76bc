//! What kind of address an IP address is, and with which others it is counted together.
//!
//! Source: Bitcoin SV node 1.2.2, `src/netaddress.cpp`; what the registries of special-purpose addresses have gained since is here as well.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Subnet;

/// Where an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AddressKind {
    /// To this machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// Into a network of one's own or of one's provider: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `100.64.0.0/10`,
    /// `169.254.0.0/16`, `fc00::/7` without the prefixes of overlay networks, `fe80::/10`.
    Private,
    /// Nowhere: `0.0.0.0/8`, reserved, multicast, for documentation or benchmarks, the form of a Tor or I2P name (OnionCat, GarliCat), or a
    /// way through IPv6 to an IPv4 address that is not public.
    Unroutable,
    /// To a host of the internet.
    Public,
}

impl AddressKind {
    /// What kind of address this is. IPv4 addresses mapped into IPv6 are IPv4 addresses.
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

/// Whether an address leads to a host of the internet. Others are never dialled because a stranger named them.
pub fn is_routable(address: IpAddr) -> bool {
    AddressKind::of(address) == AddressKind::Public
}

/// The addresses with which this one is counted together, because one owner may well have all of them: the /16 of an IPv4 address, the
/// /32 of an IPv6 address (the /36 at Hurricane Electric, who gives such to anybody).
///
/// An IPv6 address that leads to an IPv4 host (mapped, translated, 6to4, Teredo) counts as that.
///
/// ```
/// use bsv_p2p::peers::group;
///
/// let address = |text: &str| text.parse().unwrap();
/// assert_eq!(group(address("8.8.4.4")).to_string(), "8.8.0.0/16");
/// assert_eq!(group(address("2002:0808:0404::1")).to_string(), "8.8.0.0/16");
/// assert_eq!(group(address("2a00:1450::8")).to_string(), "2a00:1450::/32");
/// ```
pub fn group(address: IpAddr) -> Subnet {
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
        // "This network" (RFC 791): no destination.
        [0, ..] => AddressKind::Unroutable,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        // Shared by the customers of a provider (RFC 6598), and what a host gives itself (RFC 3927).
        [100, 64..=127, ..] | [169, 254, ..] => AddressKind::Private,
        // For protocols (RFC 6890), documentation (RFC 5737) and benchmarks (RFC 2544).
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
        // OnionCat and GarliCat: names of Tor and I2P, which no socket reaches.
        [0xfd87, 0xd87e, 0xeb43, ..] | [0xfd60, 0xdb4d, 0xddb5, ..] => AddressKind::Unroutable,
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfebf, ..] => AddressKind::Private,
        // For documentation (RFC 3849, RFC 9637), benchmarks (RFC 5180) and hashes (RFC 4843, RFC 7343).
        [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x2001, 2, 0, ..]
        | [0x2001, 0x10..=0x2f, ..] => AddressKind::Unroutable,
        // All that has been given out so far (RFC 4291), and the way through a translator (RFC 6052).
        [0x2000..=0x3fff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => match embedded_v4(ip) {
            Some(ip) if kind_v4(ip) != AddressKind::Public => AddressKind::Unroutable,
            _ => AddressKind::Public,
        },
        _ => AddressKind::Unroutable,
    }
}

/// The IPv4 host to which an IPv6 address leads.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = ip.to_bits() as u32;
    match ip.segments() {
        // Through a translator (RFC 6052, RFC 6145).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(low.into()),
        // 6to4 (RFC 3964).
        [0x2002, high, low, ..] => Some((u32::from(high) << 16 | u32::from(low)).into()),
        // Teredo (RFC 4380), which turns every bit over.
        [0x2001, 0, ..] => Some((!low).into()),
        _ => None,
    }
}

/// Whether an address is one of Hurricane Electric.
fn is_tunnel_broker(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x2001, 0x470, ..])
}

#[cfg(test)]
mod tests {
    use super::AddressKind::*;
    use super::*;

    /// Where one kind of address ends and the next begins.
    #[test]
    fn every_range_of_ipv4_begins_and_ends_where_its_registry_says() {
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
    fn every_range_of_ipv6_begins_and_ends_where_its_registry_says() {
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
    fn addresses_of_one_group_share_their_first_bits_or_the_ipv4_host_behind_them() {
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
            let group = group(text.parse().unwrap());
            assert_eq!(group.to_string(), expected, "{text}");
        }
    }
}
