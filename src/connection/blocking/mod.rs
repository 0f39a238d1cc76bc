//! Connection that runs on the thread of its caller.

mod block;
mod connect;
mod io;
mod receive_queue;
mod requests;

use std::fmt;
use std::iter::FusedIterator;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use self::receive_queue::ReceiveQueue;
use super::block_reader::BlockSink;
use super::logging::Logged;
use super::message_reader::{MessageReader, Received};
use super::requests::Requests;
use super::send_queue::SendQueue;
use super::stream::Stream;
use super::traffic::TrafficCounters;
use super::{ConnectionConfig, TrafficStats};
use crate::deadline::deadline_after;
use crate::error::Error;
use crate::log_level::LogLevel;
use crate::log_record::LogRecord;
use crate::session::{DisconnectReason, PeerInfo, RoundTrip, SendError, Session};
use crate::wire::Message;

/// The maximum duration of a blocking write. The connection reads in between, because the peer may
/// not read until its own data is read.
const WRITE_WAIT: Duration = Duration::from_millis(10);

/// The maximum time that [`Connection::close`] waits for the peer.
const LINGER: Duration = Duration::from_secs(1);

/// A connection to one peer that runs on the thread of its caller.
///
/// [`Connection::connect`] and [`Connection::accept`] return once the handshake is complete. Pings
/// are answered and timeouts checked only during calls. A peer may close the connection if no call
/// is made for several minutes. The time between two calls does not count towards the timeouts of
/// this side. [`Connection::close`] ends the connection in an orderly way, and dropping it closes
/// it immediately.
///
/// Messages that arrive during a request or while a message is sent are queued for
/// [`Connection::receive`]. The queue holds at most
/// [`ConnectionConfig::max_receive_queue_bytes`]. When it is full, the oldest messages are dropped,
/// and [`Connection::dropped_messages`] counts them.
///
/// A connection may move between threads, but only one thread can use it at a time.
/// [`PeerConnectionHandle`](super::PeerConnectionHandle) can be shared.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// let tip = node.mine(1)?[0];
///
/// let config = ConnectionConfig::new(Network::Regtest);
/// let mut peer = Connection::connect(node.address(), &config)?;
/// let timeout = Duration::from_secs(10);
/// let round_trip = peer.ping(timeout)?;
/// println!("{} responds in {round_trip:?}", peer.peer_info().user_agent);
/// assert_eq!(peer.block(tip, timeout)?.hash(), tip);
///
/// node.mine(1)?;
/// let message = peer.receive()?;
/// println!("received {}", message.command());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the connection closes it"]
pub struct Connection {
    /// The name of the peer in errors: the string passed by the caller, or the address.
    name: String,
    config: ConnectionConfig,
    stream: Stream,
    reader: MessageReader,
    session: Session,
    peer: PeerInfo,
    counters: Arc<TrafficCounters>,
    unsent: SendQueue,
    received: ReceiveQueue,
    requests: Requests,
    /// The block that is being received for a reader.
    block: Option<BlockSink>,
    /// The time at which the last call returned. The timeouts of the peer are suspended between
    /// calls.
    last_call_at: Instant,
}

impl Connection {
    /// Returns the properties that the peer announced in its `version`.
    pub fn peer_info(&self) -> &PeerInfo {
        &self.peer
    }

    /// Returns the socket address of the peer.
    pub fn peer_addr(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// Returns the round-trip times of the pings on this connection.
    pub fn round_trip(&self) -> RoundTrip {
        self.session.round_trip()
    }

    /// Returns whether the peer requested that new blocks are announced with `headers`. Otherwise
    /// they are announced with `inv`.
    ///
    /// Always returns `false` for a [Teranode](crate::session::PeerProfile::Teranode), which closes
    /// the connection for headers that it did not request.
    pub fn wants_headers(&self) -> bool {
        self.session.wants_headers()
    }

    /// Returns the maximum payload that the peer accepts, in bytes, for commands without a limit of
    /// their own.
    ///
    /// The value is 1 MiB until the `protoconf` of the peer arrives, which happens after the
    /// handshake. A `protoconf` never announces less. [`max_inventory`](Self::max_inventory)
    /// returns the maximum number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.session.peer_max_payload()
    }

    /// Returns the maximum number of entries that an `inv`, `getdata` or `notfound` to this peer
    /// should have.
    ///
    /// [`Session::max_inventory`](crate::session::Session::max_inventory) documents the rule.
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split)
    /// accept this number.
    pub fn max_inventory(&self) -> usize {
        self.session.max_inventory()
    }

    /// Returns the numbers of messages and bytes received and sent so far.
    pub fn traffic(&self) -> TrafficStats {
        self.counters.snapshot()
    }

    /// Returns the number of received messages that were dropped.
    ///
    /// A message is dropped when the receive queue exceeds `max_receive_queue_bytes`, or when its
    /// payload is above `limits.buffered`. For a block or transaction that was not requested,
    /// `limits.unrequested` applies as well. A payload above these limits is counted when
    /// [`Connection::receive`] reaches it.
    pub fn dropped_messages(&self) -> u64 {
        self.received.dropped()
    }

    /// Sends a message. Returns once all of it has been handed to the operating system.
    ///
    /// `message` is a [`Message`], one of its types such as [`GetData`](crate::wire::GetData), or a
    /// `&Message`, which is cloned. The clone of a block or a transaction shares its payload.
    ///
    /// Messages that arrive in the meantime are queued for [`Connection::receive`]. Two peers that
    /// send to each other at once therefore do not deadlock. Blocks for at most
    /// [`ConnectionConfig::write_timeout`] and 1 s for each 256 KiB. A peer that reads more slowly
    /// is disconnected.
    ///
    /// Content that every node punishes is refused, such as headers without proof of work.
    /// [`SendError`] lists what is [not checked](SendError#not-checked).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] if the message must not be sent to this peer.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.send_checked(&message.into(), Session::check_outgoing)
    }

    /// Like [`Connection::send`], but also sends messages that nodes punish, ignore or cannot
    /// decode.
    ///
    /// Messages of the handshake and messages above the limits of the peer are still rejected.
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::send`].
    pub fn send_unchecked(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.send_checked(&message.into(), Session::check_outgoing_lenient)
    }

    /// Returns the next message of the peer.
    ///
    /// Messages of the handshake, pings and pongs are handled internally. Blocks until a message
    /// arrives or the connection closes. A silent peer is disconnected by the ping timeout at the
    /// latest.
    ///
    /// # Errors
    ///
    /// - [`Error::Disconnected`] if the connection is closed. Messages received before the close
    ///   are returned first.
    pub fn receive(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.receive_until(None)? {
                return Ok(message);
            }
        }
    }

    /// Like [`Connection::receive`], but returns `None` if no message arrives within `timeout`.
    ///
    /// A partially received message is kept, and the next call continues with it. Blocks for at
    /// most `timeout`. With a timeout of zero, it returns a message that is already there.
    ///
    /// # Errors
    ///
    /// - [`Error::Disconnected`] if the connection is closed. Messages received before the close
    ///   are returned first.
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.receive_until(Some(deadline_after(timeout)))
    }

    /// Returns an iterator over the messages that [`Connection::receive`] returns.
    ///
    /// Each step blocks until a message arrives or the connection closes. The last item is the
    /// error with the reason of the close. `&mut Connection` can be iterated directly as well.
    ///
    /// ```
    /// # use bsv_p2p::local_node::LocalNode;
    /// # use bsv_p2p::{Connection, ConnectionConfig, Network};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = LocalNode::start()?;
    /// let mut peer = Connection::connect(node.address(), &ConnectionConfig::new(Network::Regtest))?;
    /// # node.mine(1)?;
    /// for message in peer.messages() {
    ///     println!("received {}", message?.command());
    ///     # break;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&mut self) -> Messages<'_> {
        Messages {
            connection: self,
            is_closed: false,
        }
    }

    /// Closes the connection in an orderly way.
    ///
    /// Writes pending replies, closes the sending direction, and discards received data until the
    /// peer closes its direction too. The peer can then read all messages that were sent. Blocks
    /// for at most 1 s.
    ///
    /// Dropping the connection closes both directions immediately. If received data is unread at
    /// that time, the system resets the connection, and the peer may lose the last messages.
    pub fn close(mut self) {
        let deadline = Instant::now() + LINGER;
        self.exclude_idle_time();
        while !self.unsent.is_empty() {
            if Instant::now() >= deadline || self.write_available().is_err() {
                return;
            }
        }
        self.stream.finish_writing();
        self.stream.discard_until(deadline, || false);
    }

    fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Option<Message>, Error> {
        self.call(|connection| {
            // Data that has already arrived is read even if the timeout is zero.
            let mut has_read = false;
            loop {
                match connection.received.pop() {
                    Some(Received::Message(message)) => return Ok(Some(message.into_parts().0)),
                    Some(Received::Discarded { command, len, .. }) => {
                        let record = connection.log(Level::Warn).command(command);
                        record.write(format_args!(
                            "{command} of {len} bytes skipped: payload discarded"
                        ));
                        connection.received.count_dropped();
                    }
                    None if has_read
                        && deadline.is_some_and(|deadline| Instant::now() >= deadline) =>
                    {
                        return Ok(None);
                    }
                    None => match connection.poll_io(deadline) {
                        // Messages received before the close are returned before its error.
                        Err(_) if !connection.received.is_empty() => {}
                        turned => turned?,
                    },
                }
                has_read = true;
            }
        })
    }

    fn send_checked(
        &mut self,
        message: &Message,
        check: fn(&Session, &Message) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.check(message, check)?;
        self.session.on_sent(message);
        self.call(|connection| connection.write_out(message))?;
        if message.command() == Message::GetAddr.command() {
            self.requests.on_getaddr_sent();
        }
        Ok(())
    }

    /// Returns an error if the connection has ended, or `message` must not be sent to this peer.
    fn check(
        &mut self,
        message: &Message,
        check: fn(&Session, &Message) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.call(|connection| connection.check_open())?;
        check(&self.session, message).map_err(|refused| Error::Send {
            peer: self.name.clone(),
            refused,
        })
    }

    /// Informs the session about the objects of open requests.
    fn update_expected(&mut self) {
        let late = self.requests.take_late_objects();
        let open = self.requests.open_objects();
        self.session.set_open_objects(open, late);
    }

    /// Runs a public method. The time since the previous call does not count towards timeouts of
    /// the peer. An error gets the name of the peer.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, DisconnectReason>,
    ) -> Result<T, Error> {
        self.exclude_idle_time();
        let result = call(self);
        self.last_call_at = Instant::now();
        result.map_err(|reason| {
            self.requests.close(&reason);
            if let Some(sink) = self.block.take() {
                sink.abort(reason.clone());
            }
            Error::Disconnected {
                peer: self.name.clone(),
                reason,
            }
        })
    }

    /// Extends the timeouts of the peer by the time since the last call.
    fn exclude_idle_time(&mut self) {
        let now = Instant::now();
        let away = now.saturating_duration_since(self.last_call_at);
        self.session.on_reads_paused(self.last_call_at, now);
        self.reader.on_reads_paused(away);
        self.unsent.on_reads_paused(away);
        self.last_call_at = now;
    }

    fn check_open(&self) -> Result<(), DisconnectReason> {
        match self.session.close_reason() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }
}

/// An iterator over the messages of a [`Connection`]. [`Connection::messages`] creates it.
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Messages<'a> {
    connection: &'a mut Connection,
    is_closed: bool,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_closed {
            return None;
        }
        let received = self.connection.receive();
        self.is_closed = received.is_err();
        Some(received)
    }
}

impl FusedIterator for Messages<'_> {}

impl<'a> IntoIterator for &'a mut Connection {
    type Item = Result<Message, Error>;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.messages()
    }
}

impl Logged for Connection {
    fn log_limit(&self) -> Option<&LogLevel> {
        None
    }

    fn add_fields(&self, record: LogRecord<'static>) -> LogRecord<'static> {
        record
            .peer_address(self.peer_addr())
            .direction(self.session.direction())
            .state(self.session.state())
            .network(&self.config.network)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("address", &self.peer_addr())
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.shut_down();
    }
}
