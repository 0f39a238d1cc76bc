//! Second streams of a peer: offer, choice of a policy, and the handling of `createstrm`.

use bsv_p2p::session::{
    ConfigError, ConnectionState, Direction, DisconnectReason, NonceRegistry, Output,
    SessionConfig, SessionEvent, StreamSetupError,
};
use bsv_p2p::wire::{
    AssociationId, CreateStrm, Encode, Message, Pong, Protoconf, StreamPolicy, StreamType, Version,
};
use uuid::Uuid;

use crate::handshake::handshake_complete;
use crate::side::{DIRECTIONS, Fate, Side, peer_version, send_reject, unknown};

const OURS: Uuid = Uuid::from_u128(0x6f1c_2d3e_4a5b_4c6d_8e7f_90a1_b2c3_d4e5);
const THEIRS: Uuid = Uuid::from_u128(7);

/// Creates a session whose driver supports second streams.
fn offering_with(direction: Direction, change: impl FnOnce(&mut SessionConfig)) -> Side {
    let mut config = SessionConfig::default();
    change(&mut config);
    let mut side = Side::new(direction, config, NonceRegistry::default(), 1000);
    side.session.enable_multistream(OURS);
    side.connect();
    side
}

fn offering(direction: Direction) -> Side {
    offering_with(direction, |_| ())
}

fn version_with(id: Option<AssociationId>) -> Version {
    Version {
        association_id: id,
        ..peer_version()
    }
}

/// Returns the peer's `version` with an ID: the one we sent, or another.
fn version_of(id: Uuid) -> Version {
    version_with(Some(AssociationId::Uuid(id)))
}

fn protoconf_of(policies: &str) -> Protoconf {
    Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some(policies.into()),
    }
}

fn request(id: AssociationId, stream_type: StreamType) -> CreateStrm {
    CreateStrm {
        association_id: id,
        stream_type,
        stream_policy: "BlockPriority".into(),
    }
}

/// Returns the request for the second stream of the policy.
fn request_of(id: Uuid) -> CreateStrm {
    request(AssociationId::Uuid(id), StreamType::Data1)
}

/// Returns the ID in the `version` among these messages.
#[track_caller]
fn sent_id(sent: &[Message]) -> Option<AssociationId> {
    let version = sent.iter().find_map(|message| match message {
        Message::Version(version) => Some(version.association_id),
        _ => None,
    });
    version.expect("a version")
}

/// Returns the policies in the `protoconf` among these messages.
#[track_caller]
fn sent_policies(sent: &[Message]) -> String {
    let policies = sent.iter().find_map(|message| match message {
        Message::Protoconf(protoconf) => protoconf.stream_policies.as_ref(),
        _ => None,
    });
    String::from_utf8(policies.expect("policies").as_bytes().to_vec()).unwrap()
}

/// Creates an outbound session after the handshake with a peer that sent this ID, if any.
fn complete_with(id: Option<AssociationId>, change: impl FnOnce(&mut SessionConfig)) -> Side {
    let mut side = offering_with(Direction::Outbound, change);
    side.receive(version_with(id));
    side.receive(Message::Verack);
    assert_eq!(side.session.state(), ConnectionState::Connected);
    side
}

/// Creates a session whose peer has echoed our ID and answered our ping.
fn agreed_with(change: impl FnOnce(&mut SessionConfig)) -> Side {
    let (mut side, pong) = unanswered_with(change);
    side.receive(pong);
    side.take();
    side
}

/// Like [`agreed_with`], but before the pong, which is returned.
fn unanswered_with(change: impl FnOnce(&mut SessionConfig)) -> (Side, Pong) {
    let mut side = complete_with(Some(AssociationId::Uuid(OURS)), change);
    let sent = side.take_sent();
    let ping = sent.iter().find_map(|message| match message {
        Message::Ping(ping) => ping.nonce,
        _ => None,
    });
    (side, Pong::new(ping.expect("a ping behind the handshake")))
}

fn messages(outputs: Vec<Output>) -> Vec<Message> {
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Send(message) => Some(message),
        _ => None,
    });
    sent.collect()
}

fn events(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.retain(|output| matches!(output, Output::Event(_)));
    outputs
}

fn refused(refusal: StreamSetupError) -> Output {
    Output::Event(SessionEvent::StreamSetupFailed(refusal))
}

/// Asserts that the session rejects a `createstrm` with this text, and closes.
#[track_caller]
fn assert_refused(mut side: Side, code: u8, text: &str) {
    assert_eq!(
        side.take(),
        [
            send_reject("createstrm", code, text),
            Output::Close(DisconnectReason::StreamRefused),
        ]
    );
}

#[test]
fn outbound_session_offers_association_and_policies() {
    let mut side = offering(Direction::Outbound);
    let sent = side.take_sent();
    assert_eq!(sent_id(&sent), Some(AssociationId::Uuid(OURS)));
    side.receive(version_of(OURS));
    assert_eq!(sent_policies(&side.take_sent()), "BlockPriority,Default");

    let mut side = agreed_with(|config| config.stream_policies = vec![StreamPolicy::Default]);
    side.receive(protoconf_of("BlockPriority,Default"));
    assert_eq!(side.take(), []);
}

/// The association is registered before the peer receives the `version`.
#[test]
fn inbound_session_echoes_association_id() {
    let mut side = offering(Direction::Inbound);
    side.receive(version_of(THEIRS));
    let outputs = side.take();
    assert_eq!(outputs[0], Output::RegisterAssociation(THEIRS));
    assert!(matches!(outputs[1], Output::Send(Message::Version(_))));
    let id = sent_id(&messages(outputs));
    assert_eq!(id, Some(AssociationId::Uuid(THEIRS)));
    side.receive(Message::Verack);
    side.receive(protoconf_of("BlockPriority,Default"));
    let later = side.take();
    let opens = |output: &Output| {
        let refused = matches!(output, Output::Event(SessionEvent::StreamSetupFailed(_)));
        refused
            || matches!(
                output,
                Output::OpenStream(_) | Output::RegisterAssociation(_)
            )
    };
    assert!(!later.iter().any(opens), "it never opens one: {later:?}");
}

#[test]
fn inbound_session_without_id_answers_without_one() {
    for id in [None, Some(AssociationId::Null)] {
        let mut side = offering(Direction::Inbound);
        side.receive(version_with(id));
        let outputs = side.take();
        assert!(!outputs.contains(&Output::RegisterAssociation(OURS)));
        assert!(matches!(outputs[0], Output::Send(Message::Version(_))));
        let sent = messages(outputs);
        assert_eq!(sent_id(&sent), Some(AssociationId::Null));
        // This declines streams, not policies.
        assert_eq!(sent_policies(&sent), "BlockPriority,Default");
    }
}

#[test]
fn mismatched_association_id_is_rejected() {
    let mut side = offering(Direction::Outbound);
    side.take();
    side.receive(version_of(THEIRS));
    let text = "Badly formatted association ID: Mismatched association IDs";
    assert_eq!(
        side.take(),
        [
            send_reject("version", 0x60, text),
            Output::Close(DisconnectReason::AssociationMismatch),
        ]
    );
}

#[test]
fn missing_association_id_is_reported_once() {
    for id in [None, Some(AssociationId::Null)] {
        let mut side = complete_with(id, |_| ());
        assert_eq!(
            events(side.take()),
            [
                handshake_complete(&version_with(id)),
                refused(StreamSetupError::AssociationNotEchoed)
            ]
        );
        side.receive(protoconf_of("BlockPriority,Default"));
        side.receive(Message::Verack);
        assert_eq!(side.take(), []);

        // A side that wants no second stream gets no refusal event.
        let mut side = complete_with(id, |config| {
            config.stream_policies = vec![StreamPolicy::Default];
        });
        let complete = handshake_complete(&version_with(id));
        assert_eq!(events(side.take()), [complete]);
    }
}

#[test]
fn first_own_policy_common_to_both_is_chosen() {
    use StreamPolicy::{BlockPriority, Default};
    let opened = [Output::OpenStream(request_of(OURS))];
    let nothing: &[Output] = &[];
    let none = [refused(StreamSetupError::NoCommonPolicy)];
    for (ours, theirs, expected) in [
        (
            &[BlockPriority, Default][..],
            "BlockPriority,Default",
            &opened[..],
        ),
        (&[BlockPriority, Default], "Default,BlockPriority", &opened),
        (
            &[BlockPriority, Default],
            "Other,BlockPriority,More",
            &opened,
        ),
        (&[BlockPriority, Default], "Default", nothing),
        (&[Default, BlockPriority], "BlockPriority,Default", nothing),
        (&[Default, BlockPriority], "BlockPriority", &opened),
        (&[BlockPriority, Default], "blockpriority,default", &none),
        (&[BlockPriority, Default], "BlockPriorityDefault", &none),
        (&[BlockPriority, Default], "", &none),
    ] {
        let mut side = agreed_with(|config| config.stream_policies = ours.to_vec());
        side.receive(protoconf_of(theirs));
        assert_eq!(side.take(), expected, "{ours:?} and {theirs}");
        assert_eq!(side.closed(), None);
    }
    // A peer without a list of policies.
    let mut side = agreed_with(|_| ());
    side.receive(Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: None,
    });
    assert_eq!(side.take(), none);
}

#[test]
fn disabled_streams_ignore_association_ids() {
    let not_offered = |direction| Side::connected(direction);
    let off = |direction| offering_with(direction, |config| config.multistreams = false);
    for make in [&not_offered as &dyn Fn(Direction) -> Side, &off] {
        for direction in DIRECTIONS {
            let mut side = make(direction);
            side.receive(version_of(THEIRS));
            side.receive(Message::Verack);
            side.receive(protoconf_of("BlockPriority,Default"));
            assert_eq!(side.session.state(), ConnectionState::Connected);
            let outputs = side.take();
            let strange = |output: &&Output| {
                !matches!(
                    output,
                    Output::Send(_) | Output::Event(SessionEvent::HandshakeComplete(_))
                )
            };
            assert_eq!(outputs.iter().find(strange), None);
            let sent = messages(outputs);
            assert_eq!(sent_id(&sent), Some(AssociationId::Null));
            assert_eq!(sent_policies(&sent), "Default");
        }
        let mut side = make(Direction::Inbound);
        side.receive(request_of(THEIRS));
        assert_refused(side, 0x60, "No node found with association ID");
    }
}

#[test]
fn peer_over_capacity_is_offered_no_streams() {
    let offer = |side: &mut Side| side.session.enable_multistream(OURS);
    let refuse = |side: &mut Side| side.session.reject_over_capacity();
    for calls in [
        [&offer as &dyn Fn(&mut Side), &refuse],
        [&refuse as &dyn Fn(&mut Side), &offer],
    ] {
        let full = || {
            let config = SessionConfig::default();
            let registry = NonceRegistry::default();
            let mut side = Side::new(Direction::Inbound, config, registry, 1000);
            calls.iter().for_each(|call| call(&mut side));
            side.connect();
            side
        };
        let mut side = full();
        side.receive(version_of(THEIRS));
        let outputs = side.take();
        assert!(!outputs.contains(&Output::RegisterAssociation(THEIRS)));
        let sent = messages(outputs);
        assert_eq!(sent_id(&sent), Some(AssociationId::Null));
        assert_eq!(sent_policies(&sent), "Default");
        side.receive(Message::Verack);
        assert_eq!(side.closed(), Some(&DisconnectReason::AtCapacity));
    }
}

/// The driver handles a `createstrm` that is the first message of an accepted socket.
#[test]
fn createstrm_in_session_is_rejected() {
    for stream_type in [StreamType::Data1, StreamType::Data4] {
        let mut side = offering(Direction::Inbound);
        side.receive(request(AssociationId::Uuid(THEIRS), stream_type));
        assert_refused(side, 0x60, "No node found with association ID");
    }
}

#[test]
fn createstrm_with_null_association_is_rejected() {
    let mut side = offering(Direction::Inbound);
    side.receive(request(AssociationId::Null, StreamType::Data1));
    assert_refused(side, 0x60, "NULL association ID");
}

#[test]
fn malformed_createstrm_is_rejected_with_own_text() {
    let good = request_of(THEIRS).encode_to_vec();
    // After the ID of eighteen bytes.
    const TYPE: usize = 18;
    assert_eq!(good[TYPE], 2);
    let with_type = |byte: u8| {
        let mut payload = good.clone();
        payload[TYPE] = byte;
        payload
    };
    for byte in [6, 255] {
        let mut side = offering(Direction::Inbound);
        side.receive_bytes("createstrm", &with_type(byte));
        assert_refused(side, 0x60, "StreamType out of range");
    }
    for len in 0..good.len() {
        let mut side = offering(Direction::Inbound);
        side.receive_bytes("createstrm", &good[..len]);
        assert_refused(side, 0x60, "Badly formatted message");
    }
    // An undecodable message is malformed, whatever its type.
    let mut side = offering(Direction::Inbound);
    side.receive_bytes("createstrm", &with_type(6)[..good.len() - 1]);
    assert_refused(side, 0x60, "Badly formatted message");
}

#[test]
fn createstrm_after_version_is_rejected() {
    let fine = request_of(THEIRS).encode_to_vec();
    let null = request(AssociationId::Null, StreamType::Data1).encode_to_vec();
    for payload in [&fine[..], &null, &fine[..18], &[]] {
        for direction in DIRECTIONS {
            for behind_handshake in [false, true] {
                let mut side = offering(direction);
                side.receive(version_of(OURS));
                if behind_handshake {
                    side.receive(Message::Verack);
                }
                side.take();
                side.receive_bytes("createstrm", payload);
                assert_refused(side, 0x40, "Invalid createstream scenario");
            }
        }
    }
}

#[test]
fn createstrm_on_outbound_connection_is_rejected() {
    let mut side = offering(Direction::Outbound);
    side.take();
    side.receive(request_of(OURS));
    assert_refused(side, 0x60, "No node found with association ID");
}

#[test]
fn invalid_stream_policies_are_rejected() {
    use StreamPolicy::{BlockPriority, Default};
    let validate = |policies: &[StreamPolicy]| {
        let config = SessionConfig {
            stream_policies: policies.to_vec(),
            ..SessionConfig::default()
        };
        config.validate()
    };
    for fine in [
        &[Default][..],
        &[BlockPriority, Default],
        &[Default, BlockPriority],
    ] {
        assert_eq!(validate(fine), Ok(()));
    }
    let wrong = |policies: &[StreamPolicy], value: &str, expected: &'static str| {
        let error: ConfigError = validate(policies).unwrap_err();
        assert_eq!(error.field, "stream_policies");
        assert_eq!((error.value.as_str(), &*error.expected), (value, expected));
    };
    let without = "a list that contains Default";
    wrong(&[], "[]", without);
    wrong(&[BlockPriority], "[BlockPriority]", without);
    let twice = "distinct policies";
    wrong(&[Default, Default], "[Default, Default]", twice);
    wrong(
        &[BlockPriority, Default, BlockPriority],
        "[BlockPriority, Default, BlockPriority]",
        twice,
    );
}

#[test]
fn second_stream_is_requested_once() {
    let mut side = agreed_with(|_| ());
    side.receive(protoconf_of("BlockPriority,Default"));
    assert_eq!(side.take(), [Output::OpenStream(request_of(OURS))]);
    side.receive(protoconf_of("BlockPriority,Default"));
    let close = Output::Close(DisconnectReason::DuplicateProtoconf);
    assert_eq!(side.take(), [close]);
}

/// A matching pong shows that the peer has received our `verack`.
#[test]
fn second_stream_waits_for_proof_of_verack() {
    let opened = [Output::OpenStream(request_of(OURS))];
    let opens = |side: &mut Side| {
        let mut outputs = side.take();
        outputs.retain(|output| matches!(output, Output::OpenStream(_)));
        outputs
    };
    let (mut side, pong) = unanswered_with(|_| ());
    side.receive(protoconf_of("BlockPriority,Default"));
    // None of these requires our verack, and the last answers another ping.
    side.receive(Message::GetAddr);
    side.receive(Pong::new(pong.nonce.unwrap() ^ 1));
    assert_eq!(opens(&mut side), []);
    side.receive(pong);
    assert_eq!(opens(&mut side), opened);
    side.receive(pong);
    assert_eq!(opens(&mut side), [], "once");

    let (mut side, pong) = unanswered_with(|_| ());
    side.receive(pong);
    assert_eq!(opens(&mut side), []);
    side.receive(protoconf_of("BlockPriority,Default"));
    assert_eq!(opens(&mut side), opened);
}

/// Returns a session after its handshake with a Teranode, which has sent its `protoconf`.
fn with_teranode(direction: Direction) -> Side {
    let mut side = Side::complete(direction);
    side.receive(protoconf_of("BlockPriority,Default"));
    side.take();
    side
}

#[test]
fn greetings_on_second_stream_are_ignored() {
    let malformed = unknown("protoconf", &[]);
    let too_small = Message::from(Protoconf {
        max_receive_payload: 1,
        stream_policies: None,
    });
    let same = Message::from(protoconf_of("BlockPriority,Default"));
    for direction in DIRECTIONS {
        let mut side = with_teranode(direction);
        side.session.set_stream(StreamType::Data1);
        for message in [
            &Message::Verack,
            &same,
            &same,
            &Message::Verack,
            &malformed,
            &too_small,
        ] {
            assert_eq!(side.receive(message.clone()), Fate::Consumed);
            assert_eq!(side.take(), [], "{message:?}");
        }
        assert_eq!(side.session.peer_max_payload(), 2_097_152);
        assert_eq!((side.session.score(), side.closed()), (0, None));
    }
}

#[test]
fn second_protoconf_on_first_stream_still_ends() {
    for direction in DIRECTIONS {
        let mut side = with_teranode(direction);
        side.session.set_stream(StreamType::Data1);
        side.receive(protoconf_of("Default"));
        side.session.set_stream(StreamType::General);
        side.receive(protoconf_of("BlockPriority,Default"));
        assert_eq!(side.closed(), Some(&DisconnectReason::DuplicateProtoconf));
    }
}

#[test]
fn first_protoconf_on_second_stream_changes_nothing() {
    let mut side = Side::complete(Direction::Inbound);
    side.session.set_stream(StreamType::Data1);
    side.receive(protoconf_of("Default"));
    side.session.set_stream(StreamType::General);
    let own = Protoconf {
        max_receive_payload: 3_000_000,
        stream_policies: None,
    };
    side.receive(own);
    assert_eq!(side.session.peer_max_payload(), 3_000_000);
    assert_eq!(side.closed(), None);
}
