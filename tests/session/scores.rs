//! Misbehavior: scores and rejects.

use std::time::Duration;

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectAction, DisconnectReason, Misbehavior, Output,
    SessionEvent,
};
use bsv_p2p::wire::{
    BlockError, BlockHash, BloomFilter, ChainRuleError, Command, CompactTarget, DecodeError,
    FrameDropReason, FrameError, HeaderChainError, InvalidCommand, MerkleRoot, Message,
    ProofOfWorkError, Services, WireString,
};

use crate::side::{DIRECTIONS, Fate, SECOND, Side, misbehavior, send_reject};

fn too_many(field: &'static str, limit: u64, got: u64) -> DecodeError {
    DecodeError::TooManyEntries { field, limit, got }
}

fn too_long(field: &'static str, limit: u64, got: u64) -> DecodeError {
    DecodeError::TooLong { field, limit, got }
}

#[track_caller]
fn assert_malformed(
    side: &mut Side,
    name: &str,
    payload: &[u8],
    error: DecodeError,
    told: bool,
    score: u32,
) {
    assert_eq!(side.receive_bytes(name, payload), Fate::Consumed);
    let command = Command::new(name);
    let mut expected = vec![];
    if told {
        expected.push(send_reject(name, 0x01, "error parsing message"));
    }
    expected.push(misbehavior(
        Misbehavior::Malformed { command, error },
        score,
    ));
    if score >= 100 {
        expected.push(Output::Close(DisconnectReason::Misbehaved { score }));
    }
    assert_eq!(side.take(), expected);
}

#[test]
fn fifth_too_long_list_reaches_ban() {
    for (name, payload, error) in [
        (
            "addr",
            [0xfd, 0xe9, 0x03],
            too_many("addresses", 1000, 1001),
        ),
        (
            "headers",
            [0xfd, 0xd1, 0x07],
            too_many("headers", 2000, 2001),
        ),
    ] {
        for direction in DIRECTIONS {
            let mut side = Side::complete(direction);
            for score in [20, 40, 60, 80, 100] {
                assert_malformed(&mut side, name, &payload, error.clone(), false, score);
            }
            assert_eq!(side.session.state(), ConnectionState::Failed);
            let reason = side.closed().unwrap();
            assert_eq!(reason.action(), DisconnectAction::Ban);
        }
    }
}

#[test]
fn size_above_32_bits_scores_one() {
    let mut side = Side::complete(Direction::Inbound);
    let error = DecodeError::SizeTooLarge {
        field: "inventory",
        value: 1 << 32,
    };
    let payload = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
    for score in 1..=3 {
        assert_malformed(&mut side, "inv", &payload, error.clone(), true, score);
    }
}

#[test]
fn noncanonical_sizes_and_truncated_payloads_score_zero() {
    let mut side = Side::complete(Direction::Inbound);
    let long_form = DecodeError::NonCanonicalSize {
        field: "inventory",
        value: 252,
    };
    assert_malformed(&mut side, "getdata", &[0xfd, 252, 0], long_form, true, 0);
    let short = DecodeError::Truncated {
        field: "inventory",
        needed: 36,
        left: 1,
    };
    assert_malformed(&mut side, "getdata", &[1, 7], short, true, 0);
    assert_eq!(side.closed(), None);
}

#[test]
fn malformed_optional_messages_get_no_reject() {
    for (name, field, needed) in [
        ("reject", "rejected message", 1),
        ("alert", "alert message", 1),
        ("revokemid", "revocation version", 4),
    ] {
        let mut side = Side::complete(Direction::Inbound);
        let error = DecodeError::Truncated {
            field,
            needed,
            left: 0,
        };
        assert_malformed(&mut side, name, &[], error, false, 0);
    }
}

#[test]
fn malformed_authentication_is_rejected_with_own_code() {
    for (name, field, needed) in [
        ("authch", "challenge version", 4),
        ("authresp", "public key", 1),
    ] {
        let mut side = Side::complete(Direction::Inbound);
        assert_eq!(side.receive_bytes(name, &[]), Fate::Consumed);
        let command = Command::new(name);
        let error = DecodeError::Truncated {
            field,
            needed,
            left: 0,
        };
        assert_eq!(
            side.take(),
            [
                send_reject(name, 0x70, "error parsing message"),
                misbehavior(Misbehavior::Malformed { command, error }, 0),
            ]
        );
    }
}

#[test]
fn oversized_filter_closes_the_connection() {
    let filter = |bytes: usize, functions: u32| {
        let len = u16::try_from(bytes).unwrap().to_le_bytes();
        let parts = [&[0xfd], &len[..], &vec![7; bytes], &functions.to_le_bytes()];
        [&parts.concat()[..], &[0; 5]].concat()
    };
    let element = |bytes: u16| [&[0xfd], &bytes.to_le_bytes()[..], &vec![7; bytes.into()]].concat();
    for (name, most, above, error) in [
        (
            "filterload",
            filter(36_000, 50),
            filter(36_001, 50),
            too_long("filter", 36_000, 36_001),
        ),
        (
            "filterload",
            filter(300, 50),
            filter(300, 51),
            too_many("hash functions", 50, 51),
        ),
        (
            "filteradd",
            element(520),
            element(521),
            too_long("filter element", 520, 521),
        ),
    ] {
        let mut side = side_with_filters();
        assert_eq!(side.receive_bytes(name, &most), Fate::Delivered);
        assert_eq!(side.take(), []);
        assert_eq!(side.receive_bytes(name, &above), Fate::Consumed);
        let command = Command::new(name);
        let reason = DisconnectReason::Misbehaved { score: 100 };
        assert_eq!(
            side.take(),
            [
                misbehavior(Misbehavior::OversizedFilter { command, error }, 100),
                Output::Close(reason),
            ]
        );
        // A truncated one is only malformed.
        let mut side = side_with_filters();
        side.receive_bytes(name, &above[..above.len() - 1]);
        assert_eq!(side.closed(), None);
    }
}

#[test]
fn repeated_sendheaders_scores() {
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        assert!(!side.session.wants_headers());
        assert_eq!(side.receive(Message::SendHeaders), Fate::Delivered);
        assert!(side.session.wants_headers());
        assert_eq!(side.take(), []);
        for score in 1..=3 {
            side.receive(Message::SendHeaders);
            assert_eq!(
                side.take(),
                [misbehavior(again(Message::SendHeaders), score)]
            );
        }
    }
}

#[test]
fn repeated_sendhdrsen_scores_independently_of_sendheaders() {
    let mut side = Side::complete(Direction::Inbound);
    assert_eq!(side.receive(Message::SendHeaders), Fate::Delivered);
    assert!(!side.session.wants_enriched_headers());
    assert_eq!(side.receive(Message::SendHdrsEn), Fate::Delivered);
    assert!(side.session.wants_enriched_headers());
    assert_eq!(side.take(), []);
    side.receive(Message::SendHdrsEn);
    assert_eq!(side.take(), [misbehavior(again(Message::SendHdrsEn), 1)]);
}

fn side_with_filters() -> Side {
    Side::complete_with(Direction::Inbound, |config| {
        config.services = Services::BLOOM
    })
}

fn again(message: Message) -> Misbehavior {
    let command = message.command();
    Misbehavior::DuplicateMessage { command }
}

#[test]
fn malformed_dsdetected_scores_10() {
    let mut side = Side::complete(Direction::Inbound);
    for (score, payload) in [(10, &[][..]), (20, &[2, 0]), (30, &[1, 0, 0xfd, 1, 0])] {
        side.receive_bytes("dsdetected", payload);
        let outputs = side.take();
        // Nothing is sent: a node never rejects a dsdetected.
        assert!(
            matches!(&outputs[..], [Output::Event(SessionEvent::Misbehavior { score: got, .. })] if *got == score),
            "{outputs:?}"
        );
    }
}

/// With the service the filter is delivered.
#[test]
fn bloom_filter_without_service_closes_the_connection() {
    let filter = || Message::from(BloomFilter::match_all());
    let mut side = Side::complete(Direction::Inbound);
    assert_eq!(side.receive(filter()), Fate::Consumed);
    assert_eq!(
        side.closed(),
        Some(&DisconnectReason::Misbehaved { score: 100 })
    );

    let mut side = side_with_filters();
    assert_eq!(side.receive(filter()), Fate::Delivered);
    assert_eq!(side.closed(), None);
}

#[test]
fn unknown_messages_score_zero() {
    let mut side = Side::complete(Direction::Inbound);
    for name in ["foobar", "", "sendaddrv2"] {
        assert_eq!(side.receive_bytes(name, b"x"), Fate::Delivered);
    }
    assert_eq!(side.take(), []);
}

fn bad_checksum() -> FrameDropReason {
    FrameDropReason::ChecksumMismatch {
        command: Command::new("ping"),
        expected: [1; 4],
        got: [2; 4],
    }
}

/// Drops frames with bad checksums, and returns the output of the last.
fn drop_frames(side: &mut Side, frames: usize, gap: Duration) -> Output {
    side.take();
    for _ in 0..frames {
        side.now += gap;
        side.with(|session, now| session.on_dropped(bad_checksum(), now));
    }
    side.take().pop().unwrap()
}

#[test]
fn bad_checksums_score_in_long_bursts() {
    let gap = Duration::from_nanos(499_999_999);
    let harmless = misbehavior(Misbehavior::InvalidFrame(bad_checksum()), 0);
    let scored = |score| misbehavior(Misbehavior::ChecksumBurst(bad_checksum()), score);
    for direction in DIRECTIONS {
        let mut side = Side::complete(direction);
        assert_eq!(drop_frames(&mut side, 101, gap), harmless);
        assert_eq!(drop_frames(&mut side, 1, gap), scored(1));
        assert_eq!(drop_frames(&mut side, 1, gap), scored(2));
        // A pause ends the burst and resets the count.
        let harmless = misbehavior(Misbehavior::InvalidFrame(bad_checksum()), 2);
        let pause = Duration::from_millis(500);
        assert_eq!(drop_frames(&mut side, 1, pause), harmless);
        assert_eq!(drop_frames(&mut side, 100, gap), harmless);
        assert_eq!(drop_frames(&mut side, 1, gap), scored(3));
    }
}

#[test]
fn long_checksum_burst_ends_connection() {
    let mut side = Side::complete(Direction::Inbound);
    let gap = Duration::from_millis(1);
    drop_frames(&mut side, 200, gap);
    assert_eq!(side.closed(), None);
    let reason = DisconnectReason::Misbehaved { score: 100 };
    assert_eq!(drop_frames(&mut side, 1, gap), Output::Close(reason));
}

#[test]
fn separated_bad_checksums_score_zero() {
    let mut side = Side::complete(Direction::Inbound);
    let last = drop_frames(&mut side, 1000, Duration::from_millis(500));
    let harmless = misbehavior(Misbehavior::InvalidFrame(bad_checksum()), 0);
    assert_eq!(last, harmless);
}

#[test]
fn bad_command_is_reported_and_scores_zero() {
    let mut side = Side::connected(Direction::Inbound);
    side.take();
    let cause = FrameDropReason::InvalidCommand(InvalidCommand("pi\x07g".into()));
    for _ in 0..300 {
        side.with(|session, now| session.on_dropped(cause.clone(), now));
        assert_eq!(
            side.take(),
            [misbehavior(Misbehavior::InvalidFrame(cause.clone()), 0)]
        );
    }
    // It does not count towards a burst of bad checksums either.
    let last = drop_frames(&mut side, 101, Duration::ZERO);
    let harmless = misbehavior(Misbehavior::InvalidFrame(bad_checksum()), 0);
    assert_eq!(last, harmless);
}

#[test]
fn scores_of_different_kinds_add_up() {
    let mut side = Side::connected_with(Direction::Inbound, |config| config.ban_threshold = 22);
    side.receive(Message::GetAddr);
    side.shake_hands(crate::side::peer_version());
    side.receive_bytes("addr", &[0xfd, 0xe9, 0x03]);
    assert_eq!(side.closed(), None);
    side.take();
    side.receive_bytes("ping", &[]);
    assert_eq!(side.closed(), None, "a fault that costs nothing");
    side.receive(Message::SendHeaders);
    side.receive(Message::SendHeaders);
    let reason = DisconnectReason::Misbehaved { score: 22 };
    assert_eq!(side.take().pop(), Some(Output::Close(reason)));
}

#[test]
fn message_that_reaches_ban_threshold_is_consumed() {
    let mut side = Side::complete_with(Direction::Inbound, |config| config.ban_threshold = 1);
    assert_eq!(side.receive(Message::SendHeaders), Fate::Delivered);
    assert_eq!(side.receive(Message::SendHeaders), Fate::Consumed);
    let reason = DisconnectReason::Misbehaved { score: 1 };
    assert_eq!(side.closed(), Some(&reason));
}

#[test]
fn fatal_frame_error_leads_to_ban() {
    let too_long = FrameError::TooLong {
        command: WireString::from("inv"),
        len: 2_097_153,
        limit: 2_097_152,
    };
    for mut side in [
        Side::connected(Direction::Outbound),
        Side::complete(Direction::Inbound),
    ] {
        side.take();
        side.with(|session, _| session.on_frame_error(too_long.clone()));
        let reason = DisconnectReason::from(too_long.clone());
        assert_eq!(reason.action(), DisconnectAction::Ban);
        assert_eq!(side.take(), [Output::Close(reason)]);
        assert_eq!(side.session.state(), ConnectionState::Failed);
    }
}

#[test]
fn scores_do_not_fade() {
    let mut side = Side::complete(Direction::Inbound);
    side.receive_bytes("addr", &[0xfd, 0xe9, 0x03]);
    side.take();
    side.now += 250 * SECOND;
    let error = too_many("addresses", 1000, 1001);
    assert_malformed(&mut side, "addr", &[0xfd, 0xe9, 0x03], error, false, 40);
}

#[test]
fn invalid_headers_and_blocks_score_like_the_node() {
    let block = BlockHash([7; 32]);
    let no_work = ProofOfWorkError::InvalidTarget(CompactTarget(0));
    let invalid = Misbehavior::InvalidHeaders;
    let position = 1;
    let (header, parent, expected, got) = (block, block, block, block);
    for (misbehavior, score) in [
        (
            invalid(HeaderChainError::ProofOfWork {
                position,
                error: no_work,
            }),
            50,
        ),
        (
            invalid(HeaderChainError::NotLinked {
                position,
                expected,
                got,
            }),
            20,
        ),
        (
            invalid(HeaderChainError::UnknownParent { header, parent }),
            0,
        ),
        (
            invalid(HeaderChainError::InvalidHeader {
                position,
                hash: block,
                error: ChainRuleError::ForkBelowCheckpoint {
                    height: 2,
                    checkpoint: 3,
                },
            }),
            100,
        ),
        (
            Misbehavior::InvalidBlock(BlockError::DuplicatedTransactions(MerkleRoot([7; 32]))),
            100,
        ),
    ] {
        assert_eq!(misbehavior.score(), score, "{misbehavior}");
    }
}
