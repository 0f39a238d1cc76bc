//! What the listener's thread does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Sender, select};
use parking_lot::{Mutex, RwLock};

use super::ListenerNews;
use super::socket::ListeningSocket;
use crate::connection::Stop;
use crate::peers::BanList;

/// How long the listener rests when the system has no descriptors left, or fails otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All that the thread works with.
pub(super) struct Accepting {
    pub(super) address: SocketAddr,
    pub(super) bind_retry: Duration,
    pub(super) bans: Arc<RwLock<BanList>>,
    pub(super) news: Sender<ListenerNews>,
    pub(super) stop: Arc<Stop>,
    pub(super) socket: Arc<Mutex<Option<ListeningSocket>>>,
}

/// The thread has nothing more to do.
struct Over;

impl Accepting {
    pub(super) fn run(&self) {
        // Over is the one way out.
        let Err(Over) = self.bind().and_then(|socket| {
            let accepted = self.accept_all(&socket);
            *self.socket.lock() = None;
            accepted
        });
    }

    /// Binds the address, after pauses if it is not to be had.
    fn bind(&self) -> Result<ListeningSocket, Over> {
        loop {
            match ListeningSocket::bind(self.address) {
                Ok(socket) => {
                    *self.socket.lock() = Some(socket.clone());
                    // From here on a stop wakes the socket; one that came before is seen now.
                    if self.stop.is_set() {
                        return Err(Over);
                    }
                    let address = socket.address();
                    self.tell(ListenerNews::Started { address })?;
                    return Ok(socket);
                }
                Err(error) => self.tell(ListenerNews::BindFailed {
                    address: self.address,
                    error: error.kind(),
                    retry_after: self.bind_retry,
                })?,
            }
            self.rest(self.bind_retry)?;
        }
    }

    fn accept_all(&self, socket: &ListeningSocket) -> Result<std::convert::Infallible, Over> {
        let mut is_out = false;
        loop {
            let accepted = socket.accept();
            if self.stop.is_set() {
                return Err(Over);
            }
            match accepted {
                Ok((stream, address)) => {
                    is_out = false;
                    let ban = self
                        .bans
                        .read()
                        .is_banned(address.ip(), SystemTime::now())
                        .copied();
                    match ban {
                        None => self.tell(ListenerNews::Accepted { stream, address })?,
                        Some(ban) => {
                            drop(stream);
                            // Whoever hammers at us shall not keep others from being heard.
                            let reason = ban.reason;
                            let _ = self
                                .news
                                .try_send(ListenerNews::Refused { address, reason });
                        }
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    if is_out_of_descriptors(&error) && !is_out {
                        is_out = true;
                        self.tell(ListenerNews::OutOfDescriptors)?;
                    }
                    self.rest(ACCEPT_PAUSE)?;
                }
            }
        }
    }

    /// Waits until the supervisor takes it.
    fn tell(&self, news: ListenerNews) -> Result<(), Over> {
        select! {
            send(self.news, news) -> sent => sent.map_err(|_| Over),
            recv(self.stop.signal()) -> _ => Err(Over),
        }
    }

    fn rest(&self, pause: Duration) -> Result<(), Over> {
        if self.stop.wait(pause) {
            return Err(Over);
        }
        Ok(())
    }
}

/// Whether the one who was to be accepted has gone again, or nothing has happened at all.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_: &io::Error) -> bool {
    false
}
