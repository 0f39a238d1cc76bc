//! The state of one connection, from dialing or accepting to its end.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::data_stream::DataStream;
use super::open_requests::OpenRequests;
use super::peer_streams::{PeerStream, PeerStreams};
use crate::connection::close_cell::CloseCell;
use crate::connection::{ConnectionConfig, random};
use crate::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, NonceRegistry, PeerCapabilities,
    Session,
};
use crate::wire::{BlockHeader, Message, StreamPolicy};

/// One connection to a peer, with its optional data stream.
///
/// Each connection attempt creates a new object. Nothing in it is reset, so a caller that keeps one
/// cannot reach a later connection by mistake. After the end, it remains readable without sockets.
pub(in crate::connection) struct ActiveConnection {
    /// Locked for one call, never during a wait.
    session: Mutex<Session>,
    /// The reason of the end.
    pub(super) close: Arc<CloseCell>,
    pub(super) requests: OpenRequests,
    /// The open streams.
    streams: RwLock<PeerStreams>,
    pub(super) data_stream: DataStream,
    /// Whether the handshake is complete and its last replies are queued, so that messages of
    /// callers follow them.
    is_established: AtomicBool,
}

impl ActiveConnection {
    pub(super) fn new(
        direction: Direction,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, ConfigError> {
        let mut session = Session::new(
            direction,
            config.session.clone(),
            nonces.clone(),
            random::nonces(),
            Instant::now(),
        )?;
        session.set_genesis(config.network.genesis_header().hash());
        session.enable_multistream(uuid::Uuid::new_v4());
        let close = Arc::new(CloseCell::new());
        let genesis = BlockHeader::genesis(&config.network);
        Ok(Self {
            session: Mutex::new(session),
            requests: OpenRequests::new(&genesis, close.wakers().clone()),
            close,
            streams: RwLock::default(),
            data_stream: DataStream::default(),
            is_established: AtomicBool::new(false),
        })
    }

    /// Locks the session for one call. If the session closes, the reason is recorded when the lock
    /// is released.
    pub(super) fn session(&self) -> SessionGuard<'_> {
        SessionGuard {
            session: self.session.lock(),
            close: &self.close,
        }
    }

    /// Returns the state for callers: `Connected` once they may send messages.
    pub(super) fn state(&self) -> ConnectionState {
        match self.session.lock().state() {
            ConnectionState::Connected if !self.is_established() => {
                ConnectionState::AwaitingHandshake
            }
            state => state,
        }
    }

    /// Lets callers send messages. Must be called after the last replies of the handshake are
    /// queued.
    pub(super) fn set_established(&self) {
        self.is_established.store(true, Release);
    }

    fn is_established(&self) -> bool {
        self.is_established.load(Acquire)
    }

    /// Returns whether the peer may open a data stream now.
    pub(in crate::connection) fn awaits_stream(&self) -> bool {
        self.data_stream.is_awaited()
    }

    /// Returns the messages that the peer accepts now.
    ///
    /// # Errors
    ///
    /// The reason if the connection has ended.
    pub(super) fn peer_capabilities(&self) -> Result<PeerCapabilities, DisconnectReason> {
        let capabilities = self.session().peer_capabilities();
        // A session that closed has recorded its reason.
        match self.close.reason() {
            Some(reason) => Err(reason),
            None if self.is_established() => Ok(capabilities),
            None => Ok(capabilities.before_handshake()),
        }
    }

    /// Ends the connection: shuts all streams down, wakes all waits and fails the open requests.
    /// Returns the reason to report, which is `reason` unless there is an earlier one. Does not
    /// block.
    pub(super) fn close(&self, reason: DisconnectReason) -> DisconnectReason {
        self.close.close(reason.clone());
        let reason = self.close.final_reason().unwrap_or(reason);
        self.requests.close(&reason);
        reason
    }

    /// Handles the end of the data stream on its own thread.
    ///
    /// Unless the peer closed the stream, the thread of the primary stream sends the last replies
    /// and closes the connection.
    pub(super) fn on_data_stream_end(&self, reason: DisconnectReason) {
        if reason.is_peer_close() {
            self.close.close_by_peer(reason);
            return;
        }
        self.close.record(reason);
        if let Some(primary) = self.streams().first() {
            primary.socket.stop_reading();
        }
    }

    /// Returns the open streams.
    pub(super) fn streams(&self) -> PeerStreams {
        self.streams.read().clone()
    }

    /// Returns the stream for this message, if the connection has one.
    pub(super) fn stream_for(&self, message: &Message) -> Option<Arc<PeerStream>> {
        self.streams.read().carrying(message).cloned()
    }

    pub(super) fn set_primary_stream(&self, stream: Arc<PeerStream>) {
        self.streams.write().set_first(stream);
    }

    /// Adds the data stream. `policy` routes messages from now on.
    pub(super) fn add_data_stream(&self, stream: Arc<PeerStream>, policy: StreamPolicy) {
        self.streams.write().add_second(stream, policy);
    }

    /// Removes the streams. Their sockets close once no call uses them.
    pub(super) fn remove_streams(&self) -> PeerStreams {
        std::mem::take(&mut *self.streams.write())
    }

    /// Sends a ping if an open request needs one.
    pub(super) fn send_fence(&self) {
        if !self.requests.wants_fence() {
            return;
        }
        let ping = self.session().ping(Instant::now());
        if let Some(nonce) = ping.nonce {
            self.requests.on_fence(nonce);
            self.streams().reply(&[ping.into()]);
        }
    }

    /// Sends the ping that is due, if the peer closes connections on which this side is silent.
    ///
    /// The ping uses the primary stream, so that a block on the data stream delays neither ping nor
    /// pong.
    pub(super) fn keep_alive(&self, now: Instant) {
        let ping = self.session().keepalive_ping(now);
        if let Some(ping) = ping
            && let Some(primary) = self.streams().first()
        {
            // A failure ends the connection.
            let _ = primary.outbox.reply(&[ping.into()]);
        }
    }
}

/// The locked session of a connection.
pub(super) struct SessionGuard<'a> {
    session: MutexGuard<'a, Session>,
    close: &'a CloseCell,
}

impl Deref for SessionGuard<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for SessionGuard<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Drop for SessionGuard<'_> {
    fn drop(&mut self) {
        // The lock is still held, so nobody sees a closed session without a recorded reason.
        if let Some(reason) = self.session.close_reason()
            && !self.close.is_closed()
        {
            self.close.record(reason.clone());
        }
    }
}
