//! Opens sockets with a deadline and classifies their errors.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The maximum pause between two checks of a pending connection attempt.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The error of opening a connection.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The socket could not be bound to the requested local address.
    BindFailed(io::Error),
    /// `pause` returned `true`: the caller canceled the attempt.
    Cancelled,
    /// The connection was not established before the deadline.
    TimedOut,
    /// Creating the socket failed, or starting the connection attempt did.
    StartFailed(io::Error),
    /// The connection attempt failed.
    Failed(io::Error),
}

/// Opens a TCP connection to `address`, from the local address `from` if there is one.
///
/// Blocks until `deadline` at most. While the attempt is pending, calls `pause` with the time to
/// wait, at most 20 ms. If it returns `true`, the attempt is canceled. The returned socket is
/// nonblocking.
///
/// # Errors
///
/// [`OpenError`], with the reason.
pub(crate) fn open(
    from: Option<SocketAddr>,
    address: SocketAddr,
    deadline: Instant,
    mut pause: impl FnMut(Duration) -> bool,
) -> Result<TcpStream, OpenError> {
    let socket = start_connect(from, address)?;
    // Connections on the same host are established within microseconds; others take longer.
    let mut next_pause = Duration::from_micros(100);
    loop {
        // Read before the state of the socket, because the process may be stopped in between.
        let left = deadline.saturating_duration_since(Instant::now());
        match socket.take_error().unwrap_or_else(Some) {
            // The connection was established and then reset. Data that the peer sent before can be
            // read.
            Some(error) if is_peer_close(&error) => return Ok(socket.into()),
            Some(error) => return Err(OpenError::Failed(error)),
            None => {}
        }
        if let Ok(peer) = socket.peer_addr() {
            if is_own_address(&socket, &peer) {
                return Err(OpenError::Failed(refuse_self_connection(&socket)));
            }
            return Ok(socket.into());
        }
        if left.is_zero() {
            return Err(OpenError::TimedOut);
        }
        if pause(next_pause.min(left)) {
            return Err(OpenError::Cancelled);
        }
        next_pause = (next_pause * 2).min(POLL_INTERVAL);
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
    // Without a reset the port would stay occupied for a minute. If this fails, the socket is
    // closed in the usual way.
    let _ = socket.set_linger(Some(Duration::ZERO));
    io::ErrorKind::ConnectionRefused.into()
}

fn start_connect(from: Option<SocketAddr>, address: SocketAddr) -> Result<Socket, OpenError> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(OpenError::StartFailed)?;
    let nonblocking = socket.set_nonblocking(true);
    nonblocking.map_err(OpenError::StartFailed)?;
    if let Some(from) = from {
        socket.bind(&from.into()).map_err(OpenError::BindFailed)?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_in_progress(&error) => Ok(socket),
        Err(error) => Err(OpenError::StartFailed(error)),
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    let in_progress = error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    let in_progress = false;
    in_progress || error.kind() == io::ErrorKind::WouldBlock
}

/// Returns whether an error means that the peer closed or reset the connection. Data received
/// before can still be read.
pub(crate) fn is_peer_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

/// Returns whether an error only means that the wait of a read or write timed out.
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
    fn dial_own_port(address: SocketAddr) -> Result<TcpStream, OpenError> {
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
            matches!(&opened, Err(OpenError::Failed(error))
                if error.kind() == io::ErrorKind::ConnectionRefused),
            "{opened:?}"
        );
        // Bound without `SO_REUSEADDR`: no connection lingers at the port.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&address.into()).unwrap();
    }
}
