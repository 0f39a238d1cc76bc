//! Encoding of lists and byte vectors with a leading count.

use crate::wire::{Decode, DecodeError, Encode, Reader, compact_size_len, write_compact_size};

/// Decodes a counted list of entries of at least `entry_len` bytes each.
pub(in crate::wire) fn decode_list<T: Decode>(
    reader: &mut Reader<'_>,
    field: &'static str,
    entry_len: usize,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(field, entry_len)?;
    // The payload has the bytes of all entries, so the allocation is a small multiple of them.
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(T::decode(reader)?);
    }
    Ok(entries)
}

/// Decodes a counted list of entries of exactly `N` bytes each. Every content of an entry is valid.
pub(in crate::wire) fn decode_entries<T, const N: usize>(
    reader: &mut Reader<'_>,
    field: &'static str,
    entry: impl Fn(&[u8; N]) -> T,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(field, N)?;
    // All bytes are taken at once, so that no entry needs a bounds check.
    let (entries, _) = reader.read_bytes(field, count * N)?.as_chunks();
    Ok(entries.iter().map(entry).collect())
}

/// Checks that the count of the next list is at most `limit`, before the list is decoded.
///
/// Like the node, it checks the limit before the count is compared with the bytes that are left.
pub(in crate::wire) fn check_entry_limit(
    reader: &Reader<'_>,
    field: &'static str,
    limit: usize,
) -> Result<(), DecodeError> {
    check_entries(field, limit, reader.clone().compact_size(field)?)
}

pub(in crate::wire) fn check_entries(
    field: &'static str,
    limit: usize,
    got: u64,
) -> Result<(), DecodeError> {
    let limit = limit as u64;
    if got > limit {
        return Err(DecodeError::TooManyEntries { field, limit, got });
    }
    Ok(())
}

/// Encodes a list with its count.
pub(in crate::wire) fn encode_list<T: Encode>(entries: &[T], out: &mut Vec<u8>) {
    write_compact_size(entries.len() as u64, out);
    for entry in entries {
        entry.encode(out);
    }
}

/// Returns the length of a counted list of entries of `entry_len` bytes each, in bytes.
pub(in crate::wire) fn list_len(entries: usize, entry_len: u64) -> u64 {
    compact_size_len(entries as u64) + entries as u64 * entry_len
}

/// Encodes bytes with their length.
pub(in crate::wire) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_compact_size(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Returns the length of `bytes` with its leading length, in bytes.
pub(in crate::wire) fn bytes_len(bytes: &[u8]) -> u64 {
    list_len(bytes.len(), 1)
}
