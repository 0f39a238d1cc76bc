//! Addresses of nodes in `version` and `addr` messages.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::hash::shorten;
use super::{Decode, DecodeError, Encode, Reader, Services};

/// The address of a node in a `version` message: 26 bytes, without a time.
///
/// An IPv4 address is encoded as an IPv4-mapped IPv6 address, and decoded to IPv4. `Display` and
/// `FromStr` use the socket address and the services in parentheses, such as
/// `192.0.2.7:8333 (NETWORK)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NetworkAddress {
    /// The services of the node, as known to the sender.
    pub services: Services,
    /// The IP address, or `::` for none.
    pub ip: IpAddr,
    /// The TCP port, or 0 for none. It is big-endian on the wire, unlike all other numbers.
    pub port: u16,
}

impl NetworkAddress {
    /// The length of an address in a `version`, in bytes.
    pub const LEN: usize = 26;

    /// Creates an empty address, which the node sends as its own address in `version`.
    pub const fn unspecified(services: Services) -> Self {
        Self {
            services,
            ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            port: 0,
        }
    }

    /// Creates the address of a socket.
    pub fn new(services: Services, address: SocketAddr) -> Self {
        Self {
            services,
            ip: address.ip().to_canonical(),
            port: address.port(),
        }
    }

    /// Creates an address from its 26 bytes. Every content is valid.
    #[inline]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, ip @ .., p0, p1] = *bytes;
        let services = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        Self::from_fields(services, ip, u16::from_be_bytes([p0, p1]))
    }

    #[inline]
    fn from_fields(services: u64, ip: [u8; 16], port: u16) -> Self {
        Self {
            services: Services(services),
            ip: Ipv6Addr::from(ip).to_canonical(),
            port,
        }
    }

    /// Returns the IP address and port as a socket address.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Returns the 26 bytes of the address.
    #[inline]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.services.0.to_le_bytes());
        bytes[8..24].copy_from_slice(&ip.octets());
        bytes[24..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }
}

impl Decode for NetworkAddress {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let services = reader.u64("address services")?;
        let ip = reader.array("address ip")?;
        let port = reader.u16_be("address port")?;
        Ok(Self::from_fields(services, ip, port))
    }
}

impl Encode for NetworkAddress {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    fn encoded_len(&self) -> u64 {
        Self::LEN as u64
    }
}

impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.socket_address(), self.services)
    }
}

/// The error of a string that is not a [`NetworkAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid network address {0:?}: expected `IP:PORT (SERVICES)`")]
pub struct ParseNetworkAddressError(pub String);

impl FromStr for NetworkAddress {
    type Err = ParseNetworkAddressError;

    /// Parses the output of `Display`. An IPv6 address must not have a scope.
    fn from_str(text: &str) -> Result<Self, ParseNetworkAddressError> {
        parse(text).ok_or_else(|| ParseNetworkAddressError(shorten(text)))
    }
}

fn parse(text: &str) -> Option<NetworkAddress> {
    let (address, services) = text.strip_suffix(')')?.split_once(" (")?;
    let address: SocketAddr = address.parse().ok()?;
    // The wire form has no scope.
    let has_scope = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    let services = services.parse().ok()?;
    (!has_scope).then(|| NetworkAddress::new(services, address))
}

impl fmt::Debug for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkAddress({self})")
    }
}

/// An entry of an `addr` message: 30 bytes, with the time first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TimestampedAddress {
    /// The time at which the node was last seen, in seconds since 1970.
    pub time: u32,
    /// The address of the node.
    pub address: NetworkAddress,
}

impl TimestampedAddress {
    /// The length of an entry in bytes.
    pub const LEN: usize = 4 + NetworkAddress::LEN;

    /// Creates an entry from its 30 bytes. Every content is valid.
    #[inline]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [t0, t1, t2, t3, address @ ..] = bytes;
        Self {
            time: u32::from_le_bytes([*t0, *t1, *t2, *t3]),
            address: NetworkAddress::from_bytes(address),
        }
    }
}

impl Decode for TimestampedAddress {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            time: reader.u32("address time")?,
            address: Decode::decode(reader)?,
        })
    }
}

impl Encode for TimestampedAddress {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.time.to_le_bytes());
        bytes[4..].copy_from_slice(&self.address.to_bytes());
        out.extend_from_slice(&bytes);
    }

    fn encoded_len(&self) -> u64 {
        Self::LEN as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_is_the_inverse_of_display() {
        for (address, services) in [
            ("192.0.2.7:8333", Services::NETWORK | Services::BITCOIN_CASH),
            ("[2001:db8::7]:18333", Services(1 << 40)),
            ("[::]:0", Services::NONE),
        ] {
            let address = NetworkAddress::new(services, address.parse().unwrap());
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn parse_error_names_the_value() {
        for text in [
            "",
            "192.0.2.7:8333",
            "192.0.2.7 (NETWORK)",
            "192.0.2.7:8333 (network)",
            "192.0.2.7:8333 ()",
            "192.0.2.7:8333(NETWORK)",
            "192.0.2.7:8333 (NETWORK",
            "192.0.2.7:65536 (NETWORK)",
            "[fe80::1%2]:8333 (NETWORK)",
            "example.org:8333 (NETWORK)",
        ] {
            let error = text.parse::<NetworkAddress>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
