//! Frames read from streams: complete, in pieces, corrupt, truncated.

use std::collections::VecDeque;
use std::io;

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, COPY_THRESHOLD, Command, EXTENDED_HEADER_LEN, Frame, FrameDropReason,
    FrameReader, Incoming, InvalidCommand, Message, PayloadLimits, Ping, encode_frame,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{
    MAGIC, Seen, Source, Step, basic_frame, cases, checksum, extended_frame, good_frame, padded,
    read_all, read_bytes,
};

/// Buffer limit of the generated streams. Payloads above it are skipped.
pub(crate) const BUFFERED: usize = 50_000;

pub(crate) fn limits() -> PayloadLimits {
    PayloadLimits {
        buffered: BUFFERED as u64,
        ..PayloadLimits::default()
    }
}

pub(crate) fn frame(command: &str, payload: &[u8], extended: bool) -> Incoming {
    Incoming::Frame(Frame {
        command: Command::new(command),
        payload: payload.to_vec().into(),
        extended,
    })
}

pub(crate) fn whole(incoming: Vec<Incoming>) -> Seen {
    Seen {
        incoming,
        error: None,
        inside_frame: false,
    }
}

/// Returns a frame as bytes, and the expected result.
fn any_frame() -> impl Strategy<Value = (Vec<u8>, Incoming)> {
    let len = prop_oneof![
        8 => 0..200_usize,
        2 => 8_000..8_400_usize,
        1 => COPY_THRESHOLD as usize - 2..COPY_THRESHOLD as usize + 3,
        1 => BUFFERED - 1..BUFFERED + 3,
    ];
    let command = prop_oneof![Just("ping"), Just("block"), Just(""), Just("123456789012")];
    (0..6_u8, command, len, any::<u8>()).prop_map(|(kind, command, len, seed)| {
        let payload: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(seed)).collect();
        let name = command.as_bytes();
        let passed_over = Incoming::Discarded {
            command: Command::new(command),
            len: len as u64,
            limit: BUFFERED as u64,
            block: block_of(command, &payload),
        };
        match kind {
            0 => {
                let mut bad = padded(b"inv\0x");
                bad[5] = seed;
                let bytes = basic_frame(&bad, &payload, checksum(&payload));
                let cause = InvalidCommand((&bad[..]).into());
                (bytes, Incoming::Dropped(cause.into()))
            }
            1 if len <= BUFFERED => {
                let got = checksum(&payload);
                let expected = [got[0], got[1], got[2] ^ 1, got[3]];
                let bytes = basic_frame(name, &payload, expected);
                let cause = FrameDropReason::ChecksumMismatch {
                    command: Command::new(command),
                    expected,
                    got,
                };
                (bytes, Incoming::Dropped(cause))
            }
            2 | 3 if len <= BUFFERED => (
                extended_frame(name, &payload),
                frame(command, &payload, true),
            ),
            2 | 3 => (extended_frame(name, &payload), passed_over),
            _ if len <= BUFFERED => (good_frame(name, &payload), frame(command, &payload, false)),
            _ => (good_frame(name, &payload), passed_over),
        }
    })
}

fn any_stream() -> impl Strategy<Value = (Vec<u8>, Vec<Incoming>)> {
    vec(any_frame(), 1..6).prop_map(|frames| {
        let (bytes, incoming): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        (bytes.concat(), incoming)
    })
}

/// Returns the size of a piece: often small, as around a header, sometimes large.
fn any_piece() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..60_usize, 1 => 1_000..70_000_usize]
}

fn read_steps(bytes: &[u8], steps: impl IntoIterator<Item = Step>) -> Seen {
    let mut source = Source {
        bytes,
        steps: steps.into_iter().collect(),
    };
    read_all(&mut FrameReader::new(MAGIC, limits()), &mut source)
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn frames_do_not_depend_on_segmentation(
        (bytes, incoming) in any_stream(),
        pieces in vec(any_piece(), 0..200),
    ) {
        let expected = whole(incoming);
        prop_assert_eq!(&read_steps(&bytes, []), &expected);
        prop_assert_eq!(&read_steps(&bytes, pieces.into_iter().map(Step::Bytes)), &expected);
        let one_by_one = std::iter::repeat_n(Step::Bytes(1), bytes.len());
        prop_assert_eq!(&read_steps(&bytes, one_by_one), &expected);
    }

    #[test]
    fn interrupted_reads_lose_no_bytes(
        (bytes, incoming) in any_stream(),
        steps in vec(
            prop_oneof![
                2 => any_piece().prop_map(Step::Bytes),
                1 => Just(Step::Error(io::ErrorKind::WouldBlock)),
                1 => Just(Step::Error(io::ErrorKind::Interrupted)),
            ],
            0..300,
        ),
    ) {
        prop_assert_eq!(read_steps(&bytes, steps), whole(incoming));
    }

    #[test]
    fn truncated_stream_ends_inside_a_frame(
        frames in vec(any_frame(), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, incoming): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        let ends = bytes.iter().scan(0, |end, frame: &Vec<u8>| {
            *end += frame.len();
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let bytes = bytes.concat();
        let cut = cut.index(bytes.len() + 1);
        let seen = read_steps(&bytes[..cut], []);
        let complete = ends.iter().filter(|end| **end <= cut).count();
        prop_assert_eq!(&seen.incoming[..], &incoming[..complete]);
        prop_assert_eq!(seen.error, None);
        prop_assert_eq!(seen.inside_frame, cut != 0 && !ends.contains(&cut));
    }
}

#[test]
fn end_is_inside_frame_except_at_boundary() {
    let basic = good_frame(b"ping", &[7; 8]);
    let extended = extended_frame(b"ping", &[7; 8]);
    let empty = good_frame(b"verack", &[]);
    for frame in [basic, extended, empty] {
        for len in 0..=frame.len() {
            let inside = read_bytes(MAGIC, limits(), &frame[..len]).inside_frame;
            assert_eq!(inside, len != 0 && len != frame.len(), "{len} bytes");
        }
    }
}

#[test]
fn reader_reports_the_arriving_payload() {
    let bytes = good_frame(b"inv", &[0; 40_000]);
    let mut frames = FrameReader::new(MAGIC, limits());
    assert_eq!(frames.arriving(), None);
    let (start, rest) = bytes.split_at(24 + 1_000);
    read_all(&mut frames, &mut &start[..23]);
    assert_eq!(frames.arriving(), None, "the header is not complete");
    read_all(&mut frames, &mut &start[23..]);
    assert_eq!(frames.arriving(), Some((40_000, 39_000)));
    assert_eq!(read_all(&mut frames, &mut &rest[..]).incoming.len(), 1);
    assert_eq!(frames.arriving(), None);
}

#[test]
fn complete_payload_is_not_end_of_stream() {
    // A caller that reads again before it requests the frame must not see a read of 0 bytes.
    let mut bytes = good_frame(b"inv", &[0; 40_000]);
    let next = good_frame(b"ping", &[7; 8]);
    bytes.extend(&next);
    let mut frames = FrameReader::new(MAGIC, limits());
    let mut source = Source {
        bytes: &bytes,
        steps: VecDeque::from([Step::Bytes(24), Step::Bytes(40_000 - 1), Step::Bytes(1)]),
    };
    assert_eq!(frames.read_from(&mut source).unwrap(), 24);
    assert_eq!(frames.next_frame(), Ok(None));
    let mut arrived = 0;
    while arrived < 40_000 + next.len() {
        let read = frames.read_from(&mut source).unwrap();
        assert!(read > 0, "at {arrived} bytes");
        arrived += read;
    }
    assert_eq!(frames.read_from(&mut source).unwrap(), 0);
    assert_eq!(
        read_all(&mut frames, &mut source),
        whole(vec![
            frame("inv", &[0; 40_000], false),
            frame("ping", &[7; 8], false)
        ])
    );
}

#[test]
fn reader_with_unread_frames_refuses_more_bytes() {
    let one = good_frame(b"ping", &[7; 8]);
    let bytes = one.repeat(5_000);
    let mut source = &bytes[..];
    let mut frames = FrameReader::new(MAGIC, limits());
    let refused = loop {
        match frames.read_from(&mut source) {
            Ok(read) => assert!(read > 0),
            Err(e) => break e,
        }
    };
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(!source.is_empty());
    let seen = read_all(&mut frames, &mut source);
    assert_eq!(seen, whole(vec![frame("ping", &[7; 8], false); 5_000]));
}

#[test]
fn idle_source_during_burst_loses_no_bytes() {
    // The burst grows the arrival buffer, and the pause shrinks it again, at every position in a
    // header.
    let ping = good_frame(b"ping", &[7; 8]);
    let burst = ping.repeat(300);
    for behind in 0..EXTENDED_HEADER_LEN + 4 {
        let mut bytes = burst.clone();
        bytes.extend(extended_frame(b"pong", &[8; 8]));
        let steps = [
            Step::Bytes(4 * 1024),
            Step::Bytes(burst.len() - 4 * 1024 + behind),
            Step::Error(io::ErrorKind::WouldBlock),
        ];
        let mut expected = vec![frame("ping", &[7; 8], false); 300];
        expected.push(frame("pong", &[8; 8], true));
        assert_eq!(read_steps(&bytes, steps), whole(expected), "{behind}");
    }
}

#[test]
fn encoded_frames_are_appended_to_the_buffer() {
    let mut out = b"before".to_vec();
    encode_frame(MAGIC, &Message::Ping(Ping::new(7)), &mut out);
    encode_frame(MAGIC, &Message::Verack, &mut out);
    let ping = good_frame(b"ping", &7_u64.to_le_bytes());
    let verack = good_frame(b"verack", &[]);
    assert_eq!(out, [&b"before"[..], &ping, &verack].concat());
}

/// One byte for each read.
struct Trickle<'a>(&'a [u8]);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.0, &mut into[..1])
    }
}

#[test]
fn bytewise_reading_takes_linear_time() {
    const LEN: usize = 2_000_000;
    let message = Message::Unknown {
        command: Command::new("test"),
        payload: vec![7; LEN].into(),
    };
    let mut bytes = Vec::new();
    encode_frame(Network::Regtest.magic(), &message, &mut bytes);
    let mut reader = FrameReader::new(Network::Regtest.magic(), PayloadLimits::default());
    let mut source = Trickle(&bytes);
    let began = std::time::Instant::now();
    let frame = loop {
        if let Some(incoming) = reader.next_frame().unwrap() {
            break incoming;
        }
        assert_eq!(reader.read_from(&mut source).unwrap(), 1);
    };
    assert!(matches!(frame, Incoming::Frame(frame) if frame.payload.len() == LEN));
    // A copy of the received bytes for every byte would be 2,000 GB.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// Returns the hash of the block at the start of a payload, if the command is `block`.
pub(crate) fn block_of(command: &str, payload: &[u8]) -> Option<BlockHash> {
    let header = payload.first_chunk().filter(|_| command == "block")?;
    Some(BlockHeader::from_bytes(header).hash())
}
