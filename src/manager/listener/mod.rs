//! The listener thread, which accepts inbound connections.

mod accepting;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use parking_lot::{Mutex, RwLock};

use self::accepting::{Accepting, Open};
use crate::error::Error;
use crate::peers::{BanList, BanReason};
use crate::system_error::SystemError;

/// An event of the listener thread for the supervisor.
#[derive(Debug)]
pub(super) enum ListenerNews {
    /// The listener is bound to this address. The system chose the port if it was 0.
    Started { address: SocketAddr },
    /// Binding or the listening socket failed. The listener tries again after `retry_after`.
    BindFailed {
        address: SocketAddr,
        error: SystemError,
        retry_after: Duration,
    },
    /// A connection from an address that is not banned. An IPv4 address is never IPv6-mapped.
    Accepted {
        stream: TcpStream,
        address: SocketAddr,
    },
    /// A connection from a banned address, which is already closed. Dropped if the channel is full.
    Refused {
        address: SocketAddr,
        reason: BanReason,
    },
    /// The system is out of descriptors or memory. Emitted once until a connection is accepted or
    /// the error changes.
    LocalFault(SystemError),
}

/// Accepts connections on its own thread.
///
/// While the event channel is full, at most one accepted connection is held and no other is
/// accepted. The others wait in the backlog of the system and none is lost. Events of banned
/// addresses are dropped instead, so that they never delay other connections.
///
/// Dropping the listener stops and joins the thread and frees the address. Connections in the
/// backlog of the system are closed or reset.
#[derive(Debug)]
pub(super) struct Listener {
    open: Arc<Mutex<Open>>,
    /// Cancels the waits of the thread for time and channel capacity when dropped.
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts to listen at `address`. If binding fails, it is retried every `bind_retry`. Does not
    /// block: results are sent to `news`.
    ///
    /// The thread ends if the receiver of `news` is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the thread could not be spawned.
    pub(super) fn start(
        address: SocketAddr,
        bind_retry: Duration,
        bans: Arc<RwLock<BanList>>,
        news: Sender<ListenerNews>,
    ) -> Result<Self, Error> {
        let open = Arc::new(Mutex::new(Open::default()));
        // Nothing is ever sent. Closing the channel is the signal.
        let (stop, stopped) = bounded(0);
        let accepting = Accepting {
            address,
            bind_retry,
            bans,
            news,
            open: open.clone(),
            stopped,
        };
        let thread = thread::Builder::new()
            .name("bsv-p2p listener".into())
            .stack_size(256 * 1024)
            .spawn(move || accepting.run())
            .map_err(|error| Error::Io {
                operation: "spawning the listener thread".into(),
                error: error.into(),
            })?;
        Ok(Self {
            open,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Stops the listener. Equivalent to dropping it.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        self.open.lock().end();
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of the thread.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
