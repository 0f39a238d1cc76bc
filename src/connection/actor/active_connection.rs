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
use super::peer_streams::{PeerStream, PeerStreams};
use super::request_table::RequestTable;
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
    session: Box<Mutex<Session>>,
    /// The reason of the end.
    pub(super) close: Arc<CloseCell>,
    pub(super) requests: RequestTable,
    /// The open streams.
    streams: RwLock<PeerStreams>,
    pub(super) data_stream: DataStream,
    /// Whether the handshake is complete and its last replies are queued, so that messages of
    /// callers follow them.
    is_established: AtomicBool,
}

impl ActiveConnection {
    /// Not inlined, because the thread of an accepted socket keeps the stack memory that its deepest
    /// call needed.
    #[inline(never)]
    pub(super) fn new(
        direction: Direction,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Arc<Self>, ConfigError> {
        let session = new_session(direction, config, nonces)?;
        let close = Arc::new(CloseCell::new());
        let genesis = BlockHeader::genesis(&config.network);
        Ok(Arc::new(Self {
            session,
            requests: RequestTable::new(&genesis, close.wakers().clone()),
            close,
            streams: RwLock::default(),
            data_stream: DataStream::default(),
            is_established: AtomicBool::new(false),
        }))
    }

    /// Locks the session for one call, with the current objects of open requests. If the session
    /// closes, the reason is recorded when the lock is released.
    pub(super) fn session(&self) -> SessionGuard<'_> {
        let mut session = self.session.lock();
        self.requests.update_expected(&mut session);
        SessionGuard {
            session,
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

    pub(super) fn is_established(&self) -> bool {
        self.is_established.load(Acquire)
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
        if let Some(primary) = self.streams().primary() {
            primary.socket.stop_reading();
        }
    }

    /// Returns the open streams.
    pub(super) fn streams(&self) -> PeerStreams {
        self.streams.read().clone()
    }

    /// Returns the stream for this message, if the connection has one.
    pub(super) fn stream_for(&self, message: &Message) -> Option<Arc<PeerStream>> {
        self.streams.read().stream_for(message).cloned()
    }

    pub(super) fn set_primary_stream(&self, stream: Arc<PeerStream>) {
        self.streams.write().set_primary(stream);
    }

    /// Adds the data stream. `policy` routes messages from now on.
    pub(super) fn add_data_stream(&self, stream: Arc<PeerStream>, policy: StreamPolicy) {
        self.streams.write().add_data(stream, policy);
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
            && let Some(primary) = self.streams().primary()
        {
            // A failure ends the connection.
            let _ = primary.outbox.reply(&[ping.into()]);
        }
    }
}

/// Creates a session on the heap. Not inlined, like [`ActiveConnection::new`].
#[inline(never)]
fn new_session(
    direction: Direction,
    config: &ConnectionConfig,
    nonces: &NonceRegistry,
) -> Result<Box<Mutex<Session>>, ConfigError> {
    let mut boxed = Box::new(Mutex::new(Session::new(
        direction,
        config.session.clone(),
        nonces.clone(),
        random::nonces(),
        Instant::now(),
    )?));
    let session = boxed.get_mut();
    session.set_genesis(config.network.genesis_header().hash());
    session.enable_multistream(uuid::Uuid::new_v4());
    Ok(boxed)
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::Network;
    use crate::connection::actor::PeerConnectionHandle;
    use crate::connection::actor::pending_request::RequestTimeout;
    use crate::connection::{
        Connection, EventReceiver, PeerConnectionOptions, RestartConfig, Supervisor,
    };
    use crate::error::Error;
    use crate::event::ControlEvent;
    use crate::session::SendError;
    use crate::wire::{Command, NetworkAddress, Ping, Services, StreamType, Version};

    const LIMIT: Duration = Duration::from_secs(10);

    /// A connection that is reopened, and its peer, driven by the test.
    struct Restarting {
        handle: PeerConnectionHandle,
        control: EventReceiver<ControlEvent>,
        listener: TcpListener,
        _supervisor: Supervisor,
    }

    impl Restarting {
        fn new() -> Self {
            let supervisor = Supervisor::start().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
            let control = options.events.subscribe_control();
            let address = listener.local_addr().unwrap();
            let restarts = RestartConfig::default();
            let handle = supervisor
                .spawn_outbound(address, options, restarts)
                .unwrap();
            Self {
                handle,
                control,
                listener,
                _supervisor: supervisor,
            }
        }

        /// Accepts the next connection. Returns both of its ends.
        fn accept(&self) -> (Connection, Arc<ActiveConnection>) {
            let (tcp, _) = self.listener.accept().unwrap();
            let config = ConnectionConfig::new(Network::Regtest);
            let peer = Connection::accept(tcp, &config, &NonceRegistry::default()).unwrap();
            self.handle.wait_connected(LIMIT).unwrap();
            (peer, self.handle.peer.current())
        }

        /// Waits until a restart is scheduled.
        fn expect_restart(&self) {
            while !matches!(
                self.control.recv_timeout(LIMIT).unwrap(),
                ControlEvent::ConnectionRestarting { .. }
            ) {}
        }
    }

    fn message(number: u8) -> Message {
        Message::Unknown {
            command: const { Command::new("test") },
            payload: vec![number].into(),
        }
    }

    #[test]
    fn message_checked_before_restart_is_not_sent_after() {
        let restarting = Restarting::new();
        let (peer, earlier) = restarting.accept();
        drop(peer);
        restarting.expect_restart();
        let (mut peer, _) = restarting.accept();
        let (check, timeout) = (PeerCapabilities::check, RequestTimeout::new(LIMIT));
        let sent = restarting
            .handle
            .send_checked(&earlier, &message(1), timeout, check);
        assert!(matches!(sent, Err(Error::Disconnected { .. })), "{sent:?}");
        restarting.handle.send(message(2), LIMIT).unwrap();
        let is_test = |message: &Message| matches!(message, Message::Unknown { .. });
        let mut received = peer.messages().map(Result::unwrap);
        assert_eq!(received.find(is_test), Some(message(2)));
    }

    #[test]
    fn request_cancelled_after_restart_spares_new_one() {
        let restarting = Restarting::new();
        let (peer, earlier) = restarting.accept();
        let (cancelled, _) = earlier
            .requests
            .with(|table| table.open_ping(Ping::new(1)))
            .unwrap();
        drop(peer);
        restarting.expect_restart();
        let (_peer, next) = restarting.accept();
        let (open, _) = next
            .requests
            .with(|table| table.open_ping(Ping::new(2)))
            .unwrap();
        assert_eq!(cancelled.id, open.id);
        earlier.requests.with(|table| {
            table.cancel(cancelled.id);
            table.abort(cancelled.id);
        });
        next.requests.on_pong(2, LIMIT, StreamType::General);
        assert_eq!(open.answer.try_recv(), Ok(Ok(LIMIT)));
    }

    /// The session is complete before the thread of the connection has queued its last replies.
    #[test]
    fn messages_are_refused_until_handshake_replies_are_queued() {
        let config = ConnectionConfig::new(Network::Regtest);
        let nonces = NonceRegistry::default();
        let connection = ActiveConnection::new(Direction::Inbound, &config, &nonces).unwrap();
        let now = Instant::now();
        let version = Version {
            version: crate::session::PROTOCOL_VERSION,
            services: Services::NETWORK,
            timestamp: 0,
            receiver: NetworkAddress::unspecified(Services::NONE),
            sender: None,
            nonce: None,
            user_agent: None,
            start_height: None,
            relay: None,
            association_id: None,
        };
        let address = "127.0.0.1:1".parse().unwrap();
        connection.session().on_connected(address, 0, now).unwrap();
        for received in [version.into(), Message::Verack] {
            let _ = connection.session().on_message(&received, now);
        }
        assert_eq!(connection.session().state(), ConnectionState::Connected);

        let check = || connection.peer_capabilities().unwrap().check(&message(1));
        assert_eq!(connection.state(), ConnectionState::AwaitingHandshake);
        assert!(matches!(
            check(),
            Err(SendError::HandshakeIncomplete { .. })
        ));
        connection.set_established();
        assert_eq!(
            (connection.state(), check()),
            (ConnectionState::Connected, Ok(()))
        );
        connection.close(DisconnectReason::Requested);
        let ended = connection.peer_capabilities().map(drop);
        assert_eq!(ended, Err(DisconnectReason::Requested));
    }
}
