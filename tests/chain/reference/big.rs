//! Numbers of any size, with the arithmetic of schoolbooks.

use std::cmp::Ordering;

/// A number as digits of 32 bits, the least significant first, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big(Vec<u32>);

impl Big {
    fn new(mut digits: Vec<u32>) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self(digits)
    }

    pub(super) fn power_of_two(exponent: usize) -> Self {
        let mut digits = vec![0; exponent / 32];
        digits.push(1 << (exponent % 32));
        Self(digits)
    }

    /// Decodes a valid compact target: a mantissa of three bytes and a length in bytes.
    pub(super) fn from_compact(bits: u32) -> Self {
        let [len, mantissa @ ..] = bits.to_be_bytes();
        let mut bytes = mantissa.to_vec();
        bytes.resize(usize::from(len), 0);
        Self::from_be_bytes(&bytes)
    }

    /// Encodes a compact target from the bytes of the number.
    pub(super) fn to_compact(&self) -> u32 {
        let mut bytes: Vec<u8> = self
            .0
            .iter()
            .rev()
            .flat_map(|one| one.to_be_bytes())
            .collect();
        while bytes.first() == Some(&0) {
            bytes.remove(0);
        }
        // A set highest bit would be a sign.
        if bytes.first().is_some_and(|first| *first >= 0x80) {
            bytes.insert(0, 0);
        }
        let len = bytes.len() as u8;
        bytes.resize(bytes.len().max(3), 0);
        u32::from_be_bytes([len, bytes[0], bytes[1], bytes[2]])
    }

    fn from_be_bytes(bytes: &[u8]) -> Self {
        let shifted = |digit: u32, byte: &u8| digit << 8 | u32::from(*byte);
        let digits = bytes.rchunks(4).map(|bytes| bytes.iter().fold(0, shifted));
        Self::new(digits.collect())
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let len = self.0.len().max(other.0.len()) + 1;
        let mut carry = 0;
        let digits = (0..len).map(|at| {
            let sum = self.digit(at) + other.digit(at) + carry;
            carry = sum >> 32;
            sum as u32
        });
        Self::new(digits.collect())
    }

    /// Subtracts a number that is not greater.
    pub(super) fn sub(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        difference.subtract(other);
        difference
    }

    pub(super) fn mul_u32(&self, factor: u32) -> Self {
        let mut carry = 0;
        let digits = (0..=self.0.len()).map(|at| {
            let product = self.digit(at) * u64::from(factor) + carry;
            carry = product >> 32;
            product as u32
        });
        Self::new(digits.collect())
    }

    /// Divides bit by bit, rounding down.
    pub(super) fn div(&self, divisor: &Self) -> Self {
        assert!(!divisor.0.is_empty(), "division by zero");
        let mut quotient = vec![0; self.0.len()];
        let mut rest = Self(Vec::with_capacity(divisor.0.len() + 1));
        for bit in (0..32 * self.0.len()).rev() {
            rest.shift_in(self.0[bit / 32] >> (bit % 32) & 1);
            if rest >= *divisor {
                rest.subtract(divisor);
                quotient[bit / 32] |= 1 << (bit % 32);
            }
        }
        Self::new(quotient)
    }

    /// Doubles the number and adds a bit.
    fn shift_in(&mut self, mut bit: u32) {
        for digit in &mut self.0 {
            let high = *digit >> 31;
            *digit = *digit << 1 | bit;
            bit = high;
        }
        if bit > 0 {
            self.0.push(bit);
        }
    }

    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0;
        for (at, digit) in self.0.iter_mut().enumerate() {
            let difference = (1 << 32) + u64::from(*digit) - other.digit(at) - borrow;
            borrow = 1 - (difference >> 32);
            *digit = difference as u32;
        }
        assert_eq!(borrow, 0, "the difference is negative");
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn digit(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0).into()
    }
}

impl From<u32> for Big {
    fn from(number: u32) -> Self {
        Self::new(vec![number])
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
