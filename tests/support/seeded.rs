//! Pseudorandom numbers that are identical in every run. A test crate includes this module with
//! `#[path]`.

// Every test crate that includes this module uses a part of it.
#![allow(dead_code)]

/// A generator of pseudorandom numbers (splitmix64), starting with its seed.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Returns a number from 0 to 2^`bits` - 1. Each bit length is equally likely, so small numbers
    /// are as frequent as large ones.
    pub(crate) fn of_any_size(&mut self, bits: u32) -> u64 {
        let len = self.below(bits as usize + 1) as u32;
        self.next() & ((1 << len) - 1)
    }
}
