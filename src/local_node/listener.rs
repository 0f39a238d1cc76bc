//! The thread that takes connections in.

use std::time::Duration;

use super::shared::Shared;
use crate::connection::ListeningSocket;

/// How long the listener rests when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the end, which it sees once the socket's wait is ended.
pub(super) fn listen(shared: &Shared, listener: &ListeningSocket) {
    while !shared.is_stopped() {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = shared.state().accept(stream) {
                    log::warn!("local node: {error}");
                }
            }
            Err(_) if shared.is_stopped() => return,
            Err(error) => {
                log::warn!("local node: accepting a connection failed: {error}");
                shared.rest(ACCEPT_PAUSE);
            }
        }
    }
}
