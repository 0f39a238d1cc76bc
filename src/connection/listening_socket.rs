//! TCP listener that another thread can unblock.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::system_error::SystemError;

/// The maximum number of connections that wait to be accepted. The system may have a lower limit.
const BACKLOG: i32 = 4096;
/// The timeout of the connection that unblocks [`ListeningSocket::accept`].
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// A TCP listener. Another thread can unblock [`ListeningSocket::accept`].
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    socket: Socket,
    address: SocketAddr,
}

impl ListeningSocket {
    /// Binds a listener to `address`. With port 0, the system chooses the port. The unspecified
    /// IPv6 address accepts IPv4 connections as well.
    ///
    /// Earlier connections in `TIME_WAIT` do not block the address, but another listener does.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        // An IPv4-mapped address is bound as IPv4, which also works if IPv6 is disabled.
        let address = canonical(address);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // On other systems, the option would take the address over from another listener.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let address = ip_address(socket.local_addr()?.as_socket())?;
        Ok(Self { socket, address })
    }

    /// Returns the local address, with the port that the system chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection and returns it with its remote address. An IPv4-mapped address
    /// is converted to IPv4.
    ///
    /// After [`ListeningSocket::unblock`], returns an error on Linux. On other systems, it may
    /// return one more connection first.
    pub(crate) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, from) = self.socket.accept()?;
        let from = ip_address(from.as_socket())?;
        Ok((socket.into(), canonical(from)))
    }

    /// Unblocks [`ListeningSocket::accept`], in its current or next call. Connections that were not
    /// accepted are reset.
    ///
    /// If the system cannot shut down a listener, a connection to it unblocks the call. That takes
    /// at most 1 s.
    pub(crate) fn unblock(&self) {
        if self.socket.shutdown(Shutdown::Both).is_err() {
            let _ = TcpStream::connect_timeout(&self.loopback_equivalent(), WAKE_TIMEOUT);
        }
    }

    /// Returns the address at which this host can reach the listener.
    fn loopback_equivalent(&self) -> SocketAddr {
        let port = self.address.port();
        match self.address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, port).into(),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
            address => address,
        }
    }
}

/// Converts an IPv4-mapped address to IPv4. Keeps the scope of an IPv6 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The scope of an error of [`ListeningSocket::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptFault {
    /// One connection, which was closed before it was accepted, or an interrupted call.
    Connection,
    /// One connection, because of a network error or a firewall rule. The caller should pause
    /// briefly, because a persistent error would otherwise cause a busy loop.
    Network,
    /// The process or the system, which is out of descriptors or memory.
    Resources,
    /// The listener, which is unusable.
    Socket,
}

impl AcceptFault {
    /// Classifies an error. Source: `accept(2)` of Linux, which reports pending network errors of
    /// the new connection.
    pub(crate) fn classify(error: &io::Error) -> Self {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
            NetworkUnreachable, PermissionDenied, TimedOut,
        };
        if SystemError::from(error).is_out_of_resources() {
            return AcceptFault::Resources;
        }
        #[cfg(unix)]
        if error
            .raw_os_error()
            .is_some_and(|code| NETWORK_ERRORS.contains(&code))
        {
            return AcceptFault::Network;
        }
        match error.kind() {
            ConnectionAborted | ConnectionReset | Interrupted => AcceptFault::Connection,
            HostUnreachable | NetworkDown | NetworkUnreachable | PermissionDenied | TimedOut => {
                AcceptFault::Network
            }
            _ => AcceptFault::Socket,
        }
    }
}

/// Network errors of one connection that have no [`io::ErrorKind`].
#[cfg(unix)]
const NETWORK_ERRORS: &[i32] = &[
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::EHOSTDOWN,
    libc::EOPNOTSUPP,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    libc::ENONET,
];

/// Returns the address, or an error if there is none. On some systems, a connection that closed
/// before it was accepted has no address.
fn ip_address(address: Option<SocketAddr>) -> io::Result<SocketAddr> {
    address.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use std::net::SocketAddrV6;
    use std::thread;

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn second_listener_binds_after_first_is_dropped() {
        let first = ListeningSocket::bind(ANY).unwrap();
        let taken = ListeningSocket::bind(first.address()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let address = first.address();
        drop(first);
        assert_eq!(ListeningSocket::bind(address).unwrap().address(), address);
    }

    #[test]
    fn address_with_time_wait_connections_binds_at_once() {
        let socket = ListeningSocket::bind(ANY).unwrap();
        let address = socket.address();
        let client = TcpStream::connect(address).unwrap();
        // The side that closes first keeps the connection in `TIME_WAIT` for a minute.
        drop(socket.accept().unwrap());
        drop(client);
        drop(socket);
        assert_eq!(ListeningSocket::bind(address).unwrap().address(), address);
    }

    #[test]
    fn ipv4_mapped_address_listens_as_ipv4() {
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), 0);
        let address = ListeningSocket::bind(mapped).unwrap().address();
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn bound_address_keeps_its_scope() {
        let scoped = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 0, 3));
        assert_eq!(canonical(scoped), scoped);
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let mapped = SocketAddr::V6(SocketAddrV6::new(mapped, 7, 0, 3));
        assert_eq!(canonical(mapped), (Ipv4Addr::LOCALHOST, 7).into());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_accept_error_has_its_class() {
        let connection = [libc::ECONNABORTED, libc::ECONNRESET, libc::EINTR];
        let network = [
            libc::ENETDOWN,
            libc::EPROTO,
            libc::ENOPROTOOPT,
            libc::EHOSTDOWN,
            libc::ENONET,
            libc::EHOSTUNREACH,
            libc::EOPNOTSUPP,
            libc::ENETUNREACH,
            libc::EPERM,
            libc::EACCES,
            libc::ETIMEDOUT,
        ];
        let resources = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        for code in 1..=133 {
            let expected = match code {
                code if connection.contains(&code) => AcceptFault::Connection,
                code if network.contains(&code) => AcceptFault::Network,
                code if resources.contains(&code) => AcceptFault::Resources,
                _ => AcceptFault::Socket,
            };
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(AcceptFault::classify(&error), expected, "{error}");
        }
    }

    #[test]
    fn stop_ends_current_and_later_waits() {
        for _ in 0..50 {
            let socket = ListeningSocket::bind(ANY).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| drop(socket.accept()));
                socket.unblock();
            });
        }
    }
}
