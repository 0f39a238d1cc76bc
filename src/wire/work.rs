//! Work: how many hashes it takes on average to find a block, and how many a chain has taken.

use std::fmt;
use std::iter::Sum;

/// An amount of work, a number of 256 bits: the expected number of hashes to meet a target, or a sum of such numbers.
///
/// It is a type of its own because a chain needs no more than to add, subtract and compare.
/// `Display` shows 64 hexadecimal digits, as the node's `chainwork` does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work(Number);

/// Four times 64 bits, the highest first: so the derived order is that of the numbers.
type Number = [u64; 4];

impl Work {
    /// No work.
    pub const ZERO: Work = Work([0; 4]);

    /// The work of a block with this target, a little-endian number: 2^256 / (target + 1), rounded down.
    ///
    /// As 2^256 does not fit, it is computed like the node does (`src/chain.cpp`, `GetBlockProof`):
    /// the complement of the target divided by target + 1, and one more.
    pub(super) fn of_target(target: &[u8; 32]) -> Self {
        let mut number = [0; 4];
        for (limb, bytes) in number.iter_mut().rev().zip(target.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *limb = u64::from_le_bytes(word);
        }
        let one = [0, 0, 0, 1];
        match add(number, one) {
            Some(divisor) => {
                Self(quotient(number.map(|limb| !limb), divisor)).saturating_add(Self(one))
            }
            // The easiest target there is: every hash meets it.
            None => Self(one),
        }
    }

    /// The sum; the greatest number of 256 bits if it would be more.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(add(self.0, other.0).unwrap_or([u64::MAX; 4]))
    }

    /// The difference; zero if it would be less.
    pub fn saturating_sub(self, other: Self) -> Self {
        if self < other {
            Self::ZERO
        } else {
            Self(subtract(self.0, other.0))
        }
    }

    /// The number of these 32 bytes, the highest first.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let mut number = [0; 4];
        let (limbs, _) = bytes.as_chunks();
        for (limb, bytes) in number.iter_mut().zip(limbs) {
            *limb = u64::from_be_bytes(*bytes);
        }
        Self(number)
    }

    /// The number's 32 bytes, the highest first.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(works: I) -> Self {
        works.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({self})")
    }
}

/// The sum, unless it needs more than 256 bits.
fn add(left: Number, right: Number) -> Option<Number> {
    let mut sum = [0; 4];
    let mut carry = false;
    for at in (0..4).rev() {
        let (limb, first) = left[at].overflowing_add(right[at]);
        let (limb, second) = limb.overflowing_add(u64::from(carry));
        (sum[at], carry) = (limb, first || second);
    }
    (!carry).then_some(sum)
}

/// The difference of a number and one that is not greater.
fn subtract(left: Number, right: Number) -> Number {
    let mut difference = [0; 4];
    let mut borrow = false;
    for at in (0..4).rev() {
        let (limb, first) = left[at].overflowing_sub(right[at]);
        let (limb, second) = limb.overflowing_sub(u64::from(borrow));
        (difference[at], borrow) = (limb, first || second);
    }
    difference
}

/// The quotient, rounded down, by long division in base two. The divisor is not zero.
fn quotient(mut rest: Number, divisor: Number) -> Number {
    let mut quotient = [0; 4];
    let shifts = leading_zeros(divisor).saturating_sub(leading_zeros(rest));
    for shift in (0..=shifts).rev() {
        let part = shift_left(divisor, shift);
        if part <= rest {
            rest = subtract(rest, part);
            quotient[3 - shift as usize / 64] |= 1 << (shift % 64);
        }
    }
    quotient
}

fn leading_zeros(number: Number) -> u32 {
    let at = number.iter().position(|&limb| limb != 0).unwrap_or(3);
    64 * at as u32 + number[at].leading_zeros()
}

/// The number times 2^`shift`, which fits.
fn shift_left(number: Number, shift: u32) -> Number {
    let (limbs, bits) = (shift as usize / 64, shift % 64);
    let at = |at: usize| number.get(at).copied().unwrap_or(0);
    std::array::from_fn(|place| {
        let high = at(place + limbs) << bits;
        // What comes from the limb below; nothing if whole limbs are moved.
        let low = at(place + limbs + 1).checked_shr(64 - bits).unwrap_or(0);
        high | low
    })
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
    fn the_work_of_known_targets() {
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
    fn what_is_no_target_has_no_work() {
        for bits in [0, 0x1d80_0001, 0x2300_0100] {
            assert_eq!(CompactTarget(bits).work(), Work::ZERO);
        }
    }

    #[test]
    fn the_easiest_and_the_hardest_target_do_not_overflow() {
        assert_eq!(Work::of_target(&[0xff; 32]), Work([0, 0, 0, 1]));
        // 2^256 itself does not fit.
        assert_eq!(Work::of_target(&[0; 32]), Work([u64::MAX; 4]));
    }

    #[test]
    fn sums_carry_and_differences_borrow_across_all_limbs() {
        let one = Work([0, 0, 0, 1]);
        let low = Work([0, u64::MAX, u64::MAX, u64::MAX]);
        let high = Work([1, 0, 0, 0]);
        assert_eq!(low.saturating_add(one), high);
        assert_eq!(high.saturating_sub(one), low);
        assert!(high > low && low > one && one > Work::ZERO);
        let most = Work([u64::MAX; 4]);
        assert_eq!(most.saturating_add(one), most);
        assert_eq!(one.saturating_sub(high), Work::ZERO);
        assert_eq!(
            [one, low, one].into_iter().sum::<Work>(),
            high.saturating_add(one)
        );
    }

    #[test]
    fn a_product_divided_gives_its_factor() {
        let seven = [0, 0, 0, 7];
        let times_seven = (0..7).fold([0; 4], |sum, _| add(sum, [3, 5, 1 << 63, 9]).unwrap());
        assert_eq!(quotient(times_seven, seven), [3, 5, 1 << 63, 9]);
        let rounded = add(times_seven, [0, 0, 0, 6]).unwrap();
        assert_eq!(quotient(rounded, seven), [3, 5, 1 << 63, 9]);
        assert_eq!(quotient(times_seven, [3, 5, 1 << 63, 9]), seven);
        assert_eq!(quotient(seven, times_seven), [0; 4]);
        assert_eq!(quotient([0; 4], seven), [0; 4]);
    }

    #[test]
    fn bytes_and_digits_stand_with_the_highest_first() {
        let work = Work([1, 0, 0, 2]);
        assert_eq!(work.to_be_bytes()[7], 1);
        assert_eq!(work.to_be_bytes()[31], 2);
        assert_eq!(Work::from_be_bytes(work.to_be_bytes()), work);
        let shown = format!("{:016x}{:032x}{:016x}", 1, 0, 2);
        assert_eq!(work.to_string(), shown);
    }
}
