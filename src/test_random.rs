//! Pseudorandom numbers for tests.
//!
//! The package of the integration tests' helpers, `tests/support`, includes this file, so that all
//! tests share one generator.

use std::thread;

/// A generator of pseudorandom numbers (splitmix64), which are identical in every run.
///
/// A test that panics while it holds a generator prints the generator's seed.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    seed: u64,
    state: u64,
}

impl SeededRandom {
    /// Creates a generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Returns a number of 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }
}

impl Drop for SeededRandom {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with random numbers from seed {}", self.seed);
        }
    }
}
