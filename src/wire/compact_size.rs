//! Compact sizes: the variable-length counts and lengths of the protocol.

/// The maximum compact size that the node accepts in any field (`src/serialize.h`, `MAX_SIZE`).
pub const MAX_COMPACT_SIZE: u64 = 0xffff_ffff;

/// Returns the length of the canonical form of `value` in bytes: 1, 3, 5 or 9.
#[inline]
pub const fn compact_size_len(value: u64) -> u64 {
    match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Appends the canonical form of `value` to `out`.
#[inline]
pub fn write_compact_size(value: u64, out: &mut Vec<u8>) {
    match compact_size_len(value) {
        1 => out.push(value as u8),
        3 => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        5 => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}
