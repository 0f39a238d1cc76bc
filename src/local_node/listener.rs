//! The thread that takes connections in.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::shared::Shared;

/// How long the listener rests when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the connection that wakes the listener may take.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts connections until the end; [`wake`] lets it see that.
pub(super) fn listen(shared: &Shared, listener: &TcpListener) {
    while !shared.is_stopped() {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = shared.state().accept(stream) {
                    log::warn!("local node: {error}");
                }
            }
            Err(error) => {
                log::warn!("local node: accepting a connection failed: {error}");
                shared.rest(ACCEPT_PAUSE);
            }
        }
    }
}

/// Ends the wait of a listener in `accept`, by a connection. It may be gone already.
pub(super) fn wake(listener: SocketAddr) {
    let _ = TcpStream::connect_timeout(&reachable(listener), WAKE_TIMEOUT);
}

/// An address under which a listener at `address` can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}
