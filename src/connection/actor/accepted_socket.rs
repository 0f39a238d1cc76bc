//! Connections on accepted sockets.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::handle::PeerConnectionHandle;
use super::lifecycle::OwnThread;
use super::options::PeerConnectionOptions;
use super::peer_connection::PeerConnection;
use super::{connection_thread, thread};
use crate::connection::stream::Stream;
use crate::connection::{ConnectionConfig, ConnectionObserver, SlotGuard};
use crate::error::Error;
use crate::session::{ConfigError, Direction, TransportClose};

/// A connected socket, usually an accepted one, and the bytes that were read from it.
pub(in crate::connection) struct AcceptedSocket {
    pub(in crate::connection) socket: Arc<Stream>,
    pub(in crate::connection) received: Vec<u8>,
    /// The end of the socket, if it was reached.
    pub(in crate::connection) end: Option<TransportClose>,
    /// The start of the handshake timeout.
    pub(in crate::connection) since: Instant,
}

impl AcceptedSocket {
    /// Creates the value for a socket from which nothing has been read.
    pub(super) fn new(socket: Arc<Stream>) -> Self {
        Self {
            socket,
            received: Vec::new(),
            end: None,
            since: Instant::now(),
        }
    }

    /// Sets the options of an accepted socket.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the socket is already closed.
    pub(in crate::connection) fn prepare(
        tcp: TcpStream,
        config: &ConnectionConfig,
    ) -> Result<Arc<Stream>, Error> {
        let socket = tcp.peer_addr().and_then(|address| {
            Stream::new(tcp, address, config.tcp_keepalive, config.write_timeout)
        });
        socket.map(Arc::new).map_err(|error| Error::Io {
            operation: "preparing an accepted socket".into(),
            error: error.into(),
        })
    }
}

/// A connection on an accepted socket that has not begun to run.
pub(in crate::connection) struct ConnectionRun {
    peer: Arc<PeerConnection>,
    accepted: AcceptedSocket,
    slot: Option<SlotGuard>,
    /// Marks the thread that runs the connection, so that it may drop the handle.
    own: Option<OwnThread>,
}

impl ConnectionRun {
    /// Creates the connection. If `over_capacity` is set, the peer is rejected.
    pub(in crate::connection) fn new(
        options: Box<PeerConnectionOptions>,
        over_capacity: bool,
        observer: Option<Box<dyn ConnectionObserver>>,
        accepted: AcceptedSocket,
    ) -> Result<Self, ConfigError> {
        let address = (Direction::Inbound, accepted.socket.peer());
        let (peer, slot) = PeerConnection::new(address, options, observer)?;
        if over_capacity {
            peer.current().session().reject_over_capacity();
        }
        Ok(Self {
            peer,
            accepted,
            // A rejected connection occupies no slot.
            slot: slot.filter(|_| !over_capacity),
            own: None,
        })
    }

    /// Runs the connection on a new thread.
    pub(super) fn spawn(self) -> io::Result<PeerConnectionHandle> {
        let peer = self.peer.clone();
        let thread = connection_thread(peer.address);
        peer.lifecycle.start(|| thread.spawn(move || self.run()))?;
        Ok(PeerConnectionHandle::new(peer))
    }

    /// Returns the handle of a connection that runs on the calling thread, which is `thread`. The
    /// thread must call [`ConnectionRun::run`].
    pub(in crate::connection) fn begin_on(
        &mut self,
        thread: JoinHandle<()>,
    ) -> PeerConnectionHandle {
        // Cannot fail, because the thread exists.
        let _ = self.peer.lifecycle.start(|| Ok(thread));
        self.own = Some(self.peer.lifecycle.enter_thread());
        PeerConnectionHandle::new(self.peer.clone())
    }

    /// Runs the connection until it closes.
    pub(in crate::connection) fn run(self) {
        let connection = self.peer.current();
        thread::run(&self.peer, &connection, Some(self.accepted), self.slot);
    }
}
