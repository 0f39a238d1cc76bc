//! One session whose peer, clock and randomness are the test's.

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

/// What the clock shows, in seconds since 1970, when a connection begins.
pub(crate) const UNIX_TIME: i64 = 1_700_000_000;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NANOSECOND: Duration = Duration::from_nanos(1);

/// The address of every peer.
pub(crate) fn peer_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 8333))
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It went to the program.
    Delivered,
    /// The session kept it or dropped it.
    Consumed,
}

/// A session, and the time at it. Every call drains the outputs.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// What was put out and has not been taken.
    outputs: Vec<Output>,
    closed: Option<DisconnectReason>,
    delivered: Vec<Message>,
}

impl Side {
    /// A session that has not begun. Its nonces count up from `first_nonce`.
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

    /// A session whose TCP connection stands, with a configuration that differs from the default by `change`.
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

    /// A session behind its handshake with the usual peer, and nothing left to take.
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

    /// Plays the peer's part of a handshake, and answers the first ping.
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

    /// A message comes, over the wire.
    pub(crate) fn receive(&mut self, message: impl Into<Message>) -> Fate {
        let message = message.into();
        self.receive_payload(message.command(), message.encode_to_vec().into())
    }

    /// A frame comes whose payload may be anything.
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

    /// A frame comes by name.
    pub(crate) fn receive_bytes(&mut self, command: &str, payload: &[u8]) -> Fate {
        self.receive_payload(Command::new(command), Bytes::copy_from_slice(payload))
    }

    /// The clock goes on, and the session looks at it.
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

    /// Calls the session in a way for which there is no method here.
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
        assert_eq!(self.session.end(), self.closed.as_ref());
    }

    /// What was put out since the last time.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The messages among [`Side::take`]; the rest is dropped.
    pub(crate) fn take_sent(&mut self) -> Vec<Message> {
        let sent = |output| match output {
            Output::Send(message) => Some(message),
            _ => None,
        };
        self.take().into_iter().filter_map(sent).collect()
    }

    /// The events among [`Side::take`]; the rest is dropped.
    pub(crate) fn take_events(&mut self) -> Vec<SessionEvent> {
        let event = |output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        };
        self.take().into_iter().filter_map(event).collect()
    }

    /// The messages for the program since the last time.
    pub(crate) fn take_delivered(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.delivered)
    }

    pub(crate) fn closed(&self) -> Option<&DisconnectReason> {
        self.closed.as_ref()
    }

    /// Asserts that until `after` has passed nothing happens and nothing is expected to, and goes on to that moment.
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

/// What the usual peer says of itself: a Bitcoin SV node.
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

/// A version with no more in it than it must have.
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
