//! Peers that the program names, and what it sends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Manager;
use super::clock::Now;
use crate::connection::EncodedMessage;
use crate::error::Error;
use crate::session::ConnectionState;
use crate::wire::Message;

/// Who got a message that was sent to all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BroadcastResult {
    /// The peers that took it.
    pub sent: Vec<Uuid>,
    /// Those that did not, and why: most often because too much waits for them already.
    pub failed: Vec<(Uuid, Error)>,
}

/// Reaching peers.
impl Manager {
    /// Waits until at least `count` peers are connected, handshake complete, at most `timeout`. Returns how many are.
    ///
    /// # Errors
    ///
    /// [`Error::TooFewPeers`] when the time is over or the manager has been shut down.
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

    /// Dials a peer now, whatever is thought of it, and keeps it connected as `restarts` of the configuration says. Returns its identity at
    /// once: events tell how it goes. A peer that is connected already, or being dialled, stays as it is.
    ///
    /// Such a peer is never banned for what it does, and its connection counts like any other.
    ///
    /// # Errors
    ///
    /// - [`Error::PortMismatch`] if the port is the default port of another network.
    /// - [`Error::Banned`] if the address is banned.
    /// - [`Error::ScopedAddress`] if the address has an IPv6 scope;
    ///   [`Connection::connect`](crate::Connection::connect) accepts such addresses.
    /// - [`Error::ConnectionLimit`], [`Error::TooManyManualPeers`], [`Error::NotRunning`].
    pub fn connect(&self, address: SocketAddr) -> Result<Uuid, Error> {
        self.shared.config().connection.check_port(address)?;
        let connected = self.ask(move |supervisor| supervisor.connect(address, Now::read()))?;
        connected.map_err(|not_dialled| not_dialled.into_error(address))
    }

    /// Ends the connection to a peer. It is not dialled again before the cool-down unless [`Manager::connect`] names it. Returns at once;
    /// an event tells of the end.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPeer`] without a connection to it; [`Error::NotRunning`].
    pub fn disconnect(&self, peer_id: Uuid) -> Result<(), Error> {
        let found = self.ask(move |supervisor| supervisor.plan.disconnect(peer_id))?;
        if found {
            return Ok(());
        }
        Err(Error::UnknownPeer { peer_id })
    }

    /// Sends a message to a peer; see [`PeerConnectionHandle::send`](crate::connection::PeerConnectionHandle::send). Blocks at
    /// most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPeer`] without a connection to it, and those of that method.
    pub fn send(&self, peer_id: Uuid, message: &Message, timeout: Duration) -> Result<(), Error> {
        let handle = self.shared.connections.get(peer_id);
        let handle = handle.ok_or(Error::UnknownPeer { peer_id })?;
        handle.send(message, timeout)
    }

    /// Sends a message to every peer whose handshake is complete. It is encoded once. Does not wait: a peer whose queue has no room now
    /// does not get it.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] before the start and after the shutdown.
    pub fn broadcast(&self, message: &Message) -> Result<BroadcastResult, Error> {
        self.ask(|_| ())?;
        let magic = self.shared.config().connection.magic();
        let prepared = EncodedMessage::new(magic, message.clone());
        let mut outcome = BroadcastResult::default();
        for one in self.shared.connections.all() {
            if one.state() != ConnectionState::Connected {
                continue;
            }
            match one.send_prepared(&prepared, Duration::ZERO) {
                Ok(()) => outcome.sent.push(one.peer_id()),
                Err(error) => outcome.failed.push((one.peer_id(), error)),
            }
        }
        Ok(outcome)
    }
}
