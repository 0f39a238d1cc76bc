//! Bounds-checked decoding of untrusted bytes.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use bytes::Bytes;

use super::DecodeError;
use super::compact_size::{MAX_COMPACT_SIZE, compact_size_len};

/// A value that can be decoded from its wire form.
pub trait Decode: Sized {
    /// Decodes one value and advances the reader to the byte after it.
    ///
    /// Never panics. Allocates at most a small multiple of the bytes that are left in the reader.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the field that could not be decoded.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Decodes one value from the start of `bytes`. Bytes after it are ignored, as by the node.
    ///
    /// # Errors
    ///
    /// The errors of [`Decode::decode`].
    fn decode_from(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(bytes))
    }
}

/// A cursor over the bytes of a payload. Each read checks the number of remaining bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    remaining: &'a [u8],
    owner: Option<&'a Bytes>,
}

impl<'a> Reader<'a> {
    /// Creates a reader over plain bytes. Values that keep their payload copy it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            remaining: bytes,
            owner: None,
        }
    }

    /// Creates a reader over a shared payload. Values that keep their payload share it without a
    /// copy.
    pub fn from_shared(payload: &'a Bytes) -> Self {
        Self {
            remaining: payload,
            owner: Some(payload),
        }
    }

    /// Returns the bytes that have not been read.
    pub fn remaining(&self) -> &'a [u8] {
        self.remaining
    }

    /// Returns whether all bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.remaining.is_empty()
    }

    /// Reads the next `len` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer bytes are left. The reader does not advance then.
    #[inline]
    pub fn read_bytes(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.remaining.split_at_checked(len) {
            Some((taken, rest)) => {
                self.remaining = rest;
                Ok(taken)
            }
            None => Err(self.truncated(field, len as u64)),
        }
    }

    /// Reads the next `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer bytes are left.
    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.remaining.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.remaining = rest;
                Ok(*taken)
            }
            None => Err(self.truncated(field, N as u64)),
        }
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if no byte is left.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Reads a boolean of one byte. Any value but zero is `true`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if no byte is left.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        Ok(self.u8(field)? != 0)
    }

    /// Reads a big-endian 16-bit number. Ports are the only big-endian numbers on the wire.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than two bytes are left.
    pub fn u16_be(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(BigEndian::read_u16(&self.array::<2>(field)?))
    }

    /// Reads a little-endian 32-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(LittleEndian::read_u32(&self.array::<4>(field)?))
    }

    /// Reads a signed little-endian 32-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than four bytes are left.
    #[inline]
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(LittleEndian::read_i32(&self.array::<4>(field)?))
    }

    /// Reads a little-endian 64-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than eight bytes are left.
    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(LittleEndian::read_u64(&self.array::<8>(field)?))
    }

    /// Reads a signed little-endian 64-bit number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if fewer than eight bytes are left.
    #[inline]
    pub fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(LittleEndian::read_i64(&self.array::<8>(field)?))
    }

    /// Reads a compact size, which must be canonical and at most 0xffffffff.
    ///
    /// The order of the checks is the node's (Bitcoin SV node, `src/serialize.h`,
    /// `ReadCompactSize`).
    ///
    /// # Errors
    ///
    /// - [`DecodeError::Truncated`] if the compact size is incomplete.
    /// - [`DecodeError::NonCanonicalSize`] if a shorter form of the value exists.
    /// - [`DecodeError::SizeTooLarge`] if the value is above 0xffffffff.
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

    /// Reads a count of entries of at least `entry_len` bytes each.
    ///
    /// A count is rejected before anything is allocated for it.
    ///
    /// # Errors
    ///
    /// - The errors of [`Reader::compact_size`].
    /// - [`DecodeError::Truncated`] if the bytes left cannot hold that number of entries.
    #[inline]
    pub fn count(&mut self, field: &'static str, entry_len: usize) -> Result<usize, DecodeError> {
        let count = self.compact_size(field)?;
        // At most 2^32 entries of some tens of bytes each: the product does not overflow.
        let needed = count * entry_len as u64;
        if needed > self.remaining.len() as u64 {
            return Err(self.truncated(field, needed));
        }
        Ok(count as usize)
    }

    /// Reads a compact size and that number of bytes, at most `limit`.
    ///
    /// # Errors
    ///
    /// - The errors of [`Reader::compact_size`].
    /// - [`DecodeError::TooLong`] if the length is above `limit`.
    /// - [`DecodeError::Truncated`] if fewer bytes are left.
    #[inline]
    pub fn var_bytes(&mut self, field: &'static str, limit: u64) -> Result<&'a [u8], DecodeError> {
        let len = self.compact_size(field)?;
        if len > limit {
            let got = len;
            return Err(DecodeError::TooLong { field, limit, got });
        }
        match usize::try_from(len) {
            Ok(len) => self.read_bytes(field, len),
            Err(_) => Err(self.truncated(field, len)),
        }
    }

    /// Returns the bytes read since `start`, shared with the payload if the reader was created by
    /// [`Reader::from_shared`].
    ///
    /// `start` must be an earlier clone of this reader.
    pub(in crate::wire) fn shared_since(&self, start: &Reader<'a>) -> Bytes {
        let taken = &start.remaining[..start.remaining.len() - self.remaining.len()];
        match self.owner {
            Some(owner) => owner.slice_ref(taken),
            None => Bytes::copy_from_slice(taken),
        }
    }

    fn truncated(&self, field: &'static str, needed: u64) -> DecodeError {
        DecodeError::Truncated {
            field,
            needed,
            left: self.remaining.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
