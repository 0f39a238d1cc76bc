//! Memory of a frame reader while frames arrive, whatever their headers claim.

use std::hint::black_box;

use allocation_counter::measure;
use bsv_p2p::wire::{
    FrameError, FrameReader, Incoming, Message, PayloadLimits, Ping, encode_frame,
};

use crate::MAGIC;
use crate::sources::{Silence, Trickle, extended_header, header, keep_all};

#[test]
fn claimed_huge_block_allocates_almost_nothing() {
    let claims = [
        extended_header("block", i64::MAX as u64),
        header("block", u32::MAX, [0; 4]),
    ];
    for mut bytes in claims {
        bytes.extend_from_slice(&[7; 100]);
        let counted = measure(|| {
            let mut frames = FrameReader::new(MAGIC, keep_all());
            let mut source = &bytes[..];
            while frames.read_from(&mut source).unwrap() > 0 {
                assert_eq!(frames.next_frame(), Ok(None));
            }
            assert!(frames.arriving().is_some());
            black_box(frames);
        });
        assert!(counted.bytes_max < 16 * 1024, "{counted:?}");
    }
}

#[test]
fn rejected_header_allocates_no_payload() {
    for bytes in [
        header("inv", u32::MAX, [0; 4]),
        extended_header("block", u64::MAX),
    ] {
        let mut frames = FrameReader::new(MAGIC, keep_all());
        frames.read_from(&mut &bytes[..]).unwrap();
        let counted = measure(|| {
            let refused = frames.next_frame();
            assert!(matches!(refused, Err(FrameError::TooLong { .. })));
        });
        // Only the name of the command.
        assert!(counted.bytes_total <= 2 * 12, "{counted:?}");
    }
}

#[test]
fn trickled_payload_uses_twice_the_received_bytes() {
    const GIB: u32 = 1 << 30;
    for (step, enough) in [
        (1, 20_000),
        (1_000, 700_000),
        (8_192, 700_000),
        (1 << 20, 3_000_000),
    ] {
        let mut frames = FrameReader::new(MAGIC, keep_all());
        let mut source = Trickle {
            start: header("block", GIB, [0; 4]),
            step,
            given: 0,
        };
        let (mut live, mut most) = (0, 0);
        while source.given < enough {
            let counted = measure(|| {
                frames.read_from(&mut source).unwrap();
                assert_eq!(frames.next_frame(), Ok(None));
            });
            live += counted.bytes_current;
            let bound = 2 * source.given as i64 + 64 * 1024;
            assert!(live <= bound, "{live} bytes live, {} arrived", source.given);
            most = most.max(live);
        }
        assert!(most as usize >= source.given, "what has arrived is kept");
    }
}

#[test]
fn skipped_payload_uses_only_the_arrival_buffer() {
    let narrow = PayloadLimits {
        buffered: 1_000,
        ..PayloadLimits::default()
    };
    let mut bad = header("block", 1 << 20, [0; 4]);
    bad[15] = b'x';
    for (start, limits) in [
        (header("block", 1 << 20, [0; 4]), narrow),
        (extended_header("block", 1 << 20), narrow),
        (bad, keep_all()),
    ] {
        let counted = measure(|| {
            let mut frames = FrameReader::new(MAGIC, limits);
            let mut source = Trickle {
                start,
                step: usize::MAX,
                given: 0,
            };
            loop {
                frames.read_from(&mut source).unwrap();
                match frames.next_frame() {
                    Ok(None) => {}
                    Ok(Some(Incoming::Discarded { len, .. })) => break assert_eq!(len, 1 << 20),
                    Ok(Some(Incoming::Dropped(_))) => break,
                    other => panic!("{other:?}"),
                }
            }
        });
        // Buffers of 1 KiB and 64 KiB exist at the same time during growth.
        assert!(counted.bytes_max < 70 * 1024, "{counted:?}");
    }
}

#[test]
fn idle_peer_uses_1_kib_after_burst() {
    let mut bytes = Vec::new();
    while bytes.len() < 200_000 {
        encode_frame(MAGIC, &Message::Ping(Ping::new(7)), &mut bytes);
    }
    // The pause may be within a header, including an extended one.
    for behind in [0, 1, 23, 24, 43] {
        let mut bytes = bytes.clone();
        bytes.extend_from_slice(&extended_header("ping", 8)[..behind]);
        let mut frames = FrameReader::new(MAGIC, keep_all());
        let counted = measure(|| {
            let mut source = &bytes[..];
            while frames.read_from(&mut source).unwrap() > 0 {
                while frames.next_frame().unwrap().is_some() {}
            }
            assert!(frames.read_from(&mut Silence).is_err());
        });
        assert!(counted.bytes_max > 64 * 1024, "the burst is no burst");
        assert!(counted.bytes_current <= 1024, "{behind}: {counted:?}");
    }
}

#[test]
fn small_frame_keeps_only_its_payload() {
    let mut bytes = Vec::new();
    for nonce in 0..100 {
        encode_frame(MAGIC, &Message::Ping(Ping::new(nonce)), &mut bytes);
    }
    let mut frames = FrameReader::new(MAGIC, keep_all());
    let mut kept = Vec::with_capacity(100);
    let mut unread = &bytes[..];
    while !unread.is_empty() {
        frames.read_from(&mut unread).unwrap();
    }
    let counted = measure(|| {
        while let Some(incoming) = frames.next_frame().unwrap() {
            kept.push(incoming);
        }
    });
    assert_eq!(kept.len(), 100);
    assert_eq!(counted.bytes_current, 800);
    assert_eq!(counted.count_total, 100, "one allocation for each frame");
}
