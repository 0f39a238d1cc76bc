//! What a listener's thread does.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use parking_lot::{Mutex, RwLock};

use super::ListenerNews;
use crate::connection::ListeningSocket;
use crate::peers::BanList;

/// How long nobody is accepted when the system has no descriptors left.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

/// Nothing is ever sent.
#[derive(Debug)]
pub(super) enum Never {}

/// That the listener is being stopped, or that nobody wants its news.
struct Stopped;

/// The socket of the moment, for whoever ends its wait.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) socket: Option<Arc<ListeningSocket>>,
    ended: bool,
}

impl Open {
    /// Ends the wait of the socket, and of every later one before it begins.
    pub(super) fn end(&mut self) {
        self.ended = true;
        if let Some(socket) = self.socket.take() {
            socket.end_wait();
        }
    }
}

/// What the thread works with.
pub(super) struct Accepting {
    pub(super) address: SocketAddr,
    pub(super) bind_retry: Duration,
    pub(super) bans: Arc<RwLock<BanList>>,
    pub(super) news: Sender<ListenerNews>,
    pub(super) open: Arc<Mutex<Open>>,
    pub(super) stopped: Receiver<Never>,
}

impl Accepting {
    /// Listens until the end.
    pub(super) fn run(self) {
        while self.listen_once().is_ok() {}
        self.open.lock().socket = None;
    }

    /// Opens a socket and accepts until it fails, or fails to open one; then tells it and pauses.
    fn listen_once(&self) -> Result<(), Stopped> {
        let error = match ListeningSocket::bind(self.address) {
            Ok(socket) => self.serve(Arc::new(socket))?,
            Err(error) => error,
        };
        self.tell(ListenerNews::BindFailed {
            address: self.address,
            error: error.kind(),
            retry_after: self.bind_retry,
        })?;
        self.pause(self.bind_retry)
    }

    /// Accepts until the socket is of no more use.
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
        let mut told_no_room = false;
        let error = loop {
            let accepted = socket.accept();
            if self.is_stopped() {
                return Err(Stopped);
            }
            match accepted {
                Ok((stream, address)) => {
                    told_no_room = false;
                    self.take(stream, address)?;
                }
                Err(error) if is_of_one_peer(&error) => {}
                Err(error) if is_no_room(&error) => {
                    if !told_no_room {
                        self.tell(ListenerNews::OutOfDescriptors)?;
                        told_no_room = true;
                    }
                    self.pause(NO_ROOM_PAUSE)?;
                }
                Err(error) => break error,
            }
        };
        // Closed before the address is tried again.
        self.open.lock().socket = None;
        Ok(error)
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
                // Whoever is banned must not hold up others by knocking, so this news waits for no room.
                let _ = self
                    .news
                    .try_send(ListenerNews::Refused { address, reason });
                Ok(())
            }
            None => self.tell(ListenerNews::Accepted { stream, address }),
        }
    }

    /// Waits until there is room for the news.
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

/// Whether an error has to do with one connection only, which has gone, or with none.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Whether the process or the system has no descriptor or no memory for a further socket.
fn is_no_room(error: &io::Error) -> bool {
    #[cfg(unix)]
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    #[cfg(not(unix))]
    // WSAEMFILE and WSAENOBUFS.
    let codes = [10024, 10055];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}
