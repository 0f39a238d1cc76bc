//! Blocks that the frame reader delivers in pieces.

use bsv_p2p::wire::{
    BLOCK_CHUNK, BlockHeader, FrameReader, Incoming, Message, PayloadLimits, Ping,
};
use proptest::prelude::*;

use crate::support::{MAGIC, basic_frame, cases, checksum, extended_frame, good_frame};

/// Returns limits that exclude every block.
fn limits() -> PayloadLimits {
    PayloadLimits {
        buffered: 1000,
        ..PayloadLimits::default()
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn block_frame(payload: &[u8], extended: bool) -> Vec<u8> {
    if extended {
        extended_frame(b"block", payload)
    } else {
        good_frame(b"block", payload)
    }
}

/// The result of a stream whose blocks are streamed on request.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    streamed: Vec<Vec<u8>>,
    others: Vec<Incoming>,
    ends: Vec<(u64, bool)>,
}

/// Reads a stream in pieces of the given sizes, repeatedly.
fn read(mut bytes: &[u8], sizes: &[usize], wanted: bool) -> Seen {
    let mut frames = FrameReader::new(MAGIC, limits());
    frames.stream_blocks(true);
    let mut seen = Seen::default();
    let mut sizes = sizes.iter().cycle();
    let mut emptied = Vec::new();
    loop {
        match frames.next_frame().unwrap() {
            Some(Incoming::BlockStart { header, len }) => {
                assert!(frames.arriving().is_some_and(|(whole, _)| whole == len));
                let _ = header.hash();
                if wanted {
                    frames.stream_block(std::mem::take(&mut emptied));
                    seen.streamed.push(Vec::new());
                }
            }
            Some(Incoming::BlockChunk(chunk)) => {
                assert!(chunk.len() <= BLOCK_CHUNK && !chunk.is_empty());
                seen.streamed.last_mut().unwrap().extend_from_slice(&chunk);
                frames.refill(chunk);
            }
            Some(Incoming::BlockEnd { len, checksum }) => seen.ends.push((len, checksum.is_ok())),
            Some(other) => seen.others.push(other),
            None => {
                assert!(frames.kept() <= 1000, "what is streamed is not kept");
                let size = (*sizes.next().unwrap()).min(bytes.len());
                let (mut piece, rest) = bytes.split_at(size);
                if piece.is_empty() {
                    return seen;
                }
                let read = frames.read_from(&mut piece).unwrap();
                bytes = &bytes[read..];
                assert_eq!(bytes.len(), rest.len() + size - read);
            }
        }
    }
}

#[test]
fn streamed_block_arrives_in_pieces_before_next_frame() {
    for len in [
        80,
        81,
        1000,
        4096 - 24,
        BLOCK_CHUNK - 1,
        BLOCK_CHUNK,
        BLOCK_CHUNK + 1,
        3 * BLOCK_CHUNK,
        3 * BLOCK_CHUNK + 77,
    ] {
        for extended in [false, true] {
            let block = payload(len);
            let mut bytes = block_frame(&block, extended);
            bytes.extend(good_frame(b"ping", &[7; 8]));
            let ping = Message::Ping(Ping::new(u64::from_le_bytes([7; 8])));
            for sizes in [&[usize::MAX][..], &[1000], &[24, 80, 100_000], &[65_536]] {
                let seen = read(&bytes, sizes, true);
                assert_eq!(
                    seen.streamed,
                    std::slice::from_ref(&block),
                    "{len} {sizes:?}"
                );
                assert_eq!(seen.ends, [(len as u64, true)]);
                let [Incoming::Frame(frame)] = &seen.others[..] else {
                    panic!("{:?}", seen.others)
                };
                let decoded = Message::decode(frame.command, frame.payload.clone());
                assert_eq!(decoded.as_ref(), Ok(&ping));
            }
        }
    }
}

#[test]
fn unrequested_block_is_kept_or_skipped_with_hash() {
    let (small, large) = (payload(500), payload(5000));
    let mut bytes = block_frame(&small, false);
    bytes.extend(block_frame(&large, false));
    let announced = read(&bytes, &[700], false);
    let header = BlockHeader::from_bytes(large.first_chunk().unwrap());
    let [
        Incoming::Frame(frame),
        Incoming::Discarded { len, block, .. },
    ] = &announced.others[..]
    else {
        panic!("{announced:?}")
    };
    assert_eq!(frame.payload, small);
    assert_eq!((*len, *block), (5000, Some(header.hash())));
    assert_eq!(announced.ends, []);
}

#[test]
fn payload_shorter_than_header_is_not_streamed() {
    let seen = read(&block_frame(&payload(79), false), &[10], true);
    assert!(matches!(&seen.others[..], [Incoming::Frame(frame)] if frame.payload.len() == 79));
}

#[test]
fn wrong_checksum_is_reported_at_block_end() {
    let block = payload(BLOCK_CHUNK + 5);
    let mut wrong = checksum(&block);
    wrong[0] ^= 1;
    let seen = read(&basic_frame(b"block", &block, wrong), &[50_000], true);
    assert_eq!(seen.streamed, [block]);
    assert_eq!(seen.ends, [(BLOCK_CHUNK as u64 + 5, false)]);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn streamed_pieces_do_not_depend_on_segmentation(
        len in 80..700_000_usize, extended: bool, sizes in prop::collection::vec(1..200_000_usize, 1..8),
    ) {
        let block = payload(len);
        let seen = read(&block_frame(&block, extended), &sizes, true);
        prop_assert_eq!(seen.streamed, vec![block]);
        prop_assert_eq!(seen.ends, vec![(len as u64, true)]);
    }
}
