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
    /// No address: what the node writes for its own in `version`.
    pub const fn unset(services: Services) -> Self {
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
}

impl Decode for NetworkAddress {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let services = Services(reader.u64("address services")?);
        let ip = Ipv6Addr::from(reader.array::<16>("address ip")?);
        let port = reader.u16_be("address port")?;
        Ok(Self {
            services,
            ip: ip.to_canonical(),
            port,
        })
    }
}

impl Encode for NetworkAddress {
    fn encode(&self, out: &mut Vec<u8>) {
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        out.extend_from_slice(&self.services.0.to_le_bytes());
        out.extend_from_slice(&ip.octets());
        out.extend_from_slice(&self.port.to_be_bytes());
    }

    fn encoded_len(&self) -> u64 {
        26
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

impl Decode for TimestampedAddress {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            time: reader.u32("address time")?,
            address: Decode::decode(reader)?,
        })
    }
}

impl Encode for TimestampedAddress {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        self.address.encode(out);
    }

    fn encoded_len(&self) -> u64 {
        30
    }
}
