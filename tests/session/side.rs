//! One session whose peer, clock and randomness the test controls.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::session::{
    Direction, DisconnectReason, Disposition, Misbehavior, NonceRegistry, Output, Session,
    SessionConfig, SessionEvent, TransportClose,
};
use bsv_p2p::wire::{
    Command, Encode, Message, NetworkAddress, Ping, Pong, Protoconf, Reject, RejectCode, Services,
    Version,
};
use bytes::Bytes;

/// The clock at the start of a connection, in seconds since 1970.
pub(crate) const UNIX_TIME: i64 = 1_700_000_000;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NANOSECOND: Duration = Duration::from_nanos(1);

/// Returns the address of every peer.
pub(crate) fn peer_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 8333))
}

/// The disposition of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Delivered to the application.
    Delivered,
    /// Kept or dropped by the session.
    Consumed,
}

/// A session and its clock. Every call drains the outputs.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// Outputs that were not taken yet.
    outputs: Vec<Output>,
    closed: Option<DisconnectReason>,
    delivered: Vec<Message>,
}

impl Side {
    /// Creates a session that is not connected. Its nonces count up from `first_nonce`.
    pub(crate) fn new(
        direction: Direction,
        config: SessionConfig,
        registry: NonceRegistry,
        first_nonce: u64,
    ) -> Self {
        let now = Instant::now();
        let mut next = first_nonce;
        let nonces = Box::new(move || {
            next += 1;
            next - 1
        });
        let session = Session::new(direction, config, registry, nonces, now).unwrap();
        Self {
            session,
            now,
            outputs: Vec::new(),
            closed: None,
            delivered: Vec::new(),
        }
    }

    /// Creates a session with an established TCP connection and a changed default configuration.
    pub(crate) fn connected_with(
        direction: Direction,
        change: impl FnOnce(&mut SessionConfig),
    ) -> Self {
        let mut config = SessionConfig::default();
        change(&mut config);
        let mut side = Self::new(direction, config, NonceRegistry::default(), 1000);
        side.connect();
        side
    }

    pub(crate) fn connected(direction: Direction) -> Self {
        Self::connected_with(direction, |_| ())
    }

    /// Creates a session after the handshake with the usual peer, without pending outputs.
    pub(crate) fn complete_with(
        direction: Direction,
        change: impl FnOnce(&mut SessionConfig),
    ) -> Self {
        let mut side = Self::connected_with(direction, change);
        side.shake_hands(peer_version());
        side
    }

    pub(crate) fn complete(direction: Direction) -> Self {
        Self::complete_with(direction, |_| ())
    }

    /// Plays the peer in a handshake, and answers the first ping.
    pub(crate) fn shake_hands(&mut self, version: Version) {
        self.receive(version);
        self.receive(Message::Verack);
        let ping = self.take_sent().pop();
        let Some(Message::Ping(ping)) = ping else {
            panic!("no ping behind the handshake: {ping:?}");
        };
        if let Some(nonce) = ping.nonce {
            self.receive(Pong::new(nonce));
        }
        self.take();
    }

    pub(crate) fn connect(&mut self) {
        if self.session.direction() == Direction::Outbound {
            self.session.on_connect_started().unwrap();
        }
        self.session
            .on_connected(peer_address(), UNIX_TIME, self.now)
            .unwrap();
        self.drain();
    }

    /// Passes a message to the session, as received.
    pub(crate) fn receive(&mut self, message: impl Into<Message>) -> Fate {
        let message = message.into();
        self.receive_payload(message.command(), message.encode_to_vec().into())
    }

    /// Passes a frame with any payload to the session.
    pub(crate) fn receive_payload(&mut self, command: Command, payload: Bytes) -> Fate {
        self.session.on_received(self.now);
        match Message::decode(command, payload) {
            Ok(message) => {
                let delivery = self.session.on_message(&message, self.now);
                self.drain();
                match delivery {
                    Disposition::Deliver => {
                        self.delivered.push(message);
                        Fate::Delivered
                    }
                    Disposition::Handled => Fate::Consumed,
                }
            }
            Err(error) => {
                self.session.on_malformed(command, &error, self.now);
                self.drain();
                Fate::Consumed
            }
        }
    }

    /// Passes a frame with this command to the session.
    pub(crate) fn receive_bytes(&mut self, command: &str, payload: &[u8]) -> Fate {
        self.receive_payload(Command::new(command), Bytes::copy_from_slice(payload))
    }

    /// Advances the clock, and runs the timeouts of the session.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.look_at_clock();
    }

    pub(crate) fn look_at_clock(&mut self) {
        self.session.on_timeout(self.now);
        self.drain();
    }

    pub(crate) fn transport_ends(&mut self, end: TransportClose) -> DisconnectReason {
        let reason = self.session.on_transport_end(end);
        self.drain();
        reason
    }

    /// Calls the session directly.
    pub(crate) fn with<R>(&mut self, call: impl FnOnce(&mut Session, Instant) -> R) -> R {
        let result = call(&mut self.session, self.now);
        self.drain();
        result
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            assert_eq!(self.closed, None, "{output:?} came after the end");
            if let Output::Close(reason) = &output {
                self.closed = Some(reason.clone());
            }
            self.outputs.push(output);
        }
        assert_eq!(self.session.close_reason(), self.closed.as_ref());
    }

    /// Returns the outputs since the last call.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Returns the messages of [`Side::take`], and drops the rest.
    pub(crate) fn take_sent(&mut self) -> Vec<Message> {
        let sent = |output| match output {
            Output::Send(message) => Some(message),
            _ => None,
        };
        self.take().into_iter().filter_map(sent).collect()
    }

    /// Returns the events of [`Side::take`], and drops the rest.
    pub(crate) fn take_events(&mut self) -> Vec<SessionEvent> {
        let event = |output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        };
        self.take().into_iter().filter_map(event).collect()
    }

    /// Returns the delivered messages since the last call.
    pub(crate) fn take_delivered(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.delivered)
    }

    pub(crate) fn closed(&self) -> Option<&DisconnectReason> {
        self.closed.as_ref()
    }

    /// Asserts that until `after` has passed nothing happens and no timeout is due, and advances to
    /// that moment.
    #[track_caller]
    pub(crate) fn assert_next_deadline_in(&mut self, after: Duration) {
        let deadline = self.now + after;
        assert_eq!(self.session.next_deadline(), Some(deadline));
        self.session.on_timeout(deadline - NANOSECOND);
        self.drain();
        assert_eq!(self.outputs, [], "before the deadline");
        assert_eq!(self.session.next_deadline(), Some(deadline));
        self.wait(after);
        assert_ne!(self.outputs, [], "at the deadline");
    }
}

/// Returns the version of the usual peer: a Bitcoin SV node.
pub(crate) fn peer_version() -> Version {
    Version {
        version: 70016,
        services: Services(0x21),
        timestamp: UNIX_TIME + 3,
        receiver: NetworkAddress::unspecified(Services::NONE),
        sender: Some(NetworkAddress::unspecified(Services(0x21))),
        nonce: Some(77),
        user_agent: Some("/Bitcoin SV:1.2.2/".into()),
        start_height: Some(800_000),
        relay: Some(true),
        association_id: None,
    }
}

/// Returns a version with only the required fields.
pub(crate) fn shortest_version() -> Version {
    Version {
        sender: None,
        nonce: None,
        user_agent: None,
        start_height: None,
        relay: None,
        ..peer_version()
    }
}

pub(crate) fn protoconf(max_receive_payload: u32) -> Protoconf {
    Protoconf {
        max_receive_payload,
        stream_policies: Some("BlockPriority,Default".into()),
    }
}

pub(crate) fn send(message: impl Into<Message>) -> Output {
    Output::Send(message.into())
}

pub(crate) fn send_ping(nonce: u64) -> Output {
    send(Ping::new(nonce))
}

pub(crate) fn send_reject(message: &str, code: u8, text: &str) -> Output {
    send(Reject::new(message, RejectCode(code), text))
}

pub(crate) fn misbehavior(misbehavior: Misbehavior, score: u32) -> Output {
    Output::Event(SessionEvent::Misbehavior { misbehavior, score })
}

pub(crate) fn before_version(command: &str, score: u32) -> Output {
    let command = Command::new(command);
    misbehavior(Misbehavior::BeforeVersion { command }, score)
}

pub(crate) fn before_verack(command: &str, score: u32) -> Output {
    let command = Command::new(command);
    misbehavior(Misbehavior::BeforeVerack { command }, score)
}

pub(crate) fn unknown(command: &str, payload: &[u8]) -> Message {
    Message::Unknown {
        command: Command::new(command),
        payload: Bytes::copy_from_slice(payload),
    }
}

pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Outbound, Direction::Inbound];
