//! Reading values out of bytes that a stranger sent.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use bytes::Bytes;

use super::compact_size::{MAX_COMPACT_SIZE, compact_size_len};

/// A value that can be read from its wire form.
pub trait Decode: Sized {
    /// Reads one value and leaves the reader behind its last byte.
    ///
    /// Never panics and never allocates more than a small multiple of the bytes that are there.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] that names the field at which the bytes stopped making sense.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value from the start of `bytes`; bytes behind it are ignored, as the node does.
    ///
    /// # Errors
    ///
    /// Those of [`Decode::decode`].
    fn decode_from(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(bytes))
    }
}

/// Why bytes are not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "error", rename_all = "snake_case"))]
pub enum DecodeError {
    /// The payload ends inside a field, or a count claims more entries than bytes are left for.
    #[error("{field}: needs {needed} bytes, {left} are left")]
    Truncated {
        /// The field that could not be read.
        field: &'static str,
        /// How many bytes it needs at least.
        needed: u64,
        /// How many were there.
        left: u64,
    },
    /// A compact size in a longer form than its value needs.
    #[error("{field}: compact size {value} is written in a longer form than it needs")]
    NonCanonicalSize {
        /// The field that the size belongs to.
        field: &'static str,
        /// The value that was written.
        value: u64,
    },
    /// A compact size above 0xffffffff, which the node refuses everywhere.
    #[error("{field}: compact size {value} is above {MAX_COMPACT_SIZE}")]
    SizeTooLarge {
        /// The field that the size belongs to.
        field: &'static str,
        /// The value that was written.
        value: u64,
    },
    /// More entries than the message may have.
    #[error("{field}: {got} entries, at most {limit} are allowed")]
    TooManyEntries {
        /// The list.
        field: &'static str,
        /// How many it may have.
        limit: u64,
        /// How many it claims.
        got: u64,
    },
    /// A string or byte vector longer than its field allows.
    #[error("{field}: {got} bytes, at most {limit} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// How many bytes it may have.
        limit: u64,
        /// How many it claims.
        got: u64,
    },
    /// A value that its field cannot have.
    #[error("{field}: expected {expected}, got {got}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
        /// What was there.
        got: u64,
    },
}

impl DecodeError {
    /// Refuses what is longer than its field may be.
    pub(in crate::wire) fn unless_within(
        field: &'static str,
        limit: u64,
        got: usize,
    ) -> Result<(), Self> {
        let got = got as u64;
        if got > limit {
            return Err(DecodeError::TooLong { field, limit, got });
        }
        Ok(())
    }

    /// Whether there is more of something than there may be, by a limit of the protocol.
    pub(crate) const fn is_above_limit(&self) -> bool {
        matches!(
            self,
            DecodeError::TooManyEntries { .. } | DecodeError::TooLong { .. }
        )
    }
}

/// A cursor over the bytes of a payload, which checks every length before it takes anything.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    owner: Option<&'a Bytes>,
}

impl<'a> Reader<'a> {
    /// A reader over plain bytes; values that keep their payload copy what they keep.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            owner: None,
        }
    }

    /// A reader over a shared payload; values that keep their payload share it without a copy.
    pub fn shared(payload: &'a Bytes) -> Self {
        Self {
            rest: payload,
            owner: Some(payload),
        }
    }

    /// The bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if there are fewer; nothing is taken then.
    #[inline]
    pub fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.truncated(field, len as u64)),
        }
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.truncated(field, N as u64)),
        }
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] at the end.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// A boolean: one byte, and any that is not zero is true.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] at the end.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        Ok(self.u8(field)? != 0)
    }

    /// A big-endian 16-bit number: ports are the only ones on the wire.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than two bytes are left.
    pub fn u16_be(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(BigEndian::read_u16(&self.array::<2>(field)?))
    }

    /// A little-endian 32-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(LittleEndian::read_u32(&self.array::<4>(field)?))
    }

    /// A signed little-endian 32-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than four bytes are left.
    #[inline]
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(LittleEndian::read_i32(&self.array::<4>(field)?))
    }

    /// A little-endian 64-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than eight bytes are left.
    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(LittleEndian::read_u64(&self.array::<8>(field)?))
    }

    /// A signed little-endian 64-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than eight bytes are left.
    #[inline]
    pub fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(LittleEndian::read_i64(&self.array::<8>(field)?))
    }

    /// A compact size: canonical, and at most 0xffffffff.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`], [`DecodeError::NonCanonicalSize`] or
    /// [`DecodeError::SizeTooLarge`], in the order in which the node judges
    /// (Bitcoin SV node, `src/serialize.h`, `ReadCompactSize`).
    #[inline]
    pub fn compact_size(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let first = self.u8(field)?;
        if first < 0xfd {
            return Ok(u64::from(first));
        }
        self.long_compact_size(field, first)
    }

    fn long_compact_size(&mut self, field: &'static str, first: u8) -> Result<u64, DecodeError> {
        let (value, len) = match first {
            0xfd => (
                u64::from(LittleEndian::read_u16(&self.array::<2>(field)?)),
                3,
            ),
            0xfe => (u64::from(self.u32(field)?), 5),
            _ => (self.u64(field)?, 9),
        };
        if compact_size_len(value) != len {
            return Err(DecodeError::NonCanonicalSize { field, value });
        }
        if value > MAX_COMPACT_SIZE {
            return Err(DecodeError::SizeTooLarge { field, value });
        }
        Ok(value)
    }

    /// A count of entries of at least `entry_len` bytes each, which the bytes left can hold.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::compact_size`], and [`DecodeError::Truncated`] for a count that the bytes
    /// left cannot hold: a hostile count costs no more than reading it.
    #[inline]
    pub fn count(&mut self, field: &'static str, entry_len: usize) -> Result<usize, DecodeError> {
        let count = self.compact_size(field)?;
        // At most 2^32 entries of some tens of bytes each: no overflow in 64 bits.
        let needed = count * entry_len as u64;
        if needed > self.rest.len() as u64 {
            return Err(self.truncated(field, needed));
        }
        Ok(count as usize)
    }

    /// A compact size and that many bytes, at most `limit`.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::compact_size`], [`DecodeError::TooLong`] and [`DecodeError::Truncated`].
    #[inline]
    pub fn var_bytes(&mut self, field: &'static str, limit: u64) -> Result<&'a [u8], DecodeError> {
        let len = self.compact_size(field)?;
        if len > limit {
            let got = len;
            return Err(DecodeError::TooLong { field, limit, got });
        }
        match usize::try_from(len) {
            Ok(len) => self.take(field, len),
            Err(_) => Err(self.truncated(field, len)),
        }
    }

    /// What the reader has passed since it was `start`, to keep: shared if the payload is.
    ///
    /// `start` is a clone of this reader made earlier.
    pub(in crate::wire) fn keep_since(&self, start: &Reader<'a>) -> Bytes {
        let taken = &start.rest[..start.rest.len() - self.rest.len()];
        match self.owner {
            Some(owner) => owner.slice_ref(taken),
            None => Bytes::copy_from_slice(taken),
        }
    }

    fn truncated(&self, field: &'static str, needed: u64) -> DecodeError {
        DecodeError::Truncated {
            field,
            needed,
            left: self.rest.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn compact_sizes_above_32_bits_are_refused() {
        let value = 0x1_0000_0000;
        let bytes = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(
            size(&bytes),
            Err(DecodeError::SizeTooLarge { field: "n", value })
        );
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_reserved() {
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
}
