//! Random numbers.

use std::hash::{BuildHasher, RandomState};

/// Returns a random number: a hash with a new key that is seeded by the randomness of the system.
///
/// Peers cannot predict the numbers, but they must not be used as cryptographic secrets.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(())
}
