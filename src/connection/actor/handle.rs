//! The handle to a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer_connection::PeerConnection;
use super::pending_request::RequestTimeout;
use super::{ConnectionStatistics, QueueStats, thread};
use crate::connection::{ConnectionConfig, EncodedMessage, TrafficStats};
use crate::error::{Error, Timeout};
use crate::peers::{PeerId, PeerRef};
use crate::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, Misbehavior, PeerCapabilities,
    PeerInfo, RoundTrip,
};
use crate::wire::Message;

/// A command for [`PeerConnectionHandle::command`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerConnectionCommand {
    /// Replaces the configuration. See [`PeerConnectionHandle::update_config`].
    UpdateConfig(Box<ConnectionConfig>),
    /// Sends a message. See [`PeerConnectionHandle::try_send`].
    SendMessage(Message),
    /// Closes the connection. See [`PeerConnectionHandle::disconnect`].
    Disconnect,
}

/// A handle to a connection that runs on its own threads.
///
/// [`PeerConnectionActor`](super::PeerConnectionActor) and
/// [`Supervisor`](crate::connection::Supervisor) return it. **Dropping the handle closes the
/// connection** and waits for its threads, like [`disconnect`](Self::disconnect) and
/// [`join`](Self::join). Methods can be called from several threads at once. Unless documented
/// otherwise, they do not block.
///
/// Messages and requests are refused until the handshake is complete.
/// [`wait_connected`](Self::wait_connected) waits for that, and [`ControlEvent::HandshakeComplete`](crate::event::ControlEvent::HandshakeComplete) reports it.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{ConnectionConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// let options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// let peer = PeerConnectionActor::spawn_outbound(node.address(), options)?;
/// peer.wait_connected(Duration::from_secs(10))?;
/// println!("round trip: {:?}", peer.ping(Duration::from_secs(10))?);
///
/// peer.disconnect();
/// peer.join();
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the handle closes the connection"]
pub struct PeerConnectionHandle {
    pub(super) peer: Arc<PeerConnection>,
}

impl PeerConnectionHandle {
    pub(super) fn new(peer: Arc<PeerConnection>) -> Self {
        Self { peer }
    }

    /// Returns the id of the peer in events.
    pub fn peer_id(&self) -> PeerId {
        self.peer.peer_id
    }

    /// Returns the socket address of the peer.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer.address
    }

    /// Returns the id and the address of the peer.
    pub fn peer_ref(&self) -> PeerRef {
        PeerRef::new(self.peer.peer_id, self.peer.address)
    }

    /// Returns which side opened the connection.
    pub fn direction(&self) -> Direction {
        self.peer.direction
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> ConnectionState {
        self.peer.current().state()
    }

    /// Returns whether the connection has ended, permanently or until a restart. The event follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.peer.current().close.is_closed()
    }

    /// Returns what the peer announced about itself, or `None` before its `version` has been
    /// accepted.
    pub fn peer_info(&self) -> Option<PeerInfo> {
        self.peer.current().session().peer_info().cloned()
    }

    /// Returns the round-trip times of the pings on this connection.
    pub fn round_trip(&self) -> RoundTrip {
        self.peer.current().session().round_trip()
    }

    /// Returns whether the peer asked for new blocks to be announced with `headers`. Otherwise they
    /// are announced with `inv`.
    ///
    /// Always returns `false` for a [Teranode](crate::session::PeerProfile::Teranode), which closes
    /// the connection for headers that it did not request.
    pub fn wants_headers(&self) -> bool {
        self.peer.current().session().wants_headers()
    }

    /// Returns the maximum payload that the peer accepts, in bytes, for commands without a limit of
    /// their own.
    ///
    /// The value is 1 MiB until the `protoconf` of the peer arrives, which happens after the
    /// handshake. A `protoconf` never announces less. [`max_inventory`](Self::max_inventory)
    /// returns the maximum number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.peer.current().session().peer_max_payload()
    }

    /// Returns the number of entries that an `inv`, `getdata` or `notfound` to this peer should
    /// have at most.
    ///
    /// [`Session::max_inventory`](crate::session::Session::max_inventory) documents the rule.
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split)
    /// accept this number.
    pub fn max_inventory(&self) -> usize {
        self.peer.current().session().max_inventory()
    }

    /// Returns the limit of the peer's `protoconf` in bytes, or 0 before it has arrived. A node
    /// limits its enriched headers by this value.
    pub(crate) fn peer_protoconf_payload(&self) -> u32 {
        self.peer.current().session().peer_protoconf_payload()
    }

    /// Returns the numbers of messages and bytes received and sent, over all restarts and streams.
    pub fn traffic(&self) -> TrafficStats {
        self.peer.traffic()
    }

    /// Returns a snapshot of the statistics of the connection.
    pub fn statistics(&self) -> ConnectionStatistics {
        ConnectionStatistics::of(&self.peer)
    }

    /// Replaces the configuration.
    ///
    /// The connection applies it within a second, also while it waits for subscribers, memory or a
    /// block reader. Timeouts, intervals, and limits of received and queued data change then. The values of our
    /// `version`, the requirements on the peer and `tcp_keepalive` take effect with the next
    /// connection to the peer. The peer may send payloads up to the limit of our last `protoconf`
    /// until the connection closes.
    ///
    /// # Errors
    ///
    /// If an error is returned, nothing changes.
    ///
    /// - [`Error::Config`] if a value is invalid, or the network or the magic differs from that of
    ///   the connection.
    pub fn update_config(&self, config: ConnectionConfig) -> Result<(), Error> {
        config.validate()?;
        let (current, _) = self.peer.config();
        let same = config.network == current.network;
        let expected = "a connection keeps its network";
        ConfigError::unless(same, "network", &config.network, expected)?;
        let same = config.magic() == current.magic();
        let expected = "a connection keeps its magic";
        ConfigError::unless(same, "magic", &config.magic(), expected)?;
        self.peer.set_config(config);
        Ok(())
    }

    /// Returns the numbers of messages and bytes in the send queues of all streams.
    pub fn send_queue(&self) -> QueueStats {
        let (messages, bytes) = self.peer.current().streams().queued();
        QueueStats { messages, bytes }
    }

    /// Waits until the handshake is complete.
    ///
    /// Returns immediately if it already is. If the connection is
    /// [supervised](crate::connection::Supervisor), attempts to reopen it are part of the wait.
    /// Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::Timeout`] if the handshake is not complete in time. The connection continues.
    /// - [`Error::Disconnected`] with the reason if the connection is closed permanently before.
    pub fn wait_connected(&self, timeout: Duration) -> Result<(), Error> {
        let timeout = RequestTimeout::new(timeout);
        let connected = self.peer.wait_connected(timeout.deadline);
        match connected {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(self.disconnected(reason)),
            None => Err(self.timed_out(Timeout::Handshake, timeout)),
        }
    }

    /// Sends a message.
    ///
    /// `message` is a [`Message`], one of its types such as [`GetData`](crate::wire::GetData), or a
    /// `&Message`, which is cloned. The clone of a block or a transaction shares its payload.
    ///
    /// Writes it immediately if nothing else is queued, and queues it otherwise. Blocks for at most
    /// `timeout` while the queue is full.
    ///
    /// Content that every node punishes is refused, such as headers without proof of work. That
    /// check hashes each header, and each transaction of a block, on the thread of the caller.
    /// Some rules are [not checked](crate::session::SendError#not-checked).
    ///
    /// Accepted messages are written in the order of the calls, separately for each stream. If the
    /// connection closes first, queued messages are dropped. The final event has the reason.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] if the message must not be sent to this peer, or the handshake is
    ///   not complete.
    /// - [`Error::Timeout`] if the queue is full for the whole time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn send(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), Error> {
        self.send_checked(
            &self.peer.current(),
            &message.into(),
            RequestTimeout::new(timeout),
            PeerCapabilities::check,
        )
    }

    /// Like [`send`](Self::send), but does not block while the queue is full.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] if the message must not be sent to this peer, or the handshake is
    ///   not complete.
    /// - [`Error::Timeout`] if the queue is full.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.send(message, Duration::ZERO)
    }

    /// Like [`send`](Self::send), but also sends messages that nodes punish, ignore or cannot
    /// decode.
    ///
    /// Messages of the handshake and messages above the limits of the peer are still refused.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send).
    pub fn send_unchecked(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let message = message.into();
        self.send_checked(
            &self.peer.current(),
            &message,
            RequestTimeout::new(timeout),
            PeerCapabilities::check_lenient,
        )
    }

    /// Like [`send`](Self::send), but sends a message that was encoded once for several peers.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if the message was prepared for another magic.
    /// - The errors of [`send`](Self::send).
    pub fn send_encoded(&self, prepared: &EncodedMessage, timeout: Duration) -> Result<(), Error> {
        let timeout = RequestTimeout::new(timeout);
        let right = prepared.magic() == self.peer.config().0.magic();
        let expected = "the magic of the connection";
        ConfigError::unless(right, "magic", &prepared.magic(), expected)?;
        self.send_by(
            &self.peer.current(),
            prepared.message(),
            timeout,
            |receiver, _| prepared.check(receiver),
            |outbox| outbox.send_frames(vec![prepared.frame()], timeout.deadline),
        )
    }

    /// Like [`try_send`](Self::try_send), for a message whose content was checked before.
    pub(crate) fn try_send_valid(&self, message: &Message) -> Result<(), Error> {
        let timeout = RequestTimeout::new(Duration::ZERO);
        let connection = self.peer.current();
        self.send_checked(&connection, message, timeout, PeerCapabilities::check_valid)
    }

    /// Waits until all queued messages have been handed to the operating system.
    ///
    /// Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::Timeout`] if messages are left in a queue.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let timeout = RequestTimeout::new(timeout);
        let connection = self.peer.current();
        let streams = connection.streams();
        if streams.primary().is_none()
            && let Some(reason) = connection.close.reason()
        {
            return Err(self.disconnected(reason));
        }
        streams.all().try_for_each(|stream| {
            let flushed = stream.outbox.flush(timeout.deadline);
            flushed.map_err(|error| self.queue_error(&connection, error, timeout))
        })
    }

    /// Executes a command. Does not block on a full queue.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] for [`PeerConnectionCommand::UpdateConfig`], as documented at
    ///   [`update_config`](Self::update_config).
    /// - The errors of [`try_send`](Self::try_send) for [`PeerConnectionCommand::SendMessage`].
    pub fn command(&self, command: PeerConnectionCommand) -> Result<(), Error> {
        match command {
            PeerConnectionCommand::UpdateConfig(config) => self.update_config(*config),
            PeerConnectionCommand::SendMessage(message) => self.try_send(message),
            PeerConnectionCommand::Disconnect => {
                self.disconnect();
                Ok(())
            }
        }
    }

    /// Closes the connection permanently, in any state.
    ///
    /// The threads end soon afterwards; [`join`](Self::join) waits for them. Queued messages are
    /// dropped. Call [`flush`](Self::flush) first to have them sent. Does not block.
    pub fn disconnect(&self) {
        self.stop(DisconnectReason::Requested);
    }

    /// Closes the connection permanently with `reason`.
    pub(crate) fn stop(&self, reason: DisconnectReason) {
        self.peer.stop(reason.clone());
        // No thread emits the final event of a connection that waits for a restart.
        thread::cancel_restart(&self.peer, reason);
    }

    /// Records misbehavior that the owner detected. Closes the connection if the score reaches the
    /// threshold.
    ///
    /// The event is emitted within a second.
    pub(crate) fn misbehaved(&self, misbehavior: Misbehavior) {
        let connection = self.peer.current();
        if connection.close.is_closed() {
            return;
        }
        connection.session().misbehaved(misbehavior);
        match connection.close.final_reason() {
            Some(reason) => self.stop(reason),
            None => connection.close.wakers().wake_all(),
        }
    }

    /// Waits until the connection is permanently closed and its threads have ended. Does not close
    /// it.
    ///
    /// Blocks without a limit while the connection is open or waits for a restart. Does not wait
    /// for subscribers: the last events are in their queues. Returns immediately on a thread of the
    /// connection, for example if its logger drops the handle.
    pub fn join(&self) {
        self.peer.lifecycle.join();
    }

    /// Like [`join`](Self::join), but waits until `deadline` at most. Returns whether the
    /// connection is permanently closed.
    pub(crate) fn join_until(&self, deadline: Instant) -> bool {
        let closed = |is_closed: bool| is_closed.then_some(());
        let is_closed = self.peer.lifecycle.wait_for(Some(deadline), closed);
        if is_closed.is_some() {
            // The thread is about to end, so this returns soon.
            self.join();
        }
        is_closed.is_some()
    }

    pub(super) fn timed_out(&self, which: Timeout, timeout: RequestTimeout) -> Error {
        Error::Timeout {
            peer: self.name(),
            which,
            after: timeout.duration,
        }
    }

    /// Returns the name of the peer in errors.
    pub(super) fn name(&self) -> String {
        self.peer_addr().to_string()
    }

    pub(super) fn disconnected(&self, reason: DisconnectReason) -> Error {
        Error::Disconnected {
            peer: self.name(),
            reason,
        }
    }
}

impl Drop for PeerConnectionHandle {
    fn drop(&mut self) {
        self.disconnect();
        self.join();
    }
}

impl fmt::Debug for PeerConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnectionHandle")
            .field("peer_id", &self.peer.peer_id)
            .field("address", &self.peer.address)
            .field("direction", &self.peer.direction)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
