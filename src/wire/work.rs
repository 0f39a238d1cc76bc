//! Chain work: the expected number of hashes for a block or a chain.

use std::fmt;
use std::iter::Sum;

use super::proof_of_work::U256;

/// An amount of work: the expected number of hashes to meet a target, or a sum of such numbers.
///
/// The number has 256 bits. `Display` writes it as 64 hexadecimal digits, like the `chainwork` of
/// the node.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work(U256);

impl Work {
    /// No work.
    pub const ZERO: Work = Work(U256::ZERO);

    /// Returns the work of a block with this target: `2^256 / (target + 1)`, rounded down.
    ///
    /// Computed as `!target / (target + 1) + 1`, because 2^256 needs 257 bits (Bitcoin SV node,
    /// `src/chain.cpp`, `GetBlockProof`).
    #[inline]
    pub(super) fn from_target(target: U256) -> Self {
        let one = U256::from(1);
        match target.checked_add(one) {
            Some(divisor) => Self((!target / divisor).saturating_add(one)),
            // Every hash meets the easiest target.
            None => Self(one),
        }
    }

    /// Returns an amount of work that fits in 128 bits.
    pub const fn from_u128(work: u128) -> Self {
        Self(U256::from_limbs([work as u64, (work >> 64) as u64, 0, 0]))
    }

    /// Reads the number from 32 bytes, the most significant first.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    pub(super) fn to_u256(self) -> U256 {
        self.0
    }

    /// Returns the sum, or the maximum of 256 bits if it is larger.
    #[inline]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the difference, or zero if it is negative.
    #[inline]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the 32 bytes of the number, the most significant first.
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(works: I) -> Self {
        works.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limbs = self.0.as_limbs().iter().rev();
        limbs
            .into_iter()
            .try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CompactTarget;

    fn work(bits: u32) -> String {
        let shown = CompactTarget(bits).work().to_string();
        shown.trim_start_matches('0').to_owned()
    }

    #[test]
    fn work_of_known_targets() {
        for (bits, expected) in [
            (0x207f_ffff, "2"),                  // regtest
            (0x1d00_ffff, "100010001"),          // the first mainnet block
            (0x1b04_04cb, "3fb3ab764c00"),       // mainnet 2010
            (0x1802_8f1b, "6409f24d2b5432db1e"), // mainnet 2024
            (
                0x0300_0001,
                "8000000000000000000000000000000000000000000000000000000000000000",
            ),
            (0x2200_00ff, "1"),
        ] {
            assert_eq!(work(bits), expected, "{bits:08x}");
        }
    }

    #[test]
    fn invalid_target_has_no_work() {
        for bits in [0, 0x1d80_0001, 0x2300_0100] {
            assert_eq!(CompactTarget(bits).work(), Work::ZERO);
        }
    }

    #[test]
    fn extreme_targets_do_not_overflow() {
        assert_eq!(Work::from_target(U256::MAX), Work::from_u128(1));
        // 2^256 itself does not fit.
        assert_eq!(Work::from_target(U256::ZERO), Work(U256::MAX));
    }

    #[test]
    fn sums_and_differences_saturate() {
        let one = Work::from_u128(1);
        let most = Work(U256::MAX);
        assert_eq!(most.saturating_add(one), most);
        assert_eq!(one.saturating_sub(most), Work::ZERO);
        let carried = Work::from_u128(u128::MAX).saturating_add(one);
        assert_eq!(carried.to_be_bytes()[15], 1);
        assert_eq!(carried.saturating_sub(one), Work::from_u128(u128::MAX));
        assert_eq!([one, one, most].into_iter().sum::<Work>(), most);
    }

    #[test]
    fn bytes_and_digits_are_big_endian() {
        let mut bytes = [0; 32];
        (bytes[7], bytes[31]) = (1, 2);
        let work = Work::from_be_bytes(bytes);
        assert_eq!(work.to_be_bytes(), bytes);
        assert_eq!(work.to_string(), format!("{:016x}{:032x}{:016x}", 1, 0, 2));
    }
}
