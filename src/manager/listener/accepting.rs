//! The loop of the listener thread.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use parking_lot::{Mutex, RwLock};

use super::ListenerNews;
use crate::connection::{AcceptFault, ListeningSocket};
use crate::peers::BanList;
use crate::system_error::SystemError;

/// Pause after an error due to a lack of descriptors or memory.
const RESOURCES_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a network error of one connection.
const NETWORK_PAUSE: Duration = Duration::from_millis(10);

/// The listener is being stopped, or its event receiver was dropped.
#[derive(Debug)]
pub(super) struct Stopped;

/// The current listening socket, shared with the thread that stops the listener.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) socket: Option<Arc<ListeningSocket>>,
    ended: bool,
}

impl Open {
    /// Ends the current wait on the socket, and prevents every later one.
    pub(super) fn end(&mut self) {
        self.ended = true;
        if let Some(socket) = self.socket.take() {
            socket.unblock();
        }
    }
}

/// The state of the listener thread.
pub(super) struct Accepting {
    pub(super) address: SocketAddr,
    pub(super) bind_retry: Duration,
    pub(super) bans: Arc<RwLock<BanList>>,
    pub(super) news: Sender<ListenerNews>,
    pub(super) open: Arc<Mutex<Open>>,
    /// Disconnected to stop the listener. Nothing is ever sent.
    pub(super) stopped: Receiver<Infallible>,
}

impl Accepting {
    /// Listens until the listener is stopped.
    pub(super) fn run(self) {
        while self.listen_once().is_ok() {}
        self.open.lock().socket = None;
    }

    /// Binds a socket and accepts until it fails. Then reports the error and pauses.
    fn listen_once(&self) -> Result<(), Stopped> {
        let error = match ListeningSocket::bind(self.address) {
            Ok(socket) => self.serve(Arc::new(socket))?,
            Err(error) => error,
        };
        self.tell(ListenerNews::BindFailed {
            address: self.address,
            error: error.into(),
            retry_after: self.bind_retry,
        })?;
        self.pause(self.bind_retry)
    }

    /// Accepts connections until the listening socket fails, and returns the error.
    fn serve(&self, socket: Arc<ListeningSocket>) -> Result<io::Error, Stopped> {
        {
            let mut open = self.open.lock();
            if open.ended {
                return Err(Stopped);
            }
            open.socket = Some(socket.clone());
        }
        let address = socket.address();
        self.tell(ListenerNews::Started { address })?;
        let error = self.accept_all(|| socket.accept())?;
        // The socket must be closed before the address is bound again.
        self.open.lock().socket = None;
        Ok(error)
    }

    /// Accepts connections until an error of the listening socket, which is returned.
    pub(super) fn accept_all(
        &self,
        mut accept: impl FnMut() -> io::Result<(TcpStream, SocketAddr)>,
    ) -> Result<io::Error, Stopped> {
        let mut reported = None;
        loop {
            let accepted = accept();
            if self.is_stopped() {
                return Err(Stopped);
            }
            let error = match accepted {
                Ok((stream, address)) => {
                    reported = None;
                    self.take(stream, address)?;
                    continue;
                }
                Err(error) => error,
            };
            match AcceptFault::classify(&error) {
                AcceptFault::Connection => {}
                AcceptFault::Network => self.pause(NETWORK_PAUSE)?,
                AcceptFault::Resources => {
                    let error = SystemError::from(error);
                    if reported != Some(error) {
                        self.tell(ListenerNews::LocalFault(error))?;
                        reported = Some(error);
                    }
                    self.pause(RESOURCES_PAUSE)?;
                }
                AcceptFault::Socket => return Ok(error),
            }
        }
    }

    fn take(&self, stream: TcpStream, address: SocketAddr) -> Result<(), Stopped> {
        let ban = {
            let bans = self.bans.read();
            bans.is_banned(address.ip(), SystemTime::now())
                .map(|ban| ban.reason)
        };
        match ban {
            Some(reason) => {
                drop(stream);
                // A banned address must not delay other connections by reconnecting, so this send
                // does not block.
                let _ = self
                    .news
                    .try_send(ListenerNews::Refused { address, reason });
                Ok(())
            }
            None => self.tell(ListenerNews::Accepted { stream, address }),
        }
    }

    /// Sends an event. Blocks until the channel has capacity.
    fn tell(&self, news: ListenerNews) -> Result<(), Stopped> {
        select! {
            send(self.news, news) -> sent => sent.map_err(|_| Stopped),
            recv(self.stopped) -> _ => Err(Stopped),
        }
    }

    fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        match self.stopped.recv_timeout(pause) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }

    fn is_stopped(&self) -> bool {
        self.open.lock().ended
    }
}
