//! Reading values out of bytes that a stranger sent.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use bytes::Bytes;

use super::DecodeError;
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
mod tests;
