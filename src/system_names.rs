//! The system's own resolver, which blocks for as long as it likes: asked in a thread of its own.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

/// The address that `name` is, if it is one and no name; IPv6 also in brackets.
pub(crate) fn numeric(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

/// Asks the system for the addresses of `target`, a host and a port, in a helper thread that nobody joins: it ends when the system
/// answers or gives up. The receiver gets the answer, once.
pub(crate) fn ask(target: String) -> io::Result<Receiver<io::Result<Vec<SocketAddr>>>> {
    let (sender, answer) = bounded(1);
    thread::Builder::new()
        .name("bsv-p2p resolver".into())
        .spawn(move || {
            let addresses = target.to_socket_addrs().map(Iterator::collect);
            // Nobody may be waiting any more.
            let _ = sender.send(addresses);
        })?;
    Ok(answer)
}
