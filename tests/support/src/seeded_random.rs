//! The generator of the unit tests, with more kinds of numbers.

#[path = "../../../src/test_random.rs"]
mod test_random;

pub use self::test_random::SeededRandom;

impl SeededRandom {
    /// Returns a number from 0 to 2^`bits` - 1. Each bit length is equally likely, so small numbers
    /// are as frequent as large ones.
    pub fn of_any_size(&mut self, bits: u32) -> u64 {
        let len = self.below(bits as usize + 1) as u32;
        self.next_u64() & ((1 << len) - 1)
    }

    /// Returns `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next_u64() as u8)
    }
}
