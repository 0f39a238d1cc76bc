//! From a name to a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use socket2::{Domain, Protocol, Socket, Type};

use super::progress::deadline_after;
use super::stop::Stop;
use super::stream::is_cut;
use crate::session::DisconnectReason;

/// How often a connection that is being opened is looked at, at the longest.
const LOOK: Duration = Duration::from_millis(20);

/// The addresses of `name`, which is an IP address or a host name, with or without a port; `default_port` is for
/// those without.
///
/// A numeric address is answered at once. A name is asked of the system in a helper thread, and the call blocks at most for
/// `timeout`: then that thread, the only one of this library that nobody joins, is left behind until the system gives up.
///
/// # Errors
///
/// [`DisconnectReason::NameNotResolved`] and [`DisconnectReason::ResolveTimedOut`].
pub fn resolve(
    name: &str,
    default_port: u16,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, DisconnectReason> {
    if let Ok(address) = name.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    if let Ok(ip) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, default_port)]);
    }
    let unresolved = |detail: String| DisconnectReason::NameNotResolved {
        name: name.to_owned(),
        detail,
    };
    let target = match name.rsplit_once(':') {
        Some(_) => name.to_owned(),
        None => format!("{name}:{default_port}"),
    };
    let (sender, answer) = bounded(1);
    thread::Builder::new()
        .name("bsv-p2p resolver".into())
        .spawn(move || {
            let addresses = target.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            // Nobody may be waiting any more.
            let _ = sender.send(addresses);
        })
        .map_err(|error| unresolved(error.to_string()))?;
    match answer.recv_timeout(timeout) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(unresolved("it has no address".into())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(unresolved(error.to_string())),
        Err(RecvTimeoutError::Timeout) => Err(DisconnectReason::ResolveTimedOut {
            name: name.to_owned(),
            after: timeout,
        }),
        Err(RecvTimeoutError::Disconnected) => Err(unresolved("the resolver failed".into())),
    }
}

/// Opens a TCP connection. Ends early, with the stop's reason, when `stop` is given.
pub(super) fn dial(
    address: SocketAddr,
    timeout: Duration,
    stop: &Stop,
) -> Result<TcpStream, DisconnectReason> {
    let deadline = deadline_after(timeout);
    let socket = begin(address).map_err(|error| meaning(&error, timeout))?;
    // A connection on the same host stands within microseconds, others take their time.
    let mut pause = Duration::from_micros(100);
    loop {
        match socket.take_error().unwrap_or_else(Some) {
            // It stood, and the peer has gone again: what it said is still there to be read.
            Some(error) if is_cut(&error) => return Ok(socket.into()),
            Some(error) => return Err(meaning(&error, timeout)),
            None => {}
        }
        if socket.peer_addr().is_ok() {
            return Ok(socket.into());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(DisconnectReason::ConnectTimedOut { after: timeout });
        }
        if stop.wait(pause.min(left)) {
            return Err(stop.reason().unwrap_or(DisconnectReason::Command));
        }
        pause = (pause * 2).min(LOOK);
    }
}

fn begin(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if is_under_way(&error) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    let under_way = error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    let under_way = false;
    under_way || error.kind() == io::ErrorKind::WouldBlock
}

fn meaning(error: &io::Error, timeout: Duration) -> DisconnectReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DisconnectReason::ConnectRefused,
        io::ErrorKind::TimedOut => DisconnectReason::ConnectTimedOut { after: timeout },
        kind => DisconnectReason::Unreachable(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn numeric_addresses_are_their_own_answer_and_get_the_default_port() {
        for (name, address) in [
            ("127.0.0.1:7", "127.0.0.1:7"),
            ("127.0.0.1", "127.0.0.1:8333"),
            ("[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:8333"),
            ("::1", "[::1]:8333"),
        ] {
            assert_eq!(
                resolve(name, 8333, SECOND),
                Ok(vec![address.parse().unwrap()]),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_an_error_with_the_name() {
        let error = resolve("no such host!:1", 8333, 10 * SECOND).unwrap_err();
        assert!(
            matches!(&error, DisconnectReason::NameNotResolved { name, .. } if name == "no such host!:1"),
            "{error:?}"
        );
    }
}
