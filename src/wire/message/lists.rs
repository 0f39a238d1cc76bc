//! Lists and bytes behind their count, as many messages have them.

use crate::wire::{Decode, DecodeError, Encode, Reader, compact_size_len, write_compact_size};

/// Reads a counted list of entries of `entry_len` bytes each.
pub(in crate::wire) fn decode_list<T: Decode>(
    reader: &mut Reader<'_>,
    field: &'static str,
    entry_len: usize,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(field, entry_len)?;
    // The bytes for all entries are there: what is reserved stays within a small multiple of them.
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(T::decode(reader)?);
    }
    Ok(entries)
}

/// Reads a counted list of entries of just `N` bytes each, every content of which is an entry.
pub(in crate::wire) fn decode_entries<T, const N: usize>(
    reader: &mut Reader<'_>,
    field: &'static str,
    entry: impl Fn(&[u8; N]) -> T,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(field, N)?;
    // All entries are taken at once, so that none has to be checked for its end.
    let (entries, _) = reader.take(field, count * N)?.as_chunks();
    Ok(entries.iter().map(entry).collect())
}

/// Refuses a count above `limit` before it is held against the bytes, as the node judges.
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

/// Writes a counted list.
pub(in crate::wire) fn encode_list<T: Encode>(entries: &[T], out: &mut Vec<u8>) {
    write_compact_size(entries.len() as u64, out);
    for entry in entries {
        entry.encode(out);
    }
}

/// How many bytes a counted list of entries of `entry_len` bytes each has.
pub(in crate::wire) fn list_len(entries: usize, entry_len: u64) -> u64 {
    compact_size_len(entries as u64) + entries as u64 * entry_len
}

/// Writes bytes behind their length.
pub(in crate::wire) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_compact_size(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// How many bytes `bytes` have together with their length.
pub(in crate::wire) fn bytes_len(bytes: &[u8]) -> u64 {
    list_len(bytes.len(), 1)
}
