//! A connection in the caller's thread.

mod connect;
mod kept;
mod requests;
mod turn;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::kept::Kept;
use super::inlet::{Inlet, Received};
use super::lanes::Lanes;
use super::requests::Requests;
use super::stream::Stream;
use super::traffic::TrafficCounters;
use super::{ConnectionConfig, TrafficStats};
use crate::deadline::deadline_after;
use crate::error::Error;
use crate::session::{DisconnectReason, PeerInfo, PeerRequest, RoundTrip, SendError, Session};
use crate::wire::Message;

/// How long a write waits before the connection looks whether the peer waits for us to read.
const WRITE_WAIT: Duration = Duration::from_millis(10);

/// One peer, in the caller's thread: no threads, no channels.
///
/// [`Connection::connect`] and [`Connection::accept`] return when the handshake is complete. Pings are answered, and deadlines
/// watched, inside the calls: a program that makes no call for minutes may find that the peer has given up.
///
/// While a request waits, or a message is being sent, other messages that arrive are kept for
/// [`Connection::receive`], up to [`ConnectionConfig::max_receive_queue_bytes`]: the oldest are dropped then, and
/// [`Connection::dropped`] counts them.
///
/// ```no_run
/// use std::time::Duration;
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let config = ConnectionConfig::new(Network::Mainnet);
/// let mut node = Connection::connect("seed.bitcoinsv.io", &config)?;
/// println!("{} at height {}", node.peer_info().user_agent, node.peer_info().start_height);
/// println!("answers within {:?}", node.ping(Duration::from_secs(10))?);
/// loop {
///     println!("{:?}", node.receive()?);
/// }
/// # }
/// ```
pub struct Connection {
    /// How the program calls the peer, for errors.
    name: String,
    config: ConnectionConfig,
    stream: Stream,
    inlet: Inlet,
    session: Session,
    peer: PeerInfo,
    counters: Arc<TrafficCounters>,
    unsent: Lanes,
    kept: Kept,
    requests: Requests,
    /// When the last call returned: in between, the peer's deadlines stand still.
    left: Instant,
}

impl Connection {
    /// What the peer said of itself.
    pub fn peer_info(&self) -> &PeerInfo {
        &self.peer
    }

    /// Where the peer is.
    pub fn address(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// How long the peer takes to answer pings.
    pub fn round_trip(&self) -> RoundTrip {
        self.session.round_trip()
    }

    /// Returns whether the peer asked for new blocks to be announced with `headers`. Otherwise they are announced with `inv`.
    ///
    /// It is always `false` for a [Teranode](crate::session::PeerProfile::Teranode), which closes the connection for headers
    /// that it did not request.
    pub fn wants_headers(&self) -> bool {
        self.session.wants_headers()
    }

    /// The longest payload that the peer takes, for commands without a limit of their own, in bytes: 1 MiB until its
    /// `protoconf` has come, which is after the handshake and never says less.
    ///
    /// [`max_inventory`](Self::max_inventory) returns the number of entries of a list.
    pub fn peer_max_payload(&self) -> u32 {
        self.session.peer_max_payload()
    }

    /// Returns the number of entries that an `inv`, `getdata` or `notfound` to this peer should have at most.
    ///
    /// [`Session::max_inventory`](crate::session::Session::max_inventory) documents the rule.
    /// [`Inv::split`](crate::wire::Inv::split) and [`GetData::split`](crate::wire::GetData::split) take this number.
    pub fn max_inventory(&self) -> usize {
        self.session.max_inventory()
    }

    /// How much has gone each way.
    pub fn traffic(&self) -> TrafficStats {
        self.counters.snapshot()
    }

    /// How many messages were lost for want of room: those that came while something else was waited for and exceeded
    /// `max_receive_queue_bytes`, and those that were longer than `limits.buffered`.
    pub fn dropped(&self) -> u64 {
        self.kept.dropped()
    }

    /// Sends a message, and returns when all of it is handed to the system.
    ///
    /// What arrives meanwhile is kept for [`Connection::receive`], so two programs that send to each other
    /// cannot lock each other up. Blocks at most for [`ConnectionConfig::write_timeout`] and a second for each 256 KiB; a peer
    /// that takes longer is at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] if the message may not be sent, [`Error::Disconnected`] if the connection has ended.
    pub fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.send_checked(message, Session::check_outgoing)
    }

    /// Sends a message that a default node punishes or ignores or no receiver can read, as [`Connection::send`] sends others.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`].
    pub fn send_unchecked(&mut self, message: &Message) -> Result<(), Error> {
        self.send_checked(message, Session::check_outgoing_lenient)
    }

    /// The next message of the peer. Handshake, pings and pongs are dealt with on the way.
    ///
    /// Blocks until a message comes or the connection ends; a peer that is silent ends it by the ping timeout at
    /// the latest.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`] when the connection has ended.
    pub fn receive(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.receive_until(None)? {
                return Ok(message);
            }
        }
    }

    /// Like [`Connection::receive`], but gives `None` if nothing comes within `timeout`. A message of which a part
    /// has come is not lost: the next call goes on with it.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`] when the connection has ended.
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.receive_until(Some(deadline_after(timeout)))
    }

    fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Option<Message>, Error> {
        self.call(|connection| {
            // Without patience, what is there already is taken all the same.
            let mut looked = false;
            loop {
                match connection.kept.pop() {
                    Some(Received::Message(message)) => return Ok(Some(message.into_parts().0)),
                    Some(Received::Discarded { command, len, .. }) => {
                        log::warn!(
                            "{}: a {command} of {len} bytes was too long",
                            connection.name
                        );
                        connection.kept.count_dropped();
                    }
                    None if looked
                        && deadline.is_some_and(|deadline| Instant::now() >= deadline) =>
                    {
                        return Ok(None);
                    }
                    None => match connection.turn(deadline) {
                        // What came before the end comes before its error.
                        Err(_) if !connection.kept.is_empty() => {}
                        turned => turned?,
                    },
                }
                looked = true;
            }
        })
    }

    fn send_checked(
        &mut self,
        message: &Message,
        check: fn(&Session, &Message) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.call(|connection| connection.ended())?;
        check(&self.session, message).map_err(|refused| Error::Send {
            peer: self.name.clone(),
            refused,
        })?;
        self.session.on_sent(message);
        self.call(|connection| connection.write_out(message))?;
        if message.command() == Message::GetAddr.command() {
            self.requests.on_getaddr_sent();
        }
        Ok(())
    }

    /// Fails if a peer of this kind does not answer the request.
    fn check_supported(&self, request: PeerRequest) -> Result<(), Error> {
        match self.session.unsupported(request) {
            None => Ok(()),
            Some(profile) => Err(Error::NotSupportedByPeer {
                peer: self.name.clone(),
                request: request.name(),
                profile,
            }),
        }
    }

    /// Runs one call of the program: the time since the last one does not count against the peer, and the end of the
    /// connection gets the peer's name.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, DisconnectReason>,
    ) -> Result<T, Error> {
        self.resume();
        let result = call(self);
        self.left = Instant::now();
        result.map_err(|reason| {
            self.requests.close(&reason);
            Error::Disconnected {
                peer: self.name.clone(),
                reason,
            }
        })
    }

    /// The program is back: what it did meanwhile does not count against the peer.
    fn resume(&mut self) {
        let now = Instant::now();
        let away = now.saturating_duration_since(self.left);
        self.session.on_reads_paused(self.left, now);
        self.inlet.on_reads_paused(away);
        self.unsent.on_reads_paused(away);
        self.left = now;
    }

    fn ended(&self) -> Result<(), DisconnectReason> {
        match self.session.end() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("address", &self.address())
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.shut_down();
    }
}
