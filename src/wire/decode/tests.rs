//! Invalid numbers and counts are rejected before they are used.

use super::*;

fn size(bytes: &[u8]) -> Result<u64, DecodeError> {
    Reader::new(bytes).compact_size("n")
}

#[test]
fn compact_sizes_at_every_boundary() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0xfc], 252),
        (&[0xfd, 0xfd, 0x00], 253),
        (&[0xfd, 0xff, 0xff], 65_535),
        (&[0xfe, 0x00, 0x00, 0x01, 0x00], 65_536),
        (&[0xfe, 0xff, 0xff, 0xff, 0xff], 0xffff_ffff),
    ] {
        assert_eq!(size(bytes), Ok(value));
    }
}

#[test]
fn compact_sizes_must_be_canonical() {
    for (bytes, value) in [
        (&[0xfd, 0xfc, 0x00][..], 252),
        (&[0xfe, 0xff, 0xff, 0x00, 0x00], 65_535),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 0xffff_ffff),
    ] {
        assert_eq!(
            size(bytes),
            Err(DecodeError::NonCanonicalSize { field: "n", value })
        );
    }
}

#[test]
fn compact_sizes_above_32_bits_are_rejected() {
    let value = 0x1_0000_0000;
    let bytes = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
    assert_eq!(
        size(&bytes),
        Err(DecodeError::SizeTooLarge { field: "n", value })
    );
}

#[test]
fn count_beyond_bytes_is_rejected() {
    let mut reader = Reader::new(&[0xfe, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
    assert_eq!(
        reader.count("entries", 36),
        Err(DecodeError::Truncated {
            field: "entries",
            needed: 0xffff_ffff * 36,
            left: 3
        })
    );
}
