//! A compact size whose bytes may arrive one by one.

use crate::wire::{DecodeError, Reader};

/// The received bytes of a compact size.
#[derive(Clone, Debug, Default)]
pub(super) struct CompactSizeParser {
    bytes: [u8; 9],
    len: usize,
}

impl CompactSizeParser {
    /// Consumes the size, or the available part of it, from the front of `bytes`.
    ///
    /// Returns `None` if more bytes are needed. `left` is the number of payload bytes from the
    /// front of `bytes` on. A size that does not fit into them is rejected as in
    /// [`Reader::compact_size`].
    #[inline]
    pub(super) fn parse(
        &mut self,
        field: &'static str,
        bytes: &mut &[u8],
        left: u64,
    ) -> Result<Option<u64>, DecodeError> {
        match bytes.split_first() {
            Some((&first, rest)) if first < 0xfd && self.len == 0 => {
                *bytes = rest;
                Ok(Some(u64::from(first)))
            }
            _ => self.parse_long(field, bytes, left),
        }
    }

    fn parse_long(
        &mut self,
        field: &'static str,
        bytes: &mut &[u8],
        mut left: u64,
    ) -> Result<Option<u64>, DecodeError> {
        if self.len == 0 {
            need(field, 1, left)?;
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            left -= 1;
            self.bytes[self.len] = byte;
            self.len += 1;
            let more: usize = match self.bytes[0] {
                0xff => 8,
                0xfe => 4,
                0xfd => 2,
                _ => 0,
            };
            if self.len == 1 {
                need(field, more as u64, left)?;
            }
            if self.len == 1 + more {
                self.len = 0;
                return Reader::new(&self.bytes[..1 + more])
                    .compact_size(field)
                    .map(Some);
            }
        }
        Ok(None)
    }
}

/// Rejects a field that is longer than the rest of the payload.
#[inline]
pub(super) fn need(field: &'static str, needed: u64, left: u64) -> Result<(), DecodeError> {
    if needed > left {
        return Err(DecodeError::Truncated {
            field,
            needed,
            left,
        });
    }
    Ok(())
}
