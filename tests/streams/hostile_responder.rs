//! Dialed peers that refuse a second stream are used with one stream.

use std::time::Duration;

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::session::{DisconnectReason, StreamSetupError};
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Message, Ping, Pong, Protoconf, Reject, RejectCode, StreamAck,
    StreamPolicy, StreamType, Version,
};
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{
    DEADLINE, RawListener, RawPeer, header_claiming, protoconf, version, wait_until,
};
use uuid::Uuid;

use crate::harness::{both_policies, config, message, wait_for};

/// A dialed scripted peer.
pub(crate) struct Dialed {
    listener: RawListener,
    pub(crate) general: RawPeer,
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) control: EventReceiver<ControlEvent>,
    pub(crate) messages: EventReceiver<BitcoinMessageEvent>,
}

/// Returns the association of the `version` that we send.
fn association(version: &Version) -> Uuid {
    match version.association_id {
        Some(AssociationId::Uuid(id)) => id,
        other => panic!("{other:?}"),
    }
}

impl Dialed {
    /// Answers our `version` with the association that `echo` returns for ours, and with this
    /// `protoconf`.
    #[track_caller]
    fn with(
        config: ConnectionConfig,
        echo: impl FnOnce(Uuid) -> Option<AssociationId>,
        protoconf: Protoconf,
    ) -> Self {
        let listener = RawListener::new();
        let setup = PeerConnectionOptions::new(config);
        let control = setup.events.subscribe_control();
        let messages = setup.events.subscribe_messages();
        let handle = PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap();
        let mut general = listener.accept();
        let Message::Version(ours) = general.expect("version") else {
            unreachable!()
        };
        general.send(Version {
            association_id: echo(association(&ours)),
            ..version()
        });
        general.send(Message::Verack);
        general.send(protoconf);
        Self {
            listener,
            general,
            handle,
            control,
            messages,
        }
    }

    /// Completes the first connection, and waits for the second.
    #[track_caller]
    pub(crate) fn asked(config: ConnectionConfig) -> (Self, RawPeer, CreateStrm) {
        let echo = |id| Some(AssociationId::Uuid(id));
        let mut this = Self::with(config, echo, both_policies());
        this.answer_ping();
        let mut data1 = this.listener.accept();
        let Message::CreateStrm(request) = data1.next_message() else {
            panic!("createstrm comes first")
        };
        assert_eq!(request.stream_type, StreamType::Data1);
        assert_eq!(request.stream_policy, StreamPolicy::BlockPriority.name());
        (this, data1, request)
    }

    /// Answers our ping, which shows that all earlier messages have arrived.
    #[track_caller]
    fn answer_ping(&mut self) {
        let nonce = self.general.expect_ping();
        self.general.send(Pong::new(nonce));
    }

    /// Asserts that the peer continues with one stream, for this reason, which is reported once.
    #[track_caller]
    pub(crate) fn assert_refused(mut self, wanted: impl Fn(&StreamSetupError) -> bool) {
        let refused = wait_for(&self.control, "the refusal", |event| match event {
            ControlEvent::StreamRefused { .. } => true,
            ControlEvent::StreamOpened { .. } => panic!("{event}"),
            _ => false,
        });
        let ControlEvent::StreamRefused { error, .. } = refused else {
            unreachable!()
        };
        assert!(wanted(&error), "{error:?}");
        self.general.send(Ping::new(5));
        assert_eq!(self.general.expect("pong"), Pong::new(5).into());
        self.general.send(message(1));
        let event = self.messages.recv_timeout(DEADLINE).unwrap();
        assert_eq!(*event.message, message(1));
        self.handle.send(message(2), DEADLINE).unwrap();
        assert_eq!(self.general.expect("test"), message(2));
        assert_eq!(self.handle.statistics().stream_policy, None);
        assert_eq!(self.control.try_iter().count(), 0, "reported once");
        self.handle.disconnect();
        assert_eq!(self.general.rest(), []);
        self.handle.join();
    }
}

pub(crate) fn ack(request: &CreateStrm) -> StreamAck {
    StreamAck {
        association_id: request.association_id,
        stream_type: request.stream_type,
    }
}

pub(crate) fn config_with_handshake_timeout() -> ConnectionConfig {
    let mut config = config();
    config.session.handshake_timeout = Duration::from_millis(300);
    config
}

#[test]
fn missing_streamack_times_out_like_a_handshake() {
    let (this, data1, _) = Dialed::asked(config_with_handshake_timeout());
    this.assert_refused(|refusal| {
        let after = Duration::from_millis(300);
        *refusal == StreamSetupError::TimedOut { after }
    });
    assert!(data1.read_to_end().is_empty());
}

#[test]
fn rejected_stream_is_reported_with_reason() {
    let (this, data1, _) = Dialed::asked(config());
    let reject = Reject::new("createstrm", RejectCode::STREAM_SETUP, "no");
    data1.send(reject.clone());
    this.assert_refused(|refusal| *refusal == StreamSetupError::Rejected(Box::new(reject.clone())));
    assert!(data1.read_to_end().is_empty());
}

#[test]
fn closed_stream_attempt_keeps_first_stream() {
    for resets in [false, true] {
        let (this, mut data1, _) = Dialed::asked(config());
        if resets {
            data1.reset();
        } else {
            data1.close();
        }
        this.assert_refused(|refusal| *refusal == StreamSetupError::Closed);
    }
}

#[test]
fn mismatched_streamack_is_refused() {
    let answers: [fn(&CreateStrm) -> Vec<u8>; 6] = [
        |request| {
            let other = AssociationId::Uuid(Uuid::new_v4());
            test_support::raw_peer::frame(&Message::from(StreamAck {
                association_id: other,
                ..ack(request)
            }))
        },
        |request| {
            test_support::raw_peer::frame(&Message::from(StreamAck {
                stream_type: StreamType::Data2,
                ..ack(request)
            }))
        },
        |_| test_support::raw_peer::frame(&version().into()),
        |_| test_support::raw_peer::frame(&Ping::new(1).into()),
        |_| vec![0x55; 24],
        |_| header_claiming("streamack", 3_000_000),
    ];
    for answer in answers {
        let (this, data1, request) = Dialed::asked(config());
        data1.send_bytes(&answer(&request));
        this.assert_refused(|refusal| *refusal == StreamSetupError::UnexpectedReply);
        assert!(data1.read_to_end().is_empty());
    }
}

#[test]
fn refused_stream_connection_keeps_first_stream() {
    let listener = RawListener::new();
    let setup = PeerConnectionOptions::new(config());
    let control = setup.events.subscribe_control();
    let messages = setup.events.subscribe_messages();
    let handle = PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap();
    let mut general = listener.accept();
    drop(listener);
    let Message::Version(ours) = general.expect("version") else {
        unreachable!()
    };
    general.send(Version {
        association_id: ours.association_id,
        ..version()
    });
    general.send(Message::Verack);
    general.send(both_policies());
    let mut this = Dialed {
        listener: RawListener::new(),
        general,
        handle,
        control,
        messages,
    };
    this.answer_ping();
    this.assert_refused(|refusal| {
        let refused = StreamSetupError::ConnectFailed(Box::new(DisconnectReason::ConnectRefused));
        *refusal == refused
    });
}

#[test]
fn stream_needs_association_and_common_policy() {
    let one_field = Protoconf {
        stream_policies: None,
        ..protoconf()
    };
    let other_names = Protoconf {
        stream_policies: Some("Fast,default".into()),
        ..protoconf()
    };
    let echo = |id| Some(AssociationId::Uuid(id));
    let this = Dialed::with(config(), |_| None, both_policies());
    this.assert_refused(|refusal| *refusal == StreamSetupError::AssociationNotEchoed);
    let this = Dialed::with(config(), |_| Some(AssociationId::Null), both_policies());
    this.assert_refused(|refusal| *refusal == StreamSetupError::AssociationNotEchoed);
    for protoconf in [one_field, other_names] {
        let this = Dialed::with(config(), echo, protoconf);
        this.assert_refused(|refusal| *refusal == StreamSetupError::NoCommonPolicy);
    }
}

#[test]
fn another_association_than_ours_ends_the_connection() {
    let other = |_| Some(AssociationId::Uuid(Uuid::new_v4()));
    let mut this = Dialed::with(config(), other, both_policies());
    let Message::Reject(reject) = this.general.expect("reject") else {
        unreachable!()
    };
    assert_eq!(
        (reject.message, reject.code),
        ("version".into(), RejectCode::STREAM_SETUP)
    );
    assert_eq!(this.general.rest(), []);
    let end = wait_for(&this.control, "the end", |event| {
        matches!(event, ControlEvent::ConnectionFailed { .. })
    });
    let ControlEvent::ConnectionFailed { reason, .. } = end else {
        unreachable!()
    };
    assert_eq!(reason, DisconnectReason::AssociationMismatch);
}

#[test]
fn messages_after_streamack_are_not_lost() {
    let (this, mut data1, request) = Dialed::asked(config());
    let mut bytes = test_support::raw_peer::frame(&ack(&request).into());
    for number in 0..20 {
        bytes.extend(test_support::raw_peer::frame(&message(number)));
    }
    let (first, last) = bytes.split_at(bytes.len() - 3);
    data1.send_bytes(first);
    wait_for(&this.control, "the second stream", |event| {
        matches!(event, ControlEvent::StreamOpened { .. })
    });
    data1.send_bytes(last);
    for number in 0..20 {
        let event = this.messages.recv_timeout(DEADLINE).unwrap();
        assert_eq!(*event.message, message(number));
    }
    this.general.send(Ping::new(9));
    while data1.expect("pong") != Pong::new(9).into() {}
}

#[test]
fn disconnect_while_awaiting_streamack_emits_no_refusal() {
    let (mut this, data1, _) = Dialed::asked(config());
    this.handle.disconnect();
    this.handle.join();
    assert!(data1.read_to_end().is_empty());
    this.general.rest();
    let told: Vec<_> = this.control.try_iter().map(Result::unwrap).collect();
    let names: Vec<_> = told.iter().map(ControlEvent::name).collect();
    let whole = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "ConnectionLost",
    ];
    assert_eq!(names, whole);
}

#[test]
fn refused_stream_leaves_no_descriptor() {
    run_in_own_process(
        "hostile_responder::refused_stream_leaves_no_descriptor",
        || {
            let refused = || {
                let (this, data1, _) = Dialed::asked(config());
                data1.send(Reject::new("createstrm", RejectCode::STREAM_SETUP, "no"));
                wait_for(&this.control, "the refusal", |event| {
                    matches!(event, ControlEvent::StreamRefused { .. })
                });
                this
            };
            // Resources that the first use allocates permanently are no leak.
            drop(refused());
            let before = threads_and_descriptors().1;
            let two = [refused(), refused()];
            // A listener, and both ends of one connection.
            wait_until("the second sockets are closed", || {
                threads_and_descriptors().1 == before + 6
            });
            drop(two);
        },
    );
}
