//! What a program holds of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::patience::Patience;
use super::shared::Shared;
use super::{ConnectionStatistics, ending, records};
use crate::connection::outbox::{NotTaken, Outbox};
use crate::connection::requests::Requests;
use crate::connection::{ConnectionConfig, EncodedMessage, TrafficStats};
use crate::error::{Error, Timeout};
use crate::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, Misbehavior, PeerInfo, PeerRequest,
    Receiver, RoundTrip, SendError, Session,
};
use crate::wire::Message;

/// What a connection can be told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerConnectionCommand {
    /// Other rules hold from now on: see [`PeerConnectionHandle::update_config`].
    UpdateConfig(Box<ConnectionConfig>),
    /// Send this message.
    SendMessage(Message),
    /// End the connection.
    Disconnect,
}

/// A connection that has a thread of its own.
///
/// Safe to use from several threads at once. **Dropping it ends the connection** and waits for its threads, as
/// [`PeerConnectionHandle::disconnect`] and [`PeerConnectionHandle::join`] do.
pub struct PeerConnectionHandle {
    pub(super) shared: Arc<Shared>,
}

impl PeerConnectionHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The peer's identity in events.
    pub fn peer_id(&self) -> Uuid {
        self.shared.peer_id
    }

    /// Where the peer is.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Who opened the connection.
    pub fn direction(&self) -> Direction {
        self.shared.direction
    }

    /// Where the connection stands.
    pub fn state(&self) -> ConnectionState {
        self.shared.session.lock().state()
    }

    /// Whether it has ended, for good or until it is opened again. Subscribers hear of that after it is so.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.session.lock().end().is_some()
    }

    /// Whether it has turned out to be a further stream of another peer: no event tells of it then.
    pub(crate) fn became_stream(&self) -> bool {
        self.shared.session.lock().end() == Some(&DisconnectReason::AttachedAsStream)
    }

    /// What the peer said of itself, once its `version` has been accepted.
    pub fn peer_info(&self) -> Option<PeerInfo> {
        self.shared.session.lock().peer_info().cloned()
    }

    /// How long the peer takes to answer pings.
    pub fn round_trip(&self) -> RoundTrip {
        self.shared.session.lock().round_trip()
    }

    /// Returns whether the peer asked for new blocks to be announced with `headers`. Otherwise they are announced with `inv`.
    ///
    /// It is always `false` for a [Teranode](crate::session::PeerProfile::Teranode), which closes the connection for headers
    /// that it did not request.
    pub fn wants_headers(&self) -> bool {
        self.shared.session.lock().wants_headers()
    }

    /// The longest payload that the peer takes, for commands without a limit of their own, in bytes: 1 MiB until its
    /// `protoconf` has come, which is after the handshake and never says less.
    ///
    /// [`max_inventory`](Self::max_inventory) returns the number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.shared.session.lock().peer_max_payload()
    }

    /// Returns the number of entries that an `inv`, `getdata` or `notfound` to this peer should have at most.
    ///
    /// [`Session::max_inventory`](crate::session::Session::max_inventory) documents the rule.
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split) take this number.
    pub fn max_inventory(&self) -> usize {
        self.shared.session.lock().max_inventory()
    }

    /// Returns the limit of the peer's `protoconf` in bytes, or 0 before it has arrived: a node sends
    /// enriched headers by this rule.
    pub(crate) fn peer_protoconf_payload(&self) -> u32 {
        self.shared.session.lock().peer_protoconf_payload()
    }

    /// How much has gone each way.
    pub fn traffic(&self) -> TrafficStats {
        self.shared.traffic()
    }

    /// All that there is to know of the connection at this moment, copied out.
    pub fn statistics(&self) -> ConnectionStatistics {
        ConnectionStatistics::of(&self.shared)
    }

    /// Other rules hold from now on: a live connection has them within a second.
    ///
    /// At once: every timeout and interval, what may be received and queued. With the next connection to this peer: what our `version`
    /// says, whom we accept, `tcp_keepalive`. What our `protoconf` allowed the peer, it may send to the end of this connection.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value, and for another network or magic than the connection has. Nothing changes then.
    pub fn update_config(&self, config: ConnectionConfig) -> Result<(), Error> {
        config.validate()?;
        let current = self.shared.config();
        let same = config.network == current.network;
        let expected = "a connection keeps its network";
        ConfigError::unless(same, "network", &config.network, expected)?;
        let same = config.magic() == current.magic();
        let expected = "a connection keeps its magic";
        ConfigError::unless(same, "magic", &config.magic(), expected)?;
        self.shared.set_config(config);
        Ok(())
    }

    /// How many messages and bytes wait to be sent.
    pub fn queued(&self) -> (usize, usize) {
        self.shared.links().load()
    }

    /// Sends a message: writes it at once if nothing else waits, queues it otherwise. Waits for room at most `timeout`.
    ///
    /// Messages that were taken are written in the order of the calls, those that go over the same stream. If the connection ends first, it is lost, and the
    /// event of the end says why.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if the message may not be sent, [`Error::Timeout`] if there was no room,
    /// [`Error::Disconnected`] if the connection has ended.
    pub fn send(&self, message: &Message, timeout: Duration) -> Result<(), Error> {
        self.send_checked(message, Patience::new(timeout), Receiver::check)
    }

    /// Sends a message if it can be taken at once; [`Error::Timeout`] if not.
    ///
    /// # Errors
    ///
    /// Those of [`PeerConnectionHandle::send`].
    pub fn try_send(&self, message: &Message) -> Result<(), Error> {
        self.send(message, Duration::ZERO)
    }

    /// Sends a message that a default node punishes or ignores or no receiver can read, as [`PeerConnectionHandle::send`] sends others.
    ///
    /// # Errors
    ///
    /// Those of [`PeerConnectionHandle::send`].
    pub fn send_unchecked(&self, message: &Message, timeout: Duration) -> Result<(), Error> {
        self.send_checked(message, Patience::new(timeout), Receiver::check_unchecked)
    }

    /// Sends a message that has been encoded before, for many peers, as [`PeerConnectionHandle::send`] sends others.
    ///
    /// # Errors
    ///
    /// Those of [`PeerConnectionHandle::send`], and [`Error::Config`] if it was prepared for another network.
    pub fn send_prepared(&self, prepared: &EncodedMessage, timeout: Duration) -> Result<(), Error> {
        let patience = Patience::new(timeout);
        let right = prepared.magic() == self.shared.config().magic();
        let expected = "the magic of the connection";
        ConfigError::unless(right, "magic", &prepared.magic(), expected)?;
        self.send_by(prepared.message(), patience, Receiver::check, |outbox| {
            outbox.send_frame(prepared.frame(), patience.deadline)
        })
    }

    /// Waits until everything that was sent is handed to the system, at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] and [`Error::Disconnected`].
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let patience = Patience::new(timeout);
        let links = self.shared.links();
        match links.first() {
            Some(_) => links.all().try_for_each(|link| {
                let flushed = link.outbox.flush(patience.deadline);
                flushed.map_err(|error| self.not_taken(error, patience))
            }),
            None => match self.shared.session.lock().end() {
                Some(reason) => Err(self.disconnected(reason.clone())),
                None => Ok(()),
            },
        }
    }

    /// Carries out a command; [`PeerConnectionCommand::SendMessage`] as [`PeerConnectionHandle::try_send`].
    ///
    /// # Errors
    ///
    /// Those of [`PeerConnectionHandle::send`].
    pub fn command(&self, command: PeerConnectionCommand) -> Result<(), Error> {
        match command {
            PeerConnectionCommand::UpdateConfig(config) => self.update_config(*config),
            PeerConnectionCommand::SendMessage(message) => self.try_send(&message),
            PeerConnectionCommand::Disconnect => {
                self.disconnect();
                Ok(())
            }
        }
    }

    /// Ends the connection, in whatever state it is. Returns at once; the thread ends within moments.
    ///
    /// What waits to be sent is dropped: [`PeerConnectionHandle::flush`] first to have it sent.
    pub fn disconnect(&self) {
        self.stop(DisconnectReason::Requested);
    }

    /// Ends the connection for a reason of ours.
    pub(crate) fn stop(&self, reason: DisconnectReason) {
        self.shared.stop.set(reason.clone());
        self.shared.close_links(&reason);
        // Nobody else tells of the end of a connection that waits to be opened again.
        ending::stop_waiting(&self.shared, reason);
    }

    /// The owner has found out what the peer did wrong. It is told within a second; the connection ends if that was too much.
    pub(crate) fn misbehaved(&self, misbehavior: Misbehavior) {
        let end = {
            let mut session = self.shared.session.lock();
            if session.end().is_some() {
                return;
            }
            session.misbehaved(misbehavior);
            session.end().cloned()
        };
        if let Some(reason) = end {
            self.stop(reason);
        }
    }

    /// Waits until the connection has ended for good and its threads are gone. It does not end the connection.
    ///
    /// A connection that has ended by itself first waits for subscribers to take what is left, at most for
    /// [`ConnectionConfig::subscriber_timeout`](crate::ConnectionConfig::subscriber_timeout), or until it is disconnected.
    pub fn join(&self) {
        self.shared.stages.join();
    }

    /// Does the same, at most until `deadline`. Returns whether the connection has ended for good by then.
    pub(crate) fn join_until(&self, deadline: Instant) -> bool {
        let is_over = self.shared.stages.wait_until_over(deadline);
        if is_over {
            // Its thread has nothing left to do but end.
            self.join();
        }
        is_over
    }

    pub(super) fn send_checked(
        &self,
        message: &Message,
        patience: Patience,
        check: fn(Receiver, &Message) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.send_by(message, patience, check, |outbox| {
            outbox.send(message, patience.deadline)
        })
    }

    /// Checks `message`, lets `send` hand it to the outbox, and takes note of what it asks for.
    fn send_by(
        &self,
        message: &Message,
        patience: Patience,
        check: fn(Receiver, &Message) -> Result<(), SendError>,
        send: impl FnOnce(&Outbox) -> Result<(), NotTaken>,
    ) -> Result<(), Error> {
        let receiver = {
            let session = self.shared.session.lock();
            if let Some(reason) = session.end() {
                return Err(self.disconnected(reason.clone()));
            }
            session.receiver()
        };
        check(receiver, message).map_err(|refused| Error::Send {
            peer: self.name(),
            refused,
        })?;
        if Session::is_request(message) {
            self.shared.session.lock().on_sent(message);
        }
        let Some(link) = self.shared.carrying(message) else {
            return Err(self.ended());
        };
        send(&link.outbox).map_err(|error| self.not_taken(error, patience))?;
        if Session::is_answer(message) {
            self.shared.session.lock().on_sent(message);
        }
        records::sent(&self.shared, message);
        if message.command() == Message::GetAddr.command() {
            self.shared.requests.with(Requests::on_getaddr_sent);
        }
        Ok(())
    }

    /// Queues the messages of one request over the stream of the first one, all of them or none.
    ///
    /// On one stream, the peer handles them in this order. `patience` is for room in the queue.
    pub(super) fn send_together(
        &self,
        messages: &[Message],
        patience: Patience,
    ) -> Result<(), Error> {
        let Some(first) = messages.first() else {
            return Ok(());
        };
        {
            let mut session = self.shared.session.lock();
            if let Some(reason) = session.end() {
                return Err(self.disconnected(reason.clone()));
            }
            let receiver = session.receiver();
            let refused = messages.iter().find_map(|one| receiver.check(one).err());
            if let Some(refused) = refused {
                return Err(Error::Send {
                    peer: self.name(),
                    refused,
                });
            }
            let requests = messages.iter().filter(|one| Session::is_request(one));
            requests.for_each(|request| session.on_sent(request));
        }
        let Some(link) = self.shared.carrying(first) else {
            return Err(self.ended());
        };
        let sent = link.outbox.send_all(messages, patience.deadline);
        sent.map_err(|error| self.not_taken(error, patience))?;
        for message in messages {
            records::sent(&self.shared, message);
        }
        Ok(())
    }

    /// Fails if a peer of this kind does not answer the request.
    pub(super) fn check_supported(&self, request: PeerRequest) -> Result<(), Error> {
        let unsupported = self.shared.session.lock().unsupported(request);
        match unsupported {
            None => Ok(()),
            Some(profile) => Err(Error::NotSupportedByPeer {
                peer: self.name(),
                request: request.name(),
                profile,
            }),
        }
    }

    /// Returns the error of a call that found the connection without a stream.
    fn ended(&self) -> Error {
        let end = self.shared.session.lock().end().cloned();
        self.disconnected(end.unwrap_or(DisconnectReason::Requested))
    }

    fn not_taken(&self, error: NotTaken, patience: Patience) -> Error {
        match error {
            NotTaken::Full => self.timed_out(Timeout::Send, patience),
            // The session's reason is the one that the event of the end gives.
            NotTaken::Closed(reason) => {
                let end = self.shared.session.lock().end().cloned();
                self.disconnected(end.unwrap_or_else(|| self.shared.agree_on(reason)))
            }
        }
    }

    pub(super) fn timed_out(&self, which: Timeout, patience: Patience) -> Error {
        Error::Timeout {
            peer: self.name(),
            which,
            after: patience.timeout,
        }
    }

    /// How errors call the peer.
    pub(super) fn name(&self) -> String {
        self.address().to_string()
    }

    fn disconnected(&self, reason: DisconnectReason) -> Error {
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
            .field("peer_id", &self.shared.peer_id)
            .field("address", &self.shared.address)
            .field("direction", &self.shared.direction)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
