//! The address of a peer, as a caller passes it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The address of a peer to connect to: an IP address or a host name, with or without a port.
///
/// [`Connection::connect`](crate::Connection::connect) and [`resolve`](super::resolve) accept each
/// type that converts into it:
///
/// | type | port |
/// | --- | --- |
/// | `&str`, `String` | part of the text, or the default port of the network |
/// | [`IpAddr`], [`Ipv4Addr`], [`Ipv6Addr`] | the default port of the network |
/// | `(host, u16)`, where `host` is text or an IP address | the second element |
/// | [`SocketAddr`], [`SocketAddrV4`], [`SocketAddrV6`] | part of the address |
///
/// The conversion does not fail and makes no lookup. An invalid name is reported by the function
/// that receives it.
///
/// ```
/// use std::net::{Ipv6Addr, SocketAddr};
///
/// use bsv_p2p::connection::PeerAddr;
///
/// assert_eq!(PeerAddr::from("node.example").to_string(), "node.example");
/// assert_eq!(PeerAddr::from(("node.example", 8333)).to_string(), "node.example:8333");
/// assert_eq!(PeerAddr::from((Ipv6Addr::LOCALHOST, 8333)).to_string(), "[::1]:8333");
/// let address: SocketAddr = "127.0.0.1:8333".parse().unwrap();
/// assert_eq!(PeerAddr::from(address).to_string(), "127.0.0.1:8333");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub(super) Repr);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Repr {
    /// A socket address, which needs no lookup.
    Socket(SocketAddr),
    /// A host with or without a port, not yet checked.
    Name(String),
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Socket(address) => address.fmt(f),
            Repr::Name(name) => name.fmt(f),
        }
    }
}

impl From<&str> for PeerAddr {
    fn from(name: &str) -> Self {
        Self(Repr::Name(name.to_owned()))
    }
}

impl From<String> for PeerAddr {
    fn from(name: String) -> Self {
        Self(Repr::Name(name))
    }
}

impl From<&String> for PeerAddr {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self(Repr::Socket(address))
    }
}

impl From<&SocketAddr> for PeerAddr {
    fn from(address: &SocketAddr) -> Self {
        (*address).into()
    }
}

impl From<SocketAddrV4> for PeerAddr {
    fn from(address: SocketAddrV4) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<SocketAddrV6> for PeerAddr {
    fn from(address: SocketAddrV6) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<IpAddr> for PeerAddr {
    fn from(ip: IpAddr) -> Self {
        ip.to_string().into()
    }
}

impl From<Ipv4Addr> for PeerAddr {
    fn from(ip: Ipv4Addr) -> Self {
        IpAddr::from(ip).into()
    }
}

impl From<Ipv6Addr> for PeerAddr {
    fn from(ip: Ipv6Addr) -> Self {
        IpAddr::from(ip).into()
    }
}

impl From<(&str, u16)> for PeerAddr {
    fn from((host, port): (&str, u16)) -> Self {
        // An IPv6 address needs brackets before a port.
        if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{port}").into()
        } else {
            format!("{host}:{port}").into()
        }
    }
}

impl From<(String, u16)> for PeerAddr {
    fn from((host, port): (String, u16)) -> Self {
        (host.as_str(), port).into()
    }
}

impl From<(IpAddr, u16)> for PeerAddr {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(Ipv4Addr, u16)> for PeerAddr {
    fn from(address: (Ipv4Addr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(Ipv6Addr, u16)> for PeerAddr {
    fn from(address: (Ipv6Addr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<&PeerAddr> for PeerAddr {
    fn from(address: &PeerAddr) -> Self {
        address.clone()
    }
}
