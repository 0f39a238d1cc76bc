//! Why bytes that a stranger sent are not what they should be.

use super::compact_size::MAX_COMPACT_SIZE;

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
