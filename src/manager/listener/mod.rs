//! The thread that lets peers dial us.

mod socket;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::{Mutex, RwLock};

use self::socket::ListeningSocket;
use self::thread::Accepting;
use crate::connection::Stop;
use crate::error::Error;
use crate::peers::{BanList, BanReason};
use crate::session::DisconnectReason;

/// What a listener's thread tells the supervisor.
#[derive(Debug)]
pub(super) enum ListenerNews {
    /// Peers can dial us, at this address; the port is the one that the system chose, if it did.
    Started { address: SocketAddr },
    /// They cannot, and it is tried again after this pause.
    BindFailed {
        address: SocketAddr,
        error: io::ErrorKind,
        retry_after: Duration,
    },
    /// Somebody has dialled us. IPv4 addresses mapped into IPv6 are IPv4 here.
    Accepted {
        stream: TcpStream,
        address: SocketAddr,
    },
    /// Somebody has dialled us whose address is banned: the socket is closed. Not told while the supervisor has other things to do.
    Refused {
        address: SocketAddr,
        reason: BanReason,
    },
    /// The system has no descriptors left. Told once, until somebody could be accepted again.
    OutOfDescriptors,
}

/// A thread that listens and accepts. It hands over one socket after the other: while the supervisor takes none, the others wait in the
/// kernel's backlog.
pub(super) struct Listener {
    stop: Arc<Stop>,
    /// There while the thread listens.
    socket: Arc<Mutex<Option<ListeningSocket>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts the thread, which binds `address`, again and again after `bind_retry` if that fails.
    pub(super) fn start(
        address: SocketAddr,
        bind_retry: Duration,
        bans: Arc<RwLock<BanList>>,
        news: Sender<ListenerNews>,
    ) -> Result<Self, Error> {
        let stop = Arc::new(Stop::new());
        let socket = Arc::new(Mutex::new(None));
        let accepting = Accepting {
            address,
            bind_retry,
            bans,
            news,
            stop: stop.clone(),
            socket: socket.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("bsv-p2p listener".into())
            .stack_size(256 * 1024)
            .spawn(move || accepting.run())
            .map_err(|error| Error::System {
                what: "the listener's thread".into(),
                kind: error.kind(),
            })?;
        Ok(Self {
            stop,
            socket,
            thread: Some(thread),
        })
    }

    /// Ends the thread, whatever it waits for, and waits for it. The port is free then.
    pub(super) fn stop(self) {}
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.set(DisconnectReason::Shutdown);
        if let Some(socket) = &*self.socket.lock() {
            socket.wake();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
