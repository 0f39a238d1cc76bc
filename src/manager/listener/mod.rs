//! The thread that takes in those who dial us.

mod accepting;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use parking_lot::{Mutex, RwLock};

use self::accepting::{Accepting, Never, Open};
use crate::error::Error;
use crate::peers::{BanList, BanReason};
use crate::system_error::SystemError;

/// What a listener's thread tells the supervisor.
#[derive(Debug)]
pub(super) enum ListenerNews {
    /// It listens here, with the port that the system chose.
    Started { address: SocketAddr },
    /// It cannot listen here, or no longer, and tries again after this pause.
    BindFailed {
        address: SocketAddr,
        error: SystemError,
        retry_after: Duration,
    },
    /// Somebody who is not banned; an IPv4 address as such, also if it came by IPv6.
    Accepted {
        stream: TcpStream,
        address: SocketAddr,
    },
    /// Somebody banned, whose socket is closed already. Not told while the channel is full.
    Refused {
        address: SocketAddr,
        reason: BanReason,
    },
    /// The system is out of descriptors or memory. Emitted once until a connection is accepted or the
    /// error changes.
    LocalFault(SystemError),
}

/// Accepts connections in a thread of its own, for as long as it lives.
///
/// While the channel for its news is full it accepts nobody, except one whom it holds until there is room: the others wait in the
/// system's queue, and none is lost. News of banned addresses is the exception, being dropped then, so that those who are not
/// banned never wait for it.
///
/// **Dropping it** ends its thread from every wait, waits for that, and frees the address; whoever was in the system's queue is cut off.
#[derive(Debug)]
pub(super) struct Listener {
    open: Arc<Mutex<Open>>,
    /// Dropped to end the thread's waits for time and for room.
    stop: Option<Sender<Never>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens at `address`, and tries again every `bind_retry` for as long as that fails. Returns at once: `news` tells how it goes.
    ///
    /// The thread ends early if nobody receives `news` any more.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread to be had.
    pub(super) fn start(
        address: SocketAddr,
        bind_retry: Duration,
        bans: Arc<RwLock<BanList>>,
        news: Sender<ListenerNews>,
    ) -> Result<Self, Error> {
        let open = Arc::new(Mutex::new(Open::default()));
        // Nothing is ever sent: the channel's end is the signal.
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

    /// What dropping does, in a word.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        self.open.lock().end();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
