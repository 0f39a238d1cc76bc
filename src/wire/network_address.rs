//! Addresses of nodes, as `version` and `addr` carry them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Decode, DecodeError, Encode, Reader, Services};

/// The address of a node in a `version` message: 26 bytes, without a time.
///
/// An IPv4 address travels as an IPv4-mapped IPv6 address and is shown as IPv4 here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NetworkAddress {
    /// What the node serves, as far as the sender knows.
    pub services: Services,
    /// The IP address; `::` means none.
    pub ip: IpAddr,
    /// The TCP port, 0 for none. On the wire it is big endian, unlike everything else.
    pub port: u16,
}

impl NetworkAddress {
    /// How many bytes an address has in a `version`.
    pub const LEN: usize = 26;

    /// No address: what the node writes for its own in `version`.
    pub const fn unspecified(services: Services) -> Self {
        Self {
            services,
            ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            port: 0,
        }
    }

    /// The address of a socket.
    pub fn new(services: Services, address: SocketAddr) -> Self {
        Self {
            services,
            ip: address.ip().to_canonical(),
            port: address.port(),
        }
    }

    /// The address and port as a socket takes them.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Reads an address from its 26 bytes: every content is one.
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

    /// The 26 bytes.
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

impl fmt::Debug for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkAddress({self})")
    }
}

/// An entry of an `addr` message: 30 bytes, the time first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TimestampedAddress {
    /// When the node was last heard of, in seconds since 1970.
    pub time: u32,
    /// Where it is.
    pub address: NetworkAddress,
}

impl TimestampedAddress {
    /// How many bytes an entry has.
    pub const LEN: usize = 4 + NetworkAddress::LEN;

    /// Reads an entry from its 30 bytes: every content is one.
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
