//! What every layer with sockets needs: to open one without waiting longer than is wanted, and to know what its errors mean.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

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
    /// The system says why.
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
        if socket.peer_addr().is_ok() {
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

fn begin(from: Option<SocketAddr>, address: SocketAddr) -> Result<Socket, NotOpened> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(NotOpened::Failed)?;
    let nonblocking = socket.set_nonblocking(true);
    nonblocking.map_err(NotOpened::Failed)?;
    if let Some(from) = from {
        socket.bind(&from.into()).map_err(NotOpened::NotBound)?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_under_way(&error) => Ok(socket),
        Err(error) => Err(NotOpened::Failed(error)),
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
