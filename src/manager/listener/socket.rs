//! A listening socket whose wait can be ended from another thread.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// How many peers may wait in the kernel to be accepted. Linux caps it at `net.core.somaxconn`, which is 4,096 by default.
const BACKLOG: i32 = 4096;
/// How long the connection that wakes the listener may take.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// A listening socket; a clone is the same.
#[derive(Clone, Debug)]
pub(super) struct ListeningSocket {
    socket: Arc<Socket>,
    address: SocketAddr,
}

impl ListeningSocket {
    /// Listens at `address`. The unspecified IPv6 address listens for IPv4 as well, any other for its own family.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if let SocketAddr::V6(v6) = address {
            socket.set_only_v6(!v6.ip().is_unspecified())?;
        }
        // So that a program that was restarted need not wait until the connections of its last run are forgotten. Elsewhere than on Unix it
        // would let two listeners have one port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let bound = socket.local_addr()?.as_socket();
        Ok(Self {
            socket: Arc::new(socket),
            address: bound.unwrap_or(address),
        })
    }

    /// Where it listens, with the port that the system chose.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for a peer. [`ListeningSocket::wake`] ends the wait.
    pub(super) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.socket.accept()?;
        let address = address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        Ok((stream.into(), canonical))
    }

    /// Ends the wait of another thread in [`ListeningSocket::accept`].
    pub(super) fn wake(&self) {
        // On Linux the wait ends with an error; elsewhere it may not, but it does by a connection.
        if self.socket.shutdown(Shutdown::Both).is_err() || !cfg!(target_os = "linux") {
            let _ = TcpStream::connect_timeout(&reachable(self.address), WAKE_TIMEOUT);
        }
    }
}

/// An address under which a listener at `address` can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
