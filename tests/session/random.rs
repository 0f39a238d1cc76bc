//! Random events in any order: the session never panics and keeps its invariants.

use std::io::ErrorKind;
use std::time::Duration;

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectReason, NonceRegistry, Output, SessionConfig,
    SessionEvent, TransportClose,
};
use bsv_p2p::wire::{
    Command, Encode, FrameDropReason, FrameError, InvalidCommand, Message, Ping, Pong, Reject,
    RejectCode, Version,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::side::{Fate, Side, UNIX_TIME, peer_address, peer_version, protoconf, unknown};

/// An event of a session.
#[derive(Clone, Debug)]
enum Step {
    Dial,
    Connect,
    Receive(Message),
    /// A frame with an arbitrary payload.
    Frame(Command, Vec<u8>),
    /// The last ping of the session is answered.
    Answer,
    Drop(FrameDropReason),
    BrokenFrames,
    TransportEnds(TransportClose),
    Close(DisconnectReason),
    Wait(Duration),
    /// The clock advances to the next timeout.
    WaitForDeadline,
    Transfer,
    Pause(Duration),
    ProgramPings,
}

const NAMES: [&str; 27] = [
    "version",
    "verack",
    "protoconf",
    "ping",
    "pong",
    "sendheaders",
    "sendcmpct",
    "feefilter",
    "authch",
    "authresp",
    "addr",
    "inv",
    "getdata",
    "notfound",
    "getheaders",
    "headers",
    "block",
    "tx",
    "reject",
    "createstrm",
    "streamack",
    "mempool",
    "filterload",
    "filteradd",
    "alert",
    "revokemid",
    "foobar",
];

fn valid_message() -> impl Strategy<Value = Message> {
    let version = (31_790..70_020_i32, any::<bool>()).prop_map(|(version, agent)| {
        let user_agent = agent.then(|| "/Bitcoin Cash/".into());
        Version {
            version,
            user_agent: user_agent.or(peer_version().user_agent),
            ..peer_version()
        }
        .into()
    });
    let reject = (any::<bool>(), 0x3f_u8..0x46).prop_map(|(ours, code)| {
        let message = if ours { "version" } else { "tx" };
        Reject::new(message, RejectCode(code), "why").into()
    });
    prop_oneof![
        3 => Just(peer_version().into()),
        1 => version,
        3 => Just(Message::Verack),
        2 => Just(protoconf(2_097_152).into()),
        1 => (1_048_570..1_048_580_u32).prop_map(|limit| protoconf(limit).into()),
        2 => Just(Message::SendHeaders),
        2 => Just(Message::GetAddr),
        2 => any::<u64>().prop_map(|nonce| Ping::new(nonce).into()),
        1 => (0..2000_u64).prop_map(|nonce| Pong::new(nonce).into()),
        1 => reject,
        1 => Just(unknown("foobar", b"x")),
        1 => Just(unknown("streamack", b"x")),
    ]
}

/// Returns a frame of a known command with an arbitrary or nearly valid payload.
fn frame() -> impl Strategy<Value = Step> {
    let any_bytes = prop::collection::vec(any::<u8>(), 0..80);
    let nearly = (valid_message(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(message, at, byte)| {
            let mut payload = message.encode_to_vec();
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            (message.command(), payload)
        },
    );
    let named = prop::sample::select(&NAMES[..]).prop_map(Command::new);
    let anything = (named, any_bytes);
    prop_oneof![anything, nearly].prop_map(|(command, payload)| Step::Frame(command, payload))
}

fn drop_cause() -> impl Strategy<Value = FrameDropReason> {
    prop_oneof![
        Just(FrameDropReason::InvalidCommand(InvalidCommand(
            "\x07".into()
        ))),
        Just(FrameDropReason::ChecksumMismatch {
            command: Command::new("inv"),
            expected: [1; 4],
            got: [2; 4],
        }),
    ]
}

fn rare_step() -> impl Strategy<Value = Step> {
    let end = prop::sample::select(vec![
        TransportClose::ConnectionClosed,
        TransportClose::Failed(ErrorKind::ConnectionReset),
        TransportClose::Failed(ErrorKind::TimedOut),
    ]);
    let reason = prop::sample::select(vec![
        DisconnectReason::Shutdown,
        DisconnectReason::AtCapacity,
        DisconnectReason::ConnectRefused,
        DisconnectReason::InternalError,
    ]);
    prop_oneof![
        Just(Step::Dial),
        Just(Step::Connect),
        Just(Step::BrokenFrames),
        end.prop_map(Step::TransportEnds),
        reason.prop_map(Step::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let time = (0..120_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        30 => valid_message().prop_map(Step::Receive),
        10 => frame(),
        4 => drop_cause().prop_map(Step::Drop),
        8 => Just(Step::Answer),
        4 => time.clone().prop_map(Step::Wait),
        4 => Just(Step::WaitForDeadline),
        2 => Just(Step::Transfer),
        1 => time.prop_map(Step::Pause),
        2 => Just(Step::ProgramPings),
        1 => rare_step(),
    ]
}

/// The observations of a session, to check its guarantees.
#[derive(Default)]
struct Watch {
    sent: Vec<&'static str>,
    complete: bool,
    score: u32,
    open_ping: Option<u64>,
}

impl Watch {
    /// Checks the outputs of one step, and the session after it.
    fn look(&mut self, side: &mut Side, delivery: Fate) {
        if delivery == Fate::Delivered {
            assert!(self.complete, "delivered before the handshake");
            assert_eq!(side.session.state(), ConnectionState::Connected);
        }
        for output in side.take() {
            match output {
                Output::Send(message) => self.sent(&message),
                Output::Event(SessionEvent::HandshakeComplete(_)) => {
                    assert!(!self.complete, "complete twice");
                    self.complete = true;
                }
                Output::Event(SessionEvent::Misbehavior { misbehavior, score }) => {
                    assert_eq!(score, self.score + misbehavior.score());
                    self.score = score;
                }
                Output::Event(SessionEvent::Pong { .. }) => assert!(self.complete),
                Output::RegisterAssociation(_) | Output::OpenStream(_) | Output::Event(_) => {
                    panic!("no streams are offered here: {output:?}")
                }
                Output::Close(reason) => {
                    let misbehaved = matches!(reason, DisconnectReason::Misbehaved { .. });
                    assert_eq!(misbehaved, self.score >= 30, "{reason}");
                }
            }
        }
        self.look_at_state(side);
    }

    fn sent(&mut self, message: &Message) {
        let name = message.command();
        match name.name() {
            "version" => self.once("version", &[]),
            "verack" => self.once("verack", &["version"]),
            "protoconf" => self.once("protoconf", &["version", "verack"]),
            "reject" => {}
            "sendheaders" => {
                assert!(self.complete);
                self.once("sendheaders", &["version", "verack", "protoconf"]);
            }
            "ping" | "pong" => assert!(self.complete, "{name} before the handshake"),
            _ => panic!("{name} is not the session's"),
        }
        if let Message::Ping(ping) = message {
            self.open_ping = ping.nonce;
        }
    }

    /// Records a message that must be sent once, right after `before`.
    fn once(&mut self, name: &'static str, before: &[&str]) {
        assert_eq!(self.sent, before, "when {name} was sent");
        self.sent.push(name);
    }

    fn look_at_state(&self, side: &Side) {
        let session = &side.session;
        let state = session.state();
        if side.closed().is_some() {
            let ended = [
                ConnectionState::Disconnected,
                ConnectionState::Rejected,
                ConnectionState::Failed,
            ];
            assert!(ended.contains(&state), "{state}");
            assert_eq!(session.next_deadline(), None);
            return;
        }
        assert!(self.score < 30);
        let stands = matches!(
            state,
            ConnectionState::AwaitingHandshake | ConnectionState::Connected
        );
        assert_eq!(session.next_deadline().is_some(), stands);
        assert_eq!(state == ConnectionState::Connected, self.complete);
        let may_send = session.check_outgoing(&Message::GetAddr).is_ok();
        assert_eq!(may_send, self.complete);
    }
}

fn take_step(side: &mut Side, step: Step, watch: &Watch) -> Fate {
    match step {
        Step::Dial => {
            let _ = side.with(|session, _| session.on_connect_started());
        }
        Step::Connect => {
            let _ = side.with(|session, now| session.on_connected(peer_address(), UNIX_TIME, now));
        }
        Step::Receive(message) => return side.receive(message),
        Step::Frame(command, payload) => {
            return side.receive_payload(command, Bytes::from(payload));
        }
        Step::Answer => {
            if let Some(nonce) = watch.open_ping {
                return side.receive(Pong::new(nonce));
            }
        }
        Step::Drop(cause) => side.with(|session, now| session.on_dropped(cause, now)),
        Step::BrokenFrames => {
            let error = FrameError::TooLong {
                command: "inv".into(),
                len: 2,
                limit: 1,
            };
            side.with(|session, _| session.on_frame_error(error));
        }
        Step::TransportEnds(end) => {
            let reason = side.transport_ends(end);
            assert_eq!(side.closed(), Some(&reason));
        }
        Step::Close(reason) => side.with(|session, _| session.close(reason)),
        Step::Wait(time) => side.wait(time),
        Step::WaitForDeadline => {
            if let Some(deadline) = side.session.next_deadline() {
                let time = deadline.saturating_duration_since(side.now);
                side.wait(time);
                assert_ne!(
                    side.session.next_deadline(),
                    Some(deadline),
                    "nothing happened"
                );
            }
        }
        Step::Transfer => side.with(|session, now| session.on_partial_frame(now)),
        Step::Pause(time) => {
            side.now += time;
            side.with(|session, now| session.on_reads_paused(now - time, now));
        }
        Step::ProgramPings => {
            side.with(|session, now| session.ping(now));
        }
    }
    Fate::Consumed
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn session_invariants_hold_for_random_input(
        outbound in any::<bool>(),
        connected in prop::bool::weighted(0.9),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let config = SessionConfig { ban_threshold: 30, ..SessionConfig::default() };
        let mut side = Side::new(direction, config, NonceRegistry::default(), 1000);
        if connected {
            side.connect();
        }
        let mut watch = Watch::default();
        watch.look(&mut side, Fate::Consumed);
        for step in steps {
            let delivery = take_step(&mut side, step, &watch);
            watch.look(&mut side, delivery);
        }
    }
}
