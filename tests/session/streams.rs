//! Further streams of a peer: who offers them, who chooses a policy, and what becomes of a `createstrm`.

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

/// A session whose driver can have further streams.
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

/// What the peer says in its `version`: the ID that we have sent it, or one of its own.
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

/// The request for the one further stream that a policy has.
fn request_of(id: Uuid) -> CreateStrm {
    request(AssociationId::Uuid(id), StreamType::Data1)
}

/// Which ID the `version` among these messages carries.
#[track_caller]
fn sent_id(sent: &[Message]) -> Option<AssociationId> {
    let version = sent.iter().find_map(|message| match message {
        Message::Version(version) => Some(version.association_id),
        _ => None,
    });
    version.expect("a version")
}

/// Which policies the `protoconf` among these messages lists.
#[track_caller]
fn sent_policies(sent: &[Message]) -> String {
    let policies = sent.iter().find_map(|message| match message {
        Message::Protoconf(protoconf) => protoconf.stream_policies.as_ref(),
        _ => None,
    });
    String::from_utf8(policies.expect("policies").as_bytes().to_vec()).unwrap()
}

/// An outbound session behind its handshake with a peer that has sent this ID, if any.
fn complete_with(id: Option<AssociationId>, change: impl FnOnce(&mut SessionConfig)) -> Side {
    let mut side = offering_with(Direction::Outbound, change);
    side.receive(version_with(id));
    side.receive(Message::Verack);
    assert_eq!(side.session.state(), ConnectionState::Connected);
    side
}

/// One to which the peer has sent our ID back, and whose ping it has answered.
fn agreed_with(change: impl FnOnce(&mut SessionConfig)) -> Side {
    let (mut side, pong) = unanswered_with(change);
    side.receive(pong);
    side.take();
    side
}

/// The same before the answer, and the answer.
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

/// The session has refused a `createstrm` with these words, and closed.
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
fn whoever_dials_names_an_association_and_offers_its_policies() {
    let mut side = offering(Direction::Outbound);
    let sent = side.take_sent();
    assert_eq!(sent_id(&sent), Some(AssociationId::Uuid(OURS)));
    side.receive(version_of(OURS));
    assert_eq!(sent_policies(&side.take_sent()), "BlockPriority,Default");

    let mut side = agreed_with(|config| config.stream_policies = vec![StreamPolicy::Default]);
    side.receive(protoconf_of("BlockPriority,Default"));
    assert_eq!(side.take(), []);
}

#[test]
fn who_is_dialled_sends_the_id_back_and_is_known_by_it_before_the_peer_hears_of_that() {
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
fn who_is_dialled_without_an_id_answers_without_one() {
    for id in [None, Some(AssociationId::Null)] {
        let mut side = offering(Direction::Inbound);
        side.receive(version_with(id));
        let outputs = side.take();
        assert!(!outputs.contains(&Output::RegisterAssociation(OURS)));
        assert!(matches!(outputs[0], Output::Send(Message::Version(_))));
        let sent = messages(outputs);
        assert_eq!(sent_id(&sent), Some(AssociationId::Null));
        // That declines streams, not policies.
        assert_eq!(sent_policies(&sent), "BlockPriority,Default");
    }
}

#[test]
fn another_id_than_ours_is_refused_by_its_code_and_words() {
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
fn a_peer_that_does_not_send_the_id_back_has_one_stream_and_that_is_told_once() {
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

        // Whoever wants no second stream does not miss one.
        let mut side = complete_with(id, |config| {
            config.stream_policies = vec![StreamPolicy::Default];
        });
        let complete = handshake_complete(&version_with(id));
        assert_eq!(events(side.take()), [complete]);
    }
}

#[test]
fn the_first_of_our_own_policies_that_the_peer_has_is_chosen() {
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
    // One that lists no policies at all.
    let mut side = agreed_with(|_| ());
    side.receive(Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: None,
    });
    assert_eq!(side.take(), none);
}

#[test]
fn without_streams_no_id_is_sent_and_those_of_others_mean_nothing() {
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
fn a_peer_for_which_there_is_no_room_is_offered_nothing_but_may_be_a_stream_of_another() {
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

        let mut side = full();
        side.receive(request_of(THEIRS));
        assert_eq!(side.take(), [Output::AttachStream(request_of(THEIRS))]);
    }
}

#[test]
fn a_createstrm_that_comes_first_makes_the_connection_a_stream_of_somebody() {
    // Of whom, and whether there is such a stream, is for the driver to find out.
    for stream_type in [StreamType::Data1, StreamType::Data4] {
        let mut side = offering(Direction::Inbound);
        let wanted = request(AssociationId::Uuid(THEIRS), stream_type);
        side.receive(wanted.clone());
        assert_eq!(side.take(), [Output::AttachStream(wanted)]);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn a_createstrm_without_an_association_is_refused() {
    let mut side = offering(Direction::Inbound);
    side.receive(request(AssociationId::Null, StreamType::Data1));
    assert_refused(side, 0x60, "NULL association ID");
}

#[test]
fn a_createstrm_that_cannot_be_read_is_refused_and_one_of_no_known_type_in_other_words() {
    let good = request_of(THEIRS).encode_to_vec();
    // Behind the ID of eighteen bytes.
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
    // What cannot be read at all is malformed, whatever type it says.
    let mut side = offering(Direction::Inbound);
    side.receive_bytes("createstrm", &with_type(6)[..good.len() - 1]);
    assert_refused(side, 0x60, "Badly formatted message");
}

#[test]
fn a_createstrm_behind_a_version_is_refused_whatever_it_says() {
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
fn a_connection_that_we_have_dialled_becomes_nobodys_stream() {
    let mut side = offering(Direction::Outbound);
    side.take();
    side.receive(request_of(OURS));
    assert_refused(side, 0x60, "No node found with association ID");
}

#[test]
fn policies_that_nodes_refuse_or_that_are_named_twice_are_no_configuration() {
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
        let error = ConfigError {
            field: "stream_policies",
            value: value.to_owned(),
            expected: expected.into(),
        };
        assert_eq!(validate(policies), Err(error));
    };
    let without = "nodes close connections that do not offer Default";
    wrong(&[], "[]", without);
    wrong(&[BlockPriority], "[BlockPriority]", without);
    let twice = "each policy may be named once";
    wrong(&[Default, Default], "[Default, Default]", twice);
    wrong(
        &[BlockPriority, Default, BlockPriority],
        "[BlockPriority, Default, BlockPriority]",
        twice,
    );
}

#[test]
fn a_second_stream_is_asked_for_once() {
    let mut side = agreed_with(|_| ());
    side.receive(protoconf_of("BlockPriority,Default"));
    assert_eq!(side.take(), [Output::OpenStream(request_of(OURS))]);
    side.receive(protoconf_of("BlockPriority,Default"));
    let close = Output::Close(DisconnectReason::DuplicateProtoconf);
    assert_eq!(side.take(), [close]);
}

#[test]
fn a_second_stream_waits_until_the_peer_has_shown_that_it_has_our_verack() {
    let opened = [Output::OpenStream(request_of(OURS))];
    let opens = |side: &mut Side| {
        let mut outputs = side.take();
        outputs.retain(|output| matches!(output, Output::OpenStream(_)));
        outputs
    };
    let (mut side, pong) = unanswered_with(|_| ());
    side.receive(protoconf_of("BlockPriority,Default"));
    // None of these needs our verack, and the last is the answer to something else.
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

/// A session after its handshake with a Teranode, which has sent its `protoconf`.
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
