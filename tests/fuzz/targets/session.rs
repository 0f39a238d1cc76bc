//! A session with arbitrary events in any order.
//!
//! Input: settings (1 for an inbound connection, 2 for a connection that is not established yet, 4
//! for a low ban threshold, 8 for an old own protocol version, 16 for required services, 32 for
//! second streams), then steps, each a number and its data.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectReason, Disposition, NonceRegistry, Output, Session,
    SessionConfig, SessionEvent, TransportClose,
};
use bsv_p2p::wire::{
    AssociationId, Command, Encode, FrameError, Message, Pong, Services, StreamType,
};
use bytes::Bytes;

use super::choices::{
    ASSOCIATION, FIRST_NONCE, OTHER_NONCE, UNIX_TIME, cause, protoconf, reason, reject,
    transport_end, version,
};
use super::commands::command;
use super::input::Input;

/// The maximum number of outputs of one call: those of a `version` that completes the handshake and
/// names an association.
const MOST_OUTPUTS: usize = 7;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let settings = input.u8();
    let registry = NonceRegistry::default();
    let other = registry.register(OTHER_NONCE);
    let mut side = Side::new(settings, registry.clone());
    if settings & 2 == 0 {
        side.dial();
        side.connect();
    }
    while let Some(step) = input.next() {
        side.step(step, &mut input);
        side.look();
    }
    side.end();
    assert_eq!(registry.len(), 1, "an ended session keeps no nonce");
    drop(other);
}

/// A session, and the observations of it.
struct Side {
    session: Session,
    offers_streams: bool,
    now: Instant,
    threshold: u32,
    score: u32,
    complete: bool,
    /// The nonce of the session's last ping.
    ping: Option<u64>,
    closed: Option<DisconnectReason>,
}

impl Side {
    fn new(settings: u8, registry: NonceRegistry) -> Self {
        let mut config = SessionConfig::default();
        let direction = if settings & 1 != 0 {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        if settings & 4 != 0 {
            config.ban_threshold = 3;
        }
        if settings & 8 != 0 {
            config.protocol_version = 60_000;
        }
        if settings & 16 != 0 {
            config.required_services = Services::NETWORK;
        }
        let mut next = FIRST_NONCE;
        let nonces = Box::new(move || {
            next += 1;
            next - 1
        });
        let now = Instant::now();
        let threshold = config.ban_threshold;
        let session = Session::new(direction, config, registry, nonces, now);
        let mut session = session.expect("the configuration is valid");
        if settings & 32 != 0 {
            session.enable_multistream(ASSOCIATION);
        }
        Self {
            session,
            offers_streams: settings & 32 != 0,
            now,
            threshold,
            score: 0,
            complete: false,
            ping: None,
            closed: None,
        }
    }

    fn dial(&mut self) {
        let dialed = self.session.on_connect_started();
        assert!(self.closed.is_none() || dialed.is_err());
    }

    fn connect(&mut self) {
        let peer = SocketAddr::from(([192, 0, 2, 7], 8333));
        let connected = self.session.on_connected(peer, UNIX_TIME, self.now);
        assert!(self.closed.is_none() || connected.is_err());
    }

    fn step(&mut self, step: u8, input: &mut Input<'_>) {
        match step % 20 {
            0 => self.dial(),
            1 => self.connect(),
            2 => {
                let command = command(input.u8());
                let len = usize::from(input.u16());
                self.receive_payload(command, input.take(len));
            }
            3 => self.receive(&version(input)),
            4 => self.receive(&Message::Verack),
            5 => self.receive(&protoconf(input)),
            6 => {
                if let Some(nonce) = self.ping {
                    self.receive(&Pong::new(nonce).into());
                }
            }
            7 => self.wait(Duration::from_millis(u64::from(input.u16()) * 50)),
            8 => self.wait_for_deadline(),
            9 => {
                let from = self.now;
                self.now += Duration::from_millis(u64::from(input.u16()) * 50);
                self.session.on_reads_paused(from, self.now);
            }
            10 => self.session.on_partial_frame(self.now),
            11 => self.session.on_dropped(cause(input.u8()), self.now),
            12 => self.session.on_frame_error(FrameError::TooLong {
                command: "inv".into(),
                len: 2,
                limit: 1,
            }),
            13 => {
                let end = transport_end(input.u8());
                let reason = self.session.on_transport_end(end);
                assert_eq!(self.session.close_reason(), Some(&reason));
            }
            14 => self.session.close(reason(input.u8())),
            15 => {
                let ping = self.session.ping(self.now);
                self.ping = ping.nonce;
            }
            16 => {
                let command = command(input.u8());
                let len = usize::from(input.u16());
                self.check_outgoing(command, input.take(len));
            }
            17 => self.receive(&reject(input)),
            18 => self.session.on_received(self.now),
            _ => self.session.on_timeout(self.now),
        }
    }

    fn receive_payload(&mut self, command: Command, payload: &[u8]) {
        match Message::decode(command, Bytes::copy_from_slice(payload)) {
            Ok(message) => self.receive(&message),
            Err(error) => {
                self.session.on_received(self.now);
                self.session.on_malformed(command, &error, self.now);
            }
        }
    }

    fn receive(&mut self, message: &Message) {
        self.session.on_received(self.now);
        let complete = self.complete && self.closed.is_none();
        if self.session.on_message(message, self.now) == Disposition::Deliver {
            assert!(complete, "{message:?} was delivered");
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.on_timeout(self.now);
    }

    fn wait_for_deadline(&mut self) {
        if let Some(deadline) = self.session.next_deadline() {
            self.now = self.now.max(deadline);
            self.session.on_timeout(self.now);
            assert_ne!(
                self.session.next_deadline(),
                Some(deadline),
                "nothing has happened"
            );
        }
    }

    fn check_outgoing(&self, command: Command, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let by_hand = Message::Unknown {
            command,
            payload: payload.clone(),
        };
        let decoded = Message::decode(command, payload);
        for message in decoded.iter().chain([&by_hand]) {
            let unchecked = self.session.check_outgoing_lenient(message);
            let checked = self.session.check_outgoing(message);
            assert!(checked.is_err() || unchecked.is_ok());
            assert!(unchecked.is_err() || self.complete);
            let owned = [
                "version",
                "verack",
                "protoconf",
                "createstrm",
                "streamack",
                "sendheaders",
            ];
            assert!(unchecked.is_err() || !owned.contains(&command.name()));
        }
    }

    /// Takes the outputs of the last step, and checks them against the guarantees.
    fn look(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.session.poll_output() {
            outputs += 1;
            assert_eq!(self.closed, None, "{output:?} came after the end");
            match output {
                Output::Send(message) => self.sent(&message),
                Output::Event(event) => self.told(&event),
                Output::RegisterAssociation(_) => assert!(self.offers_streams && !self.complete),
                Output::OpenStream(request) => {
                    assert!(self.offers_streams && self.complete);
                    let association = AssociationId::Uuid(ASSOCIATION);
                    assert_eq!(request.association_id, association);
                    assert_eq!(request.stream_type, StreamType::Data1);
                }
                Output::Close(reason) => {
                    assert!(!reason.to_string().is_empty());
                    let misbehaved = matches!(reason, DisconnectReason::Misbehaved { .. });
                    assert_eq!(misbehaved, self.score >= self.threshold);
                    self.closed = Some(reason);
                }
            }
        }
        assert!(outputs <= MOST_OUTPUTS, "{outputs} outputs of one step");
        self.look_at_state();
    }

    fn sent(&mut self, message: &Message) {
        assert_eq!(message.validate(), Ok(()));
        let payload = message.encode_to_vec();
        let read = Message::decode(message.command(), payload.into());
        assert_eq!(read.as_ref(), Ok(message));
        match message {
            Message::Version(_) | Message::Verack | Message::Protoconf(_) | Message::Reject(_) => {}
            Message::SendHeaders | Message::Pong(_) => assert!(self.complete),
            Message::Ping(ping) => {
                assert!(self.complete);
                self.ping = ping.nonce;
            }
            other => panic!("{other:?} is not the session's"),
        }
    }

    fn told(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::HandshakeComplete(peer) => {
                assert!(!self.complete);
                assert_eq!(self.session.peer_info(), Some(&**peer));
                self.complete = true;
            }
            SessionEvent::Misbehavior { misbehavior, score } => {
                assert!(!misbehavior.to_string().is_empty());
                self.score += misbehavior.score();
                assert_eq!(self.score, *score);
            }
            SessionEvent::Pong { .. } => assert!(self.complete),
            SessionEvent::StreamSetupFailed(refusal) => {
                assert!(self.offers_streams && self.complete);
                assert!(!refusal.to_string().is_empty());
            }
            other => panic!("unknown event: {other:?}"),
        }
    }

    fn look_at_state(&self) {
        use ConnectionState::*;
        let session = &self.session;
        let state = session.state();
        assert_eq!(session.close_reason(), self.closed.as_ref());
        let stands = matches!(state, AwaitingHandshake | Connected);
        assert_eq!(session.next_deadline().is_some(), stands);
        if self.closed.is_some() {
            assert!(matches!(state, Disconnected | Rejected | Failed), "{state}");
        } else {
            assert!(self.score < self.threshold);
            assert_eq!(state == Connected, self.complete);
        }
        let may_send = session.check_outgoing(&Message::GetAddr).is_ok();
        assert_eq!(may_send, state == Connected);
    }

    fn end(&mut self) {
        let reason = self
            .session
            .on_transport_end(TransportClose::ConnectionClosed);
        self.look();
        assert_eq!(self.closed, Some(reason));
        assert!(!format!("{:?}", self.session).is_empty());
    }
}
