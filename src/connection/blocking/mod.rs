//! A connection in the caller's thread.

mod answers;
mod kept;
mod requests;

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::answers::{ArrivedPong, Markers, Pongs};
use self::kept::Kept;
use super::inlet::{Inlet, LockSession, Next, Received};
use super::lanes::{Lane, Lanes, Written};
use super::progress::{deadline_after, write_deadline};
use super::stop::Stop;
use super::stream::{Stream, is_cut};
use super::traffic::TrafficCounters;
use super::{ConnectionConfig, Traffic, dial, random};
use crate::error::Error;
use crate::session::{
    ConnectionState, Direction, DisconnectReason, NonceRegistry, Output, PeerInfo, RoundTrip,
    SendRefused, Session, SessionEvent, TransportEnd,
};
use crate::wire::{EncodedFrame, Message};

/// How long a write waits before the connection looks whether the peer waits for us to read.
const WRITE_WAIT: Duration = Duration::from_millis(10);

/// One peer, in the caller's thread: no threads, no channels.
///
/// [`Connection::connect`] and [`Connection::accept`] return when the handshake is complete. Pings are answered, and deadlines
/// watched, inside the calls: a program that makes no call for minutes may find that the peer has given up.
///
/// While a request waits, or a message is being sent, other messages that arrive are kept for
/// [`Connection::receive`], up to [`ConnectionConfig::kept_bytes`]: the oldest are dropped then, and
/// [`Connection::dropped`] counts them.
///
/// ```no_run
/// use std::time::Duration;
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let config = ConnectionConfig::new(Network::Mainnet);
/// let mut node = Connection::connect("seed.bitcoinsv.io", &config)?;
/// println!("{} at height {}", node.peer().user_agent, node.peer().start_height);
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
    pongs: Pongs,
    /// Whether the answer to a question may still come, because nobody waited for it to the end.
    answers_open: bool,
    /// What is still to come for requests for blocks that have their answers.
    markers: Markers,
    /// When the last call returned: in between, the peer's deadlines stand still.
    left: Instant,
}

impl Connection {
    /// Connects to a node and shakes hands.
    ///
    /// `peer` is an IP address or a host name, with or without a port; without one the network's own port is
    /// meant. The addresses of a name are tried one after the other. Blocks at most for `resolve_timeout`, and for each address
    /// `connect_timeout` and `handshake_timeout`. A name that the system does not resolve in time leaves a helper
    /// thread behind, until the system gives up.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], or [`Error::Disconnected`] with what came of the last address.
    pub fn connect(peer: &str, config: &ConnectionConfig) -> Result<Self, Error> {
        Self::connect_with(peer, config, &NonceRegistry::default())
    }

    /// Like [`Connection::connect`], for a program that also accepts connections: `nonces` is shared by all of them, so that a
    /// connection to the program itself is recognised.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::connect`].
    pub fn connect_with(
        peer: &str,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, Error> {
        config.validate()?;
        let disconnected = |reason| Error::Disconnected {
            peer: peer.to_owned(),
            reason,
        };
        let addresses = dial::resolve(peer, config.network.port(), config.resolve_timeout)
            .map_err(disconnected)?;
        // A resolver never answers with an empty list; the reason is never seen.
        let mut reason = DisconnectReason::Command;
        for address in addresses {
            let attempt =
                dial::dial(address, config.connect_timeout, &Stop::new()).and_then(|tcp| {
                    let tcp = (tcp, address);
                    Self::shake_hands(peer, tcp, Direction::Outbound, config, nonces)
                });
            match attempt {
                Ok(connection) => return Ok(connection),
                Err(error) => reason = error,
            }
        }
        Err(disconnected(reason))
    }

    /// Shakes hands with a peer that has dialled us. Blocks at most for `handshake_timeout`.
    ///
    /// `nonces` is the registry of the program's outbound connections.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], or [`Error::Disconnected`] with the reason.
    pub fn accept(
        stream: TcpStream,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, Error> {
        config.validate()?;
        let address = stream.peer_addr().map_err(|error| Error::System {
            what: "an accepted socket".into(),
            kind: error.kind(),
        })?;
        let peer = address.to_string();
        let tcp = (stream, address);
        Self::shake_hands(&peer, tcp, Direction::Inbound, config, nonces)
            .map_err(|reason| Error::Disconnected { peer, reason })
    }

    fn shake_hands(
        name: &str,
        (tcp, address): (TcpStream, SocketAddr),
        direction: Direction,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        let stream = Stream::new(tcp, address, config.tcp_keepalive, WRITE_WAIT).map_err(failed)?;
        let counters = Arc::<TrafficCounters>::default();
        let now = Instant::now();
        // The configuration has been checked, and the states follow each other as they must.
        let bug = DisconnectReason::Bug;
        let session = config.session.clone();
        let mut session = Session::new(direction, session, nonces.clone(), random::nonces(), now)
            .map_err(|_| bug.clone())?;
        if direction == Direction::Outbound {
            session.on_dialling().map_err(|_| bug.clone())?;
        }
        session
            .on_connected(stream.peer(), random::unix_time(), now)
            .map_err(|_| bug)?;
        let mut connection = Self {
            name: name.to_owned(),
            inlet: Inlet::new(config, counters.clone()),
            unsent: Lanes::default(),
            kept: Kept::new(config.kept_bytes),
            peer: PeerInfo::default(),
            pongs: Pongs::default(),
            answers_open: false,
            markers: Markers::default(),
            left: now,
            config: config.clone(),
            stream,
            session,
            counters,
        };
        while connection.session.state() != ConnectionState::Connected {
            connection.turn(None)?;
        }
        connection.peer = connection.session.peer().cloned().unwrap_or_default();
        connection.left = Instant::now();
        Ok(connection)
    }

    /// What the peer said of itself.
    pub fn peer(&self) -> &PeerInfo {
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

    /// Whether the peer asked for new blocks to be announced with `headers`.
    pub fn wants_headers(&self) -> bool {
        self.session.wants_headers()
    }

    /// The longest payload that the peer takes, for commands without a limit of their own, in bytes: 1 MiB until its
    /// `protoconf` has come, which is after the handshake and never says less.
    ///
    /// [`inventory_limit`](crate::wire::inventory_limit) tells how many entries fit, and
    /// [`Inv::split`](crate::wire::Inv::split) makes messages of no more.
    pub fn peer_max_payload(&self) -> u32 {
        self.session.peer_max_payload()
    }

    /// How much has gone each way.
    pub fn traffic(&self) -> Traffic {
        self.counters.snapshot()
    }

    /// How many messages were lost for want of room: those that came while something else was waited for and exceeded
    /// `kept_bytes`, and those that were longer than `limits.buffered`.
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
    /// [`Error::SendRefused`] if the message may not be sent, [`Error::Disconnected`] if the connection has ended.
    pub fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.send_checked(message, Session::check_outgoing)
    }

    /// Sends a message that a default node punishes or no receiver can read, as [`Connection::send`] sends others.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`].
    pub fn send_unchecked(&mut self, message: &Message) -> Result<(), Error> {
        self.send_checked(message, Session::check_outgoing_unchecked)
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
                    Some(Received::Message(message, _)) => return Ok(Some(message)),
                    Some(Received::PassedOver { command, len }) => {
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
        check: fn(&Session, &Message) -> Result<(), SendRefused>,
    ) -> Result<(), Error> {
        self.call(|connection| connection.ended())?;
        check(&self.session, message).map_err(|refused| Error::SendRefused {
            peer: self.name.clone(),
            refused,
        })?;
        self.session.on_sent(message);
        self.call(|connection| connection.write_out(message))
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
        result.map_err(|reason| Error::Disconnected {
            peer: self.name.clone(),
            reason,
        })
    }

    /// The program is back: what it did meanwhile does not count against the peer.
    fn resume(&mut self) {
        let away = self.left.elapsed();
        self.session.on_pause(away);
        self.inlet.on_pause(away);
        self.unsent.on_pause(away);
        self.left = Instant::now();
    }

    fn ended(&self) -> Result<(), DisconnectReason> {
        match self.session.end() {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// One turn: replies go out, bytes come in, until about `deadline` and a second at most.
    fn turn(&mut self, deadline: Option<Instant>) -> Result<(), DisconnectReason> {
        self.write_what_goes()?;
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.read_what_is_there()?;
        } else {
            // What the system did not take is tried again soon.
            let again = (!self.unsent.is_empty()).then(|| now + WRITE_WAIT);
            let deadlines = [deadline, self.session.next_deadline(), again];
            let deadline = deadlines.into_iter().flatten().min();
            if self.inlet.read(&self.stream, &mut self.session, deadline) {
                self.take_arrivals()?;
            }
        }
        self.session.on_timeout(Instant::now());
        // The program may stay away for long: answers leave now.
        self.write_what_goes()
    }

    /// Looks at what has come, and keeps what is for the program.
    fn take_arrivals(&mut self) -> Result<(), DisconnectReason> {
        loop {
            match self.inlet.next(&mut self.session) {
                Next::Received(received) if self.markers.settles(&received) => {}
                Next::Received(received) => self.kept.push(received),
                Next::Handled => {}
                Next::NeedsMore => return self.drain(),
            }
            self.drain()?;
        }
    }

    /// Does what the session wants; what it sends waits until the next flush.
    fn drain(&mut self) -> Result<(), DisconnectReason> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(message) => {
                    let frame = EncodedFrame::new(self.config.magic(), &message);
                    let len = frame.len();
                    if self.unsent.push_reply(frame) {
                        self.counters.add_message_out(message.command(), len);
                    } else {
                        let waiting = self.unsent.bytes() as u64;
                        self.session.close(DisconnectReason::SlowReader { waiting });
                    }
                }
                Output::Event(SessionEvent::HandshakeComplete(_)) => {}
                Output::Event(SessionEvent::Pong { nonce, round_trip }) => {
                    let place = self.kept.end();
                    self.pongs.on_pong(nonce, ArrivedPong { round_trip, place });
                }
                Output::Event(SessionEvent::Misbehavior { misbehavior, .. }) => {
                    log::debug!("{}: {misbehavior}", self.name);
                }
                Output::Close(reason) => {
                    // The last words, a reject for instance, go out if the system takes them at once.
                    let _ = self.write(Stream::write_now);
                    self.stream.shut_down();
                    return Err(reason);
                }
            }
        }
        self.ended()
    }

    fn write_out(&mut self, message: &Message) -> Result<(), DisconnectReason> {
        let frame = EncodedFrame::new(self.config.magic(), message);
        self.counters.add_message_out(frame.command(), frame.len());
        self.unsent.push_back(Lane::Bulk, frame);
        self.flush()
    }

    /// Writes all that is unsent, and reads meanwhile.
    fn flush(&mut self) -> Result<(), DisconnectReason> {
        while !self.unsent.is_empty() {
            // A peer that takes nothing perhaps waits until we read.
            if !self.write_step(Stream::write_now)? && !self.read_what_is_there()? {
                self.write_step(Stream::write_soon)?;
            }
        }
        Ok(())
    }

    /// Writes what the system takes without waiting.
    fn write_what_goes(&mut self) -> Result<(), DisconnectReason> {
        self.drain()?;
        while !self.unsent.is_empty() && self.write_step(Stream::write_now)? {}
        Ok(())
    }

    /// Tries once to write, and looks at the clock; returns whether anything went.
    fn write_step(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<bool, DisconnectReason> {
        let written = match self.write(write) {
            Ok(written) => written,
            Err(error) => {
                if is_cut(&error) {
                    self.read_what_is_left()?;
                }
                let failed = TransportEnd::Failed(error.kind());
                self.session.on_transport_end(failed);
                Written::default()
            }
        };
        let now = Instant::now();
        if written.large {
            self.session.on_transfer(now);
        }
        if self.unsent.is_late(now) {
            let waiting = self.unsent.bytes() as u64;
            self.session.close(DisconnectReason::SlowReader { waiting });
        }
        self.drain()?;
        Ok(written.bytes > 0)
    }

    /// The peer has gone: hears what it said before.
    fn read_what_is_left(&mut self) -> Result<(), DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        while self
            .inlet
            .read_once(&self.stream, &mut AfterReset(&mut self.session))
        {
            self.take_arrivals()?;
        }
        Ok(())
    }

    /// Tries once to write what is first in line.
    fn write(
        &mut self,
        write: fn(&Stream, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        let base = self.config.write_timeout;
        let deadline = |len| write_deadline(base, len, Instant::now());
        let written = self
            .unsent
            .write(deadline, |parts| write(&self.stream, parts))?;
        self.counters.add_bytes_out(written.bytes);
        Ok(written)
    }

    /// Reads without waiting, until nothing more is there; returns whether anything came.
    fn read_what_is_there(&mut self) -> Result<bool, DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        self.stream.set_nonblocking(true).map_err(failed)?;
        let came = self.inlet.read_once(&self.stream, &mut self.session);
        self.stream.set_nonblocking(false).map_err(failed)?;
        if came {
            self.take_arrivals()?;
        }
        self.drain()?;
        Ok(came)
    }
}

/// The session of a connection whose peer is known to have gone: the end of what it sent is no orderly one.
struct AfterReset<'a>(&'a mut Session);

impl LockSession for AfterReset<'_> {
    fn with<T>(&mut self, call: impl FnOnce(&mut Session) -> T) -> T {
        call(self.0)
    }

    fn on_transport_end(&mut self, _end: TransportEnd) {
        let reset = TransportEnd::Failed(io::ErrorKind::ConnectionReset);
        self.0.on_transport_end(reset);
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
