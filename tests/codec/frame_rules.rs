//! Frames that are accepted, dropped, skipped or rejected, and when this is decided.

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    BASIC_HEADER_LEN, COPY_THRESHOLD, Command, EXTENDED_HEADER_LEN, ExpectedPayloads,
    FrameDropReason, FrameError, FrameReader, Incoming, InvalidCommand, Message, PayloadLimits,
};

use crate::frames::{BUFFERED, block_of, frame, limits, whole};
use crate::support::{
    MAGIC, basic_frame, basic_header, checksum, extended_frame, extended_header, good_frame,
    padded, read_all, read_bytes,
};

#[test]
fn magic_is_checked_after_four_bytes() {
    let others = [
        (Network::Mainnet.magic().0, "a node of BSV mainnet"),
        (Network::Testnet.magic().0, "a node of BSV testnet"),
        (Network::Stn.magic().0, "a node of BSV STN"),
        ([0xf9, 0xbe, 0xb4, 0xd9], "a node of BTC mainnet"),
        ([0x0b, 0x11, 0x09, 0x07], "a node of BTC testnet"),
        ([0xfa, 0xbf, 0xb5, 0xda], "a node of BTC regtest"),
        (*b"HTTP", "an HTTP endpoint"),
        (*b"GET ", "an HTTP endpoint"),
        (*b"POST", "an HTTP endpoint"),
        (*b"SSH-", "an SSH endpoint"),
        ([0x16, 0x03, 0x01, 0x02], "a TLS endpoint"),
    ];
    for (magic, detected) in others {
        let mut frames = FrameReader::new(MAGIC, limits());
        for byte in &magic[..3] {
            frames.read_from(&mut &[*byte][..]).unwrap();
            assert_eq!(frames.next_frame(), Ok(None));
        }
        frames.read_from(&mut &magic[3..]).unwrap();
        let Err(FrameError::MagicMismatch(mismatch)) = frames.next_frame() else {
            panic!("{detected} is accepted");
        };
        assert_eq!(mismatch.expected, MAGIC);
        assert_eq!(mismatch.got, Magic(magic));
        assert_eq!(mismatch.detected(), Some(detected));
        let shown = mismatch.to_string();
        assert!(shown.contains("dab5bffa (regtest)") && shown.contains(detected));
    }
}

#[test]
fn unknown_magic_is_not_detected() {
    let seen = read_bytes(Network::Mainnet.magic(), limits(), &[1, 2, 3, 4]);
    let Some(FrameError::MagicMismatch(mismatch)) = seen.error else {
        panic!("{seen:?}");
    };
    assert_eq!(mismatch.detected(), None);
    assert_eq!(
        mismatch.to_string(),
        "expected a frame with magic e3e1f3e8 (mainnet), got 01020304"
    );
}

#[test]
fn magic_of_later_frame_is_checked() {
    let mut bytes = good_frame(b"ping", &[7; 8]);
    bytes.extend_from_slice(&Network::Mainnet.magic().0);
    let seen = read_bytes(MAGIC, limits(), &bytes);
    assert_eq!(seen.incoming, [frame("ping", &[7; 8], false)]);
    assert!(matches!(seen.error, Some(FrameError::MagicMismatch(_))));
}

#[test]
fn payload_limit_is_checked_at_the_header() {
    let basic = basic_header(b"inv", 2_097_153, [0; 4]);
    let extended = extended_header(b"inv", 2_097_153);
    for (header, len) in [(basic, BASIC_HEADER_LEN), (extended, EXTENDED_HEADER_LEN)] {
        assert_eq!(header.len(), len);
        let seen = read_bytes(MAGIC, limits(), &header[..len - 1]);
        assert_eq!((seen.incoming, seen.error), (vec![], None));
        let seen = read_bytes(MAGIC, limits(), &header);
        let too_long = FrameError::TooLong {
            command: "inv".into(),
            len: 2_097_153,
            limit: 2_097_152,
        };
        assert_eq!((seen.incoming, seen.error), (vec![], Some(too_long)));
    }
}

#[test]
fn every_command_has_its_own_limit() {
    let limits = PayloadLimits {
        transaction: 5_000_000,
        block: 3_000_000,
        ..PayloadLimits::default()
    };
    for (command, limit) in [
        ("protoconf", 1_048_576),
        ("tx", 5_000_000),
        ("datareftx", 5_000_000),
        ("block", 3_000_000),
        ("cmpctblock", 3_000_000),
        ("blocktxn", 3_000_000),
        ("hdrsen", 3_000_000),
        ("getblocktxn", 3_000_000 / 215 * 6 + 24),
        ("version", 2_097_152),
        ("inv", 2_097_152),
        ("headers", 2_097_152),
        ("foobar", 2_097_152),
        ("extmsg", 2_097_152),
        ("", 2_097_152),
    ] {
        for (len, taken) in [(limit, true), (limit + 1, false), (u64::MAX, false)] {
            let mut headers = vec![extended_header(command.as_bytes(), len)];
            if let (Ok(len), false) = (u32::try_from(len), command == "extmsg") {
                headers.push(basic_header(command.as_bytes(), len, [0; 4]));
            }
            for header in headers {
                let mut frames = FrameReader::new(MAGIC, limits);
                let seen = read_all(&mut frames, &mut &header[..]);
                assert_eq!(seen.error.is_none(), taken, "{command}: {len}");
                let arriving = taken.then_some((len, len));
                assert_eq!(frames.arriving(), arriving, "{command}: {len}");
            }
        }
    }
}

#[test]
fn limit_of_bad_command_uses_text_before_nul() {
    // Invalid padding after `block`: the limit of blocks applies, and the frame is dropped at its
    // end.
    let mut bytes = basic_frame(b"block\0x", &vec![1; 2_097_153], [0; 4]);
    bytes.extend(good_frame(b"ping", &[7; 8]));
    let seen = read_bytes(MAGIC, limits(), &bytes);
    let bad = InvalidCommand((&padded(b"block\0x")[..]).into());
    let expected = [Incoming::Dropped(bad.into()), frame("ping", &[7; 8], false)];
    assert_eq!(seen, whole(expected.into()));
    let bytes = basic_header(b"blocc\0x", 2_097_153, [0; 4]);
    let seen = read_bytes(MAGIC, limits(), &bytes);
    let too_long = FrameError::TooLong {
        command: "blocc".into(),
        len: 2_097_153,
        limit: 2_097_152,
    };
    assert_eq!(seen.error, Some(too_long));
}

#[test]
fn new_limits_hold_from_the_next_header_on() {
    let mut frames = FrameReader::new(MAGIC, PayloadLimits::default().before_handshake());
    let block = good_frame(b"block", &[1; 70_000]);
    let ping = good_frame(b"ping", &[7; 60_000]);
    let (first, rest) = ping.split_at(100);
    assert_eq!(read_all(&mut frames, &mut { first }).incoming, []);
    // The current frame is not checked again, even if limits become narrower.
    frames.set_limits(PayloadLimits {
        general: 10,
        ..PayloadLimits::default()
    });
    let seen = read_all(&mut frames, &mut { rest });
    assert_eq!(seen, whole(vec![frame("ping", &[7; 60_000], false)]));
    let seen = read_all(&mut frames, &mut &block[..]);
    assert_eq!(seen, whole(vec![frame("block", &[1; 70_000], false)]));
    let seen = read_all(&mut frames, &mut &good_frame(b"ping", &[7; 11])[..]);
    assert!(matches!(seen.error, Some(FrameError::TooLong { .. })));
}

#[test]
fn lower_own_ceiling_holds_before_handshake() {
    let low = PayloadLimits {
        ceiling: 1_000,
        ..PayloadLimits::default()
    };
    assert_eq!(low.before_handshake().limit(Command::new("version")), 1_000);
}

#[test]
fn frame_with_bad_command_is_dropped() {
    for bad in [
        &b"ping\0garbage"[..],
        b"pi\x01g",
        b"pi\x7fg",
        b"\0ping",
        b"\xffinv",
    ] {
        for len in [0, 8, 40_000, 2_000_000] {
            let mut bytes = basic_frame(bad, &vec![MAGIC.0[0]; len], [9; 4]);
            bytes.extend(good_frame(b"ping", &[7; 8]));
            let cause = InvalidCommand((&padded(bad)[..]).into());
            let expected = [
                Incoming::Dropped(cause.into()),
                frame("ping", &[7; 8], false),
            ];
            assert_eq!(read_bytes(MAGIC, limits(), &bytes), whole(expected.into()));
        }
    }
}

#[test]
fn bad_command_in_extended_header_drops_frame() {
    let good = extended_frame(b"ping", &[7; 8]);
    for at in [4 + 11, 24 + 11] {
        let mut bytes = good.clone();
        bytes[at] = b'x';
        bytes.extend(&good);
        let seen = read_bytes(MAGIC, limits(), &bytes);
        assert!(
            matches!(
                seen.incoming[0],
                Incoming::Dropped(FrameDropReason::InvalidCommand(_))
            ),
            "{seen:?}"
        );
        assert_eq!(seen.incoming[1..], [frame("ping", &[7; 8], true)]);
    }
}

#[test]
fn frame_with_bad_checksum_is_dropped() {
    for len in [
        0,
        8,
        COPY_THRESHOLD as usize - 1,
        COPY_THRESHOLD as usize,
        50_000,
    ] {
        let payload = vec![3; len];
        let mut bytes = basic_frame(b"inv", &payload, [1, 2, 3, 4]);
        bytes.extend(good_frame(b"inv", &payload));
        let cause = FrameDropReason::ChecksumMismatch {
            command: Command::new("inv"),
            expected: [1, 2, 3, 4],
            got: checksum(&payload),
        };
        let expected = [Incoming::Dropped(cause), frame("inv", &payload, false)];
        assert_eq!(read_bytes(MAGIC, limits(), &bytes), whole(expected.into()));
    }
}

#[test]
fn extended_frame_accepts_any_command_and_length() {
    for command in ["version", "ping", "block", "foobar", "", "123456789012"] {
        for len in [0, 1, 8, COPY_THRESHOLD as usize, 50_000] {
            let payload = vec![5; len];
            let bytes = extended_frame(command.as_bytes(), &payload);
            let expected = whole(vec![frame(command, &payload, true)]);
            assert_eq!(read_bytes(MAGIC, limits(), &bytes), expected);
        }
    }
}

#[test]
fn commands_starting_with_extmsg_have_extended_header() {
    for outer in [&b"extmsg"[..], b"extmsgXYZ", b"extmsgextmsg", b"extmsg "] {
        let mut bytes = extended_frame(b"ping", &[7; 8]);
        bytes[4..16].copy_from_slice(&padded(outer));
        let expected = whole(vec![frame("ping", &[7; 8], true)]);
        assert_eq!(read_bytes(MAGIC, limits(), &bytes), expected);
    }
    for other in ["extmsh", "extms", "Extmsg", "xextmsg"] {
        let bytes = good_frame(other.as_bytes(), &[7; 8]);
        let expected = whole(vec![frame(other, &[7; 8], false)]);
        assert_eq!(read_bytes(MAGIC, limits(), &bytes), expected);
    }
}

#[test]
fn nested_extended_frame_is_unknown_command() {
    let inner = extended_frame(b"ping", &[7; 8]);
    let bytes = extended_frame(b"extmsg", &inner);
    let seen = read_bytes(MAGIC, limits(), &bytes);
    assert_eq!(seen, whole(vec![frame("extmsg", &inner, true)]));
    let message = Message::decode(Command::new("extmsg"), inner.clone().into());
    let unknown = Message::Unknown {
        command: Command::new("extmsg"),
        payload: inner.into(),
    };
    assert_eq!(message, Ok(unknown));
}

#[test]
fn basic_fields_of_extended_header_are_ignored() {
    for (len, checksum) in [(0, [0; 4]), (8, [9; 4]), (u32::MAX, [0xff; 4])] {
        let mut bytes = extended_frame(b"ping", &[7; 8]);
        bytes[16..20].copy_from_slice(&u32::to_le_bytes(len));
        bytes[20..24].copy_from_slice(&checksum);
        let expected = whole(vec![frame("ping", &[7; 8], true)]);
        assert_eq!(read_bytes(MAGIC, limits(), &bytes), expected);
    }
}

#[test]
fn payload_above_buffer_limit_is_skipped() {
    for extended in [false, true] {
        for (len, kept) in [(BUFFERED, true), (BUFFERED + 1, false), (700_000, false)] {
            let payload = vec![1; len];
            let mut bytes = if extended {
                extended_frame(b"block", &payload)
            } else if kept {
                good_frame(b"block", &payload)
            } else {
                // The checksum of a skipped payload is not checked.
                basic_frame(b"block", &payload, [0; 4])
            };
            bytes.extend(good_frame(b"ping", &[7; 8]));
            let first = if kept {
                frame("block", &payload, extended)
            } else {
                Incoming::Discarded {
                    command: Command::new("block"),
                    len: len as u64,
                    limit: limits().buffered,
                    block: block_of("block", &payload),
                }
            };
            let expected = vec![first, frame("ping", &[7; 8], false)];
            assert_eq!(read_bytes(MAGIC, limits(), &bytes), whole(expected));
        }
    }
}

#[test]
fn frame_error_repeats_on_every_call() {
    let wrong_magic = good_frame(b"ping", &[7; 8]).split_off(1);
    let too_long = basic_header(b"inv", u32::MAX, [0; 4]);
    for bad in [wrong_magic, too_long] {
        let mut frames = FrameReader::new(MAGIC, limits());
        let error = read_all(&mut frames, &mut &bad[..]).error.unwrap();
        for _ in 0..3 {
            assert_eq!(frames.next_frame(), Err(error.clone()));
            let more = good_frame(b"ping", &[7; 8]);
            frames.read_from(&mut &more[..]).unwrap();
        }
        assert_eq!(frames.next_frame(), Err(error));
    }
}

/// Reads bytes with a general limit of 1 MiB, where some objects are expected.
fn read_expecting(
    expected: Option<ExpectedPayloads>,
    bytes: &[u8],
) -> Result<Vec<Incoming>, FrameError> {
    let limits = PayloadLimits {
        general: 1024 * 1024,
        transaction: 1000,
        block: 1000,
        ..PayloadLimits::default()
    };
    let mut frames = FrameReader::new(MAGIC, limits);
    if let Some(expected) = expected {
        frames.set_expected(expected);
    }
    let (mut source, mut found) = (bytes, Vec::new());
    loop {
        while let Some(incoming) = frames.next_frame()? {
            found.push(incoming);
        }
        assert_eq!(frames.kept(), 0, "an oversized payload is kept");
        if frames.read_from(&mut source).unwrap() == 0 {
            return Ok(found);
        }
    }
}

#[test]
fn oversized_answer_is_discarded_and_next_frame_read() {
    const GENERAL: u64 = 1024 * 1024;
    let nothing = ExpectedPayloads::default();
    let objects = ExpectedPayloads {
        objects: 30_000,
        ..nothing
    };
    let transactions = ExpectedPayloads {
        transactions: true,
        ..objects
    };
    let blocks = ExpectedPayloads {
        blocks: true,
        ..objects
    };
    let notfound = 9 + 36 * 30_000;
    for (name, len, limit, expected) in [
        ("notfound", notfound, GENERAL, objects),
        ("tx", 1001, 1000, transactions),
        ("block", 1001, 1000, blocks),
        ("cmpctblock", 1001, 1000, blocks),
        ("blocktxn", 1001, 1000, blocks),
        ("hdrsen", 1001, 1000, blocks),
        ("merkleblock", GENERAL as usize + 1, GENERAL, blocks),
    ] {
        let mut bytes = good_frame(name.as_bytes(), &vec![7; len]);
        bytes.extend(good_frame(b"ping", &[7; 8]));
        let discarded = Incoming::Discarded {
            command: Command::new(name),
            len: len as u64,
            limit,
            block: block_of(name, &vec![7; len]),
        };
        let ping = frame("ping", &[7; 8], false);
        let found = read_expecting(Some(expected), &bytes);
        assert_eq!(found, Ok(vec![discarded, ping]), "{name}");
        for other in [None, Some(nothing)] {
            let error = read_expecting(other, &bytes).unwrap_err();
            let too_long = FrameError::TooLong {
                command: name.into(),
                len: len as u64,
                limit,
            };
            assert_eq!(error, too_long, "{name}");
        }
    }
    // One byte more than a list of all expected objects has.
    let bytes = good_frame(b"notfound", &vec![7; notfound + 1]);
    let error = read_expecting(Some(objects), &bytes).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
}
