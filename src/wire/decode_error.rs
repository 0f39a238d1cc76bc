//! Errors of decoding untrusted bytes.

use super::compact_size::MAX_COMPACT_SIZE;

/// The reason why bytes are not a value of the requested type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "error", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload ends inside a field, or a count requires more bytes than are left.
    #[error("{field}: expected {needed} bytes, got {left}")]
    Truncated {
        /// The field that could not be decoded.
        field: &'static str,
        /// The minimum number of bytes that the field needs.
        needed: u64,
        /// The number of bytes that were left.
        left: u64,
    },
    /// A compact size is not in its shortest form.
    #[error("{field}: compact size {value} is not in its shortest form")]
    NonCanonicalSize {
        /// The field to which the size belongs.
        field: &'static str,
        /// The encoded value.
        value: u64,
    },
    /// A compact size is above 0xffffffff. The node rejects it in every field.
    #[error("{field}: expected a compact size of at most {MAX_COMPACT_SIZE}, got {value}")]
    SizeTooLarge {
        /// The field to which the size belongs.
        field: &'static str,
        /// The encoded value.
        value: u64,
    },
    /// A list has more entries than the message allows.
    #[error("{field}: expected at most {limit} entries, got {got}")]
    TooManyEntries {
        /// The list.
        field: &'static str,
        /// The maximum number of entries.
        limit: u64,
        /// The number of entries that the payload claims.
        got: u64,
    },
    /// A string or byte vector is longer than its field allows.
    #[error("{field}: expected at most {limit} bytes, got {got}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The maximum length in bytes.
        limit: u64,
        /// The length that the payload claims, in bytes.
        got: u64,
    },
    /// The value is not valid for its field.
    #[error("{field}: expected {expected}, got {got}")]
    InvalidValue {
        /// The field.
        field: &'static str,
        /// A description of the valid values.
        expected: &'static str,
        /// The value that was found.
        got: u64,
    },
}

impl DecodeError {
    /// Checks that the length of a field is at most `limit`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooLong`] if it is longer.
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

    /// Returns whether a number of entries or a length exceeds a limit of the protocol.
    pub(crate) const fn is_above_limit(&self) -> bool {
        matches!(
            self,
            DecodeError::TooManyEntries { .. } | DecodeError::TooLong { .. }
        )
    }
}
