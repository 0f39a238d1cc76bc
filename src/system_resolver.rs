//! The system resolver, called on a helper thread because its lookups cannot be canceled.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

/// Parses `name` as an IP address. IPv6 addresses may be in brackets. Returns `None` if it is a
/// host name.
pub(crate) fn numeric(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

/// Looks up the addresses of `target`, a host and a port, on a helper thread.
///
/// The receiver gets the result once. The thread ends when the system resolver returns, which may
/// take longer than the caller waits. Does not block.
///
/// # Errors
///
/// The error of the system if the thread cannot be spawned.
pub(crate) fn lookup(target: String) -> io::Result<Receiver<io::Result<Vec<SocketAddr>>>> {
    let (sender, answer) = bounded(1);
    thread::Builder::new()
        .name("bsv-p2p resolver".into())
        .spawn(move || {
            let addresses = target.to_socket_addrs().map(Iterator::collect);
            // The receiver may have timed out.
            let _ = sender.send(addresses);
        })?;
    Ok(answer)
}
