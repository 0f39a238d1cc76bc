//! What every layer with sockets needs: to open one without waiting longer than is wanted, and to know what its errors mean.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How often a connection that is being opened is looked at, at the longest.
const LOOK: Duration = Duration::from_millis(20);

/// Why a connection was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The system does not let it begin at that address.
    NotBound(io::Error),
    /// The pause was the last one: the caller does not want it any more.
    Stopped,
    /// The deadline came first.
    TimedOut,
    /// The system refused to create the socket or to start the connection.
    NotStarted(io::Error),
    /// The connection attempt failed.
    Failed(io::Error),
}

/// Opens a TCP connection, which begins at `from` if that is said; it does not block when it is given back. `pause` waits for as long as it is told, 20 ms at most, and returns
/// whether to give up.
pub(crate) fn open(
    from: Option<SocketAddr>,
    address: SocketAddr,
    deadline: Instant,
    mut pause: impl FnMut(Duration) -> bool,
) -> Result<TcpStream, NotOpened> {
    let socket = begin(from, address)?;
    // A connection on the same host stands within microseconds, others take their time.
    let mut next_pause = Duration::from_micros(100);
    loop {
        match socket.take_error().unwrap_or_else(Some) {
            // It stood, and the peer has gone again: what it said is still there to be read.
            Some(error) if is_cut(&error) => return Ok(socket.into()),
            Some(error) => return Err(NotOpened::Failed(error)),
            None => {}
        }
        if let Ok(peer) = socket.peer_addr() {
            if is_own_address(&socket, &peer) {
                return Err(NotOpened::Failed(refuse_self_connection(&socket)));
            }
            return Ok(socket.into());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotOpened::TimedOut);
        }
        if pause(next_pause.min(left)) {
            return Err(NotOpened::Stopped);
        }
        next_pause = (next_pause * 2).min(LOOK);
    }
}

/// Returns whether a socket is connected to itself.
///
/// The system may choose the dialed port as the local port of a connection to this host. If nothing
/// listens there, TCP connects the socket to itself by a simultaneous open.
fn is_own_address(socket: &Socket, peer: &SockAddr) -> bool {
    let local = socket.local_addr().ok().and_then(|local| local.as_socket());
    local.is_some() && local == peer.as_socket()
}

/// Resets a connection to itself. Returns the error of a port at which nothing listens.
fn refuse_self_connection(socket: &Socket) -> io::Error {
    // Without a reset the port would stay occupied for a minute. An orderly close works as well.
    let _ = socket.set_linger(Some(Duration::ZERO));
    io::ErrorKind::ConnectionRefused.into()
}

fn begin(from: Option<SocketAddr>, address: SocketAddr) -> Result<Socket, NotOpened> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(NotOpened::NotStarted)?;
    let nonblocking = socket.set_nonblocking(true);
    nonblocking.map_err(NotOpened::NotStarted)?;
    if let Some(from) = from {
        socket.bind(&from.into()).map_err(NotOpened::NotBound)?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_under_way(&error) => Ok(socket),
        Err(error) => Err(NotOpened::NotStarted(error)),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    let under_way = error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    let under_way = false;
    under_way || error.kind() == io::ErrorKind::WouldBlock
}

/// Whether an error says that the peer has gone. What it sent before can still be read.
pub(crate) fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

/// Whether an error only says that the wait is over.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Dials from the port that is dialed, as the system does by chance.
    fn dial_own_port(address: SocketAddr) -> Result<TcpStream, NotOpened> {
        let deadline = Instant::now() + Duration::from_secs(10);
        open(Some(address), address, deadline, |pause| {
            std::thread::park_timeout(pause);
            false
        })
    }

    #[test]
    fn self_connection_is_refused_and_frees_port() {
        // No other test takes a port of this address.
        let listener = TcpListener::bind("127.0.0.91:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let opened = dial_own_port(address);
        assert!(
            matches!(&opened, Err(NotOpened::Failed(error))
                if error.kind() == io::ErrorKind::ConnectionRefused),
            "{opened:?}"
        );
        // Bound without `SO_REUSEADDR`: no connection lingers at the port.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&address.into()).unwrap();
    }
}
