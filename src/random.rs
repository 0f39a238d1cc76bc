//! Random numbers.

use std::hash::{BuildHasher, RandomState};

/// Any number: a hash with a key of its own, which the system's randomness seeds. Nobody guesses the next one from others; secrets
/// are not made of it.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(())
}
