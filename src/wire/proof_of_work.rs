//! Compact targets and the proof-of-work check.

use std::fmt;

use super::{BlockHash, Hash256, Work};

/// A number of 256 bits.
pub(super) type U256 = ruint::Uint<256, 4>;

/// A 256-bit target in the compact form of a header's `bits`.
///
/// The most significant byte is an exponent, the other three are a signed mantissa.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct CompactTarget(
    #[cfg_attr(feature = "serde", serde(with = "super::serde_repr::printed_bits"))] pub u32,
);

/// The reason why a hash is not a proof of work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofOfWorkError {
    /// The compact form is negative, zero or wider than 256 bits.
    #[error("bits {0} are not a valid target")]
    InvalidTarget(CompactTarget),
    /// The target is easier than the network allows.
    #[error("target of bits {bits} is easier than the network limit {limit}")]
    TargetTooEasy {
        /// The target of the header.
        bits: CompactTarget,
        /// The limit of the network.
        limit: CompactTarget,
    },
    /// The hash exceeds the target.
    #[error("hash {hash} is above the target of bits {bits}")]
    HashAboveTarget {
        /// The hash of the header.
        hash: BlockHash,
        /// The target of the header.
        bits: CompactTarget,
    },
}

impl CompactTarget {
    /// Returns the compact form of a target, a number of 256 bits in wire order.
    ///
    /// Only the three most significant bytes are kept, so the result encodes the same or a harder
    /// target (Bitcoin SV node, `src/arith_uint256.cpp`, `GetCompact`).
    pub fn from_target(target: Hash256) -> Self {
        Self::from_u256(U256::from_le_bytes(target.0))
    }

    /// Returns the target as a number of 256 bits in wire order, like a hash.
    ///
    /// Returns `None` if the encoding is negative, zero or overflows (Bitcoin SV node,
    /// `src/arith_uint256.cpp`, `SetCompact`; `src/pow.cpp`).
    pub fn target(self) -> Option<Hash256> {
        self.to_u256().map(|target| Hash256(target.to_le_bytes()))
    }

    /// Returns the target as a number, under the conditions of [`CompactTarget::target`].
    #[inline]
    pub(super) fn to_u256(self) -> Option<U256> {
        let (exponent, mantissa) = (self.0 >> 24, self.0 & 0x007f_ffff);
        if self.0 & 0x0080_0000 != 0 {
            return None;
        }
        let target = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            let len = u32::BITS - mantissa.leading_zeros();
            let shift = 8 * (exponent - 3);
            if mantissa != 0 && len + shift > 256 {
                return None;
            }
            U256::from(mantissa) << shift as usize
        };
        (target != U256::ZERO).then_some(target)
    }

    /// Returns the compact form of a number, truncated like [`CompactTarget::from_target`].
    #[inline]
    pub(super) fn from_u256(target: U256) -> Self {
        let mut len = target.byte_len() as u32;
        let mantissa = if len <= 3 {
            target << (8 * (3 - len)) as usize
        } else {
            target >> (8 * (len - 3)) as usize
        };
        let mut mantissa = mantissa.as_limbs()[0] as u32;
        // The highest bit of the mantissa is a sign.
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            len += 1;
        }
        Self(len << 24 | mantissa)
    }

    /// Returns the expected number of hashes to meet this target, or [`Work::ZERO`] if the
    /// encoding is invalid.
    #[inline]
    pub fn work(self) -> Work {
        self.to_u256().map_or(Work::ZERO, Work::from_target)
    }

    /// Checks that `hash` is at most this target, and that the target is at most `limit`.
    ///
    /// # Errors
    ///
    /// - [`ProofOfWorkError::InvalidTarget`] if this target or `limit` is invalid.
    /// - [`ProofOfWorkError::TargetTooEasy`] if this target is above `limit`.
    /// - [`ProofOfWorkError::HashAboveTarget`] if `hash` is above this target.
    pub fn check(self, hash: BlockHash, limit: CompactTarget) -> Result<(), ProofOfWorkError> {
        let easiest = limit
            .to_u256()
            .ok_or(ProofOfWorkError::InvalidTarget(limit))?;
        self.check_below(hash, limit, easiest)
    }

    /// Like [`check`](Self::check), with the decoded limit.
    #[inline]
    pub(super) fn check_below(
        self,
        hash: BlockHash,
        limit: CompactTarget,
        easiest: U256,
    ) -> Result<(), ProofOfWorkError> {
        let target = self
            .to_u256()
            .ok_or(ProofOfWorkError::InvalidTarget(self))?;
        if target > easiest {
            return Err(ProofOfWorkError::TargetTooEasy { bits: self, limit });
        }
        if U256::from_le_bytes(hash.0) > target {
            return Err(ProofOfWorkError::HashAboveTarget { hash, bits: self });
        }
        Ok(())
    }
}

impl fmt::Display for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompactTarget({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_compact_forms_have_targets() {
        for (bits, target) in [
            (
                0x1d00_ffff,
                "00000000ffff0000000000000000000000000000000000000000000000000000",
            ),
            (
                0x207f_ffff,
                "7fffff0000000000000000000000000000000000000000000000000000000000",
            ),
            (
                0x0312_3456,
                "0000000000000000000000000000000000000000000000000000000000123456",
            ),
            (
                0x0112_3456,
                "0000000000000000000000000000000000000000000000000000000000000012",
            ),
            (
                0x2200_00ff,
                "ff00000000000000000000000000000000000000000000000000000000000000",
            ),
        ] {
            assert_eq!(
                CompactTarget(bits).target().unwrap().to_string(),
                target,
                "{bits:08x}"
            );
        }
    }

    #[test]
    fn invalid_compact_forms_have_no_target() {
        for bits in [
            0,
            0x0080_0001,
            0x1d80_0001,
            0x0100_0000,
            0x0000_1234,
            0x2300_0100,
            0xff12_3456,
        ] {
            assert_eq!(CompactTarget(bits).target(), None, "{bits:08x}");
        }
    }

    #[test]
    fn targets_are_truncated_to_compact_form() {
        for (target, bits) in [
            ("0", 0),
            ("12", 0x0112_0000),
            ("80", 0x0200_8000),
            ("1234", 0x0212_3400),
            ("123456", 0x0312_3456),
            ("12345678", 0x0412_3456),
            ("92345678", 0x0500_9234),
            ("7fffff0000", 0x057f_ffff),
            (
                "00000000ffff0000000000000000000000000000000000000000000000000000",
                0x1d00_ffff,
            ),
            (
                "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                0x207f_ffff,
            ),
            (
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                0x2100_ffff,
            ),
        ] {
            let target: Hash256 = format!("{target:0>64}").parse().unwrap();
            let compact = CompactTarget::from_target(target);
            assert_eq!(compact, CompactTarget(bits), "{target}");
        }
    }

    #[test]
    fn compact_form_round_trips_through_target() {
        for bits in [
            0x1d00_ffff,
            0x207f_ffff,
            0x1802_8f1b,
            0x0312_3456,
            0x0112_0000,
        ] {
            let compact = CompactTarget(bits);
            assert_eq!(
                CompactTarget::from_target(compact.target().unwrap()),
                compact
            );
        }
    }
}
