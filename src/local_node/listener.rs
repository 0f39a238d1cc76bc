//! The thread that accepts connections.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::shared_state::SharedState;
use crate::connection::{AcceptFault, InboundOutcome, ListeningSocket};
use crate::system_error::SystemError;

/// The pause after an error that concerns more than one connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The pause after a network error of one connection.
const NETWORK_PAUSE: Duration = Duration::from_millis(10);

/// Accepts connections until the node is stopped, which must also end the wait of the socket.
pub(super) fn listen(shared: &Arc<SharedState>, listener: &ListeningSocket) {
    accept_all(
        shared,
        || listener.accept(),
        |stream| {
            let node = shared.clone();
            let accepted = shared.state().accept(stream, move |outcome| {
                if let InboundOutcome::Connection(connection) = outcome {
                    // Fails if the node is closed.
                    let _ = node.state().add_inbound(connection);
                }
            });
            if let Err(error) = accepted {
                let record = shared.state().log(Level::Warn).error(&error);
                record.write(format_args!("accepting a connection failed"));
            }
        },
    );
}

fn accept_all(
    shared: &SharedState,
    mut accept: impl FnMut() -> io::Result<(TcpStream, SocketAddr)>,
    mut take: impl FnMut(TcpStream),
) {
    let mut reported = None;
    while !shared.is_stopped() {
        let error = match accept() {
            Ok((stream, _)) => {
                reported = None;
                take(stream);
                continue;
            }
            Err(error) => error,
        };
        match AcceptFault::classify(&error) {
            _ if shared.is_stopped() => return,
            AcceptFault::Connection => {}
            AcceptFault::Network => shared.sleep(NETWORK_PAUSE),
            AcceptFault::Resources | AcceptFault::Socket => {
                let error = SystemError::from(error);
                if reported != Some(error) {
                    let record = shared.state().log(Level::Warn).error(&error);
                    record.write(format_args!("accepting connections failed"));
                    reported = Some(error);
                }
                shared.sleep(ACCEPT_PAUSE);
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::connection::EventBus;
    use crate::local_node::state::NodeState;
    use crate::local_node::{Chain, LocalNode};

    #[test]
    fn accept_errors_do_not_end_the_listener() {
        let address = ([127, 0, 0, 1], 1).into();
        let config = LocalNode::default_config().into();
        let state = NodeState::new(Chain::new(), config, address, EventBus::new());
        let shared = SharedState::new(state);
        let codes = [
            libc::ECONNABORTED,
            libc::EPROTO,
            libc::EPERM,
            libc::EMFILE,
            libc::EINVAL,
        ];
        let mut codes = codes.into_iter();
        let (mut accepted, mut taken) = (None, 0);
        accept_all(
            &shared,
            || match codes.next() {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => {
                    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
                    accepted = Some(TcpStream::connect(socket.local_addr()?)?);
                    socket.accept()
                }
            },
            |_| {
                taken += 1;
                shared.stop();
            },
        );
        assert_eq!(taken, 1);
    }
}
