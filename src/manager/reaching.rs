//! Manual connections, and messages to peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Manager;
use super::clock::Now;
use crate::connection::EncodedMessage;
use crate::error::Error;
use crate::peers::{PeerId, PeerRef};
use crate::session::ConnectionState;
use crate::wire::Message;

/// The result of [`Manager::broadcast`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BroadcastResult {
    /// The peers to which the message was sent, or for which it was queued.
    pub sent: Vec<PeerRef>,
    /// The peers to which the message was not sent, and the errors. The most frequent one is
    /// [`Error::Timeout`]: the send queue of the peer is full.
    pub failed: Vec<(PeerRef, Error)>,
}

/// Connections to peers, and messages to them.
impl Manager {
    /// Blocks until at least `count` peers have completed their handshake, for at most `timeout`.
    ///
    /// Returns the number of connected peers. Can be called before the start.
    ///
    /// # Errors
    ///
    /// [`Error::TooFewPeers`] if the timeout expires or the manager is shut down.
    pub fn wait_for_peers(&self, count: usize, timeout: Duration) -> Result<usize, Error> {
        let began = Instant::now();
        let deadline = Now::read().after(timeout);
        let got = self.shared.connected.wait_for(count, deadline);
        if got >= count {
            return Ok(got);
        }
        Err(Error::TooFewPeers {
            wanted: count,
            got,
            after: began.elapsed(),
        })
    }

    /// Dials a manual peer at once, regardless of its status and of pending delays.
    ///
    /// Returns the id of the peer without waiting for the connection; events report the result. If
    /// the peer is already connected or being dialed, the connection is kept.
    ///
    /// The peer is dialed again as [`restarts`](crate::ManagerConfig::restarts) permits. It is
    /// never banned automatically and never removed from the known peers. Its connection counts
    /// like any other.
    ///
    /// # Errors
    ///
    /// - [`Error::Banned`] if the address is banned.
    /// - [`Error::ConnectionLimit`] if `max_connections` connections are open.
    /// - [`Error::NotRunning`] if the manager is not running.
    /// - [`Error::PortMismatch`] if the port is the default port of another network.
    /// - [`Error::ScopedAddress`] if the address has an IPv6 scope;
    ///   [`Connection::connect`](crate::Connection::connect) accepts such addresses.
    /// - [`Error::TooManyManualPeers`] if `max_known_peers` manual peers are already known.
    pub fn connect(&self, address: SocketAddr) -> Result<PeerId, Error> {
        self.shared.config().connection.check_port(address)?;
        let connected = self.ask(move |supervisor| supervisor.connect(address, Now::read()))?;
        connected.map_err(|not_dialed| not_dialed.into_error(address))
    }

    /// Closes the connection to a peer.
    ///
    /// Returns without waiting for the end of the connection, which an event reports. The peer is
    /// not dialed for the [cool-down](crate::ManagerConfig::cooldown) unless [`Manager::connect`]
    /// is called. An inbound peer can connect again at once; [`Manager::ban`] prevents that.
    ///
    /// # Errors
    ///
    /// - [`Error::NotRunning`] if the manager is not running.
    /// - [`Error::UnknownPeer`] if there is no connection to the peer.
    pub fn disconnect(&self, peer_id: PeerId) -> Result<(), Error> {
        let found = self.ask(move |supervisor| supervisor.plan.disconnect(peer_id))?;
        if found {
            return Ok(());
        }
        Err(Error::UnknownPeer { peer_id })
    }

    /// Sends a message to a peer, or queues it; see
    /// [`PeerConnectionHandle::send`](crate::connection::PeerConnectionHandle::send).
    ///
    /// Blocks for at most `timeout` until the send queue of the peer has space.
    ///
    /// # Errors
    ///
    /// - [`Error::Disconnected`] if the connection has ended.
    /// - [`Error::Send`] if the message must not be sent.
    /// - [`Error::Timeout`] if the send queue is full when the timeout expires.
    /// - [`Error::UnknownPeer`] if there is no connection to the peer.
    pub fn send(
        &self,
        peer_id: PeerId,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let handle = self.shared.connections.get(peer_id);
        let handle = handle.ok_or(Error::UnknownPeer { peer_id })?;
        handle.send(message, timeout)
    }

    /// Sends a message to all connected peers.
    ///
    /// The message is encoded once. Does not wait for peers: one whose send queue is full is listed
    /// in [`BroadcastResult::failed`]. [`Manager::broadcast_transaction`] announces a transaction
    /// and serves it to peers that request it.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the manager is not running.
    pub fn broadcast(&self, message: impl Into<Message>) -> Result<BroadcastResult, Error> {
        self.ask(|_| ())?;
        let magic = self.shared.config().connection.magic();
        let prepared = EncodedMessage::new(magic, message);
        let mut outcome = BroadcastResult::default();
        for one in self.shared.connections.all() {
            if one.state() != ConnectionState::Connected {
                continue;
            }
            match one.send_encoded(&prepared, Duration::ZERO) {
                Ok(()) => outcome.sent.push(one.peer_ref()),
                Err(error) => outcome.failed.push((one.peer_ref(), error)),
            }
        }
        Ok(outcome)
    }
}
