//! Compact targets and the test of a hash against one.

use std::fmt;

use super::{BlockHash, Hash256, Work};

/// A 256-bit target in the compact form of a header's `bits`: an exponent of one byte and a mantissa of three.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct CompactTarget(
    #[cfg_attr(feature = "serde", serde(with = "super::serde_form::printed_bits"))] pub u32,
);

/// Why a hash is no proof of work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofOfWorkError {
    /// The compact form is negative, zero or wider than 256 bits.
    #[error("bits {0} are no target")]
    BadTarget(CompactTarget),
    /// The target is easier than the network allows.
    #[error("the target of bits {bits} is easier than the network's limit {limit}")]
    TargetTooEasy {
        /// What the header claims.
        bits: CompactTarget,
        /// The network's limit.
        limit: CompactTarget,
    },
    /// The hash exceeds the target.
    #[error("hash {hash} is above the target of bits {bits}")]
    HashAboveTarget {
        /// The header's hash.
        hash: BlockHash,
        /// What the header claims.
        bits: CompactTarget,
    },
}

impl CompactTarget {
    /// The target as a number of 256 bits, in wire order like a hash; `None` if the form is negative,
    /// zero, or overflows (Bitcoin SV node, `src/arith_uint256.cpp`, `SetCompact`; `src/pow.cpp`).
    pub fn target(self) -> Option<Hash256> {
        let exponent = (self.0 >> 24) as usize;
        let mantissa = self.0 & 0x007f_ffff;
        if self.0 & 0x0080_0000 != 0 {
            return None;
        }
        // The mantissa's lowest byte stands at `exponent - 3`; what falls below zero is cut off.
        let mut target = [0; 32];
        for (byte, value) in mantissa.to_le_bytes().into_iter().take(3).enumerate() {
            if value == 0 {
                continue;
            }
            match (exponent + byte).checked_sub(3) {
                Some(at) => *target.get_mut(at)? = value,
                None => continue,
            }
        }
        (target != [0; 32]).then_some(Hash256(target))
    }

    /// The compact form of a target, a number of 256 bits in wire order. Only its three highest bytes stay
    /// (two, if the highest bit of all would be taken for a sign), so the form is that of the same or a harder target
    /// (Bitcoin SV node, `src/arith_uint256.cpp`, `GetCompact`).
    pub fn from_target(target: Hash256) -> Self {
        let bytes = target.0;
        let mut len = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at + 1);
        let byte = |behind: usize| len.checked_sub(behind).map_or(0, |at| u32::from(bytes[at]));
        let mut mantissa = if len == 0 {
            0
        } else {
            byte(1) << 16 | byte(2) << 8 | byte(3)
        };
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            len += 1;
        }
        Self((len as u32) << 24 | mantissa)
    }

    /// How many hashes it takes on average to meet this target; [`Work::ZERO`] if it is none.
    pub fn work(self) -> Work {
        self.target()
            .map_or(Work::ZERO, |target| Work::of_target(&target.0))
    }

    /// Checks that `hash` does not exceed this target and that the target does not exceed `limit`.
    ///
    /// # Errors
    ///
    /// [`ProofOfWorkError`], with both numbers.
    pub fn check(self, hash: BlockHash, limit: CompactTarget) -> Result<(), ProofOfWorkError> {
        let target = self.target().ok_or(ProofOfWorkError::BadTarget(self))?;
        let easiest = limit.target().ok_or(ProofOfWorkError::BadTarget(limit))?;
        if exceeds(&target.0, &easiest.0) {
            return Err(ProofOfWorkError::TargetTooEasy { bits: self, limit });
        }
        if exceeds(&hash.0, &target.0) {
            return Err(ProofOfWorkError::HashAboveTarget { hash, bits: self });
        }
        Ok(())
    }
}

/// Compares two little-endian numbers.
fn exceeds(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().rev().gt(right.iter().rev())
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
    fn compact_forms_that_are_targets() {
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
    fn compact_forms_that_are_none() {
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
    fn targets_are_cut_to_their_compact_form() {
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
    fn a_compact_form_comes_back_from_its_target() {
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
