//! Random numbers.

use std::hash::{BuildHasher, RandomState};

/// Returns a random number, a hash with a new key that is seeded by the randomness of the system.
///
/// Peers cannot predict the numbers, but they must not be used as cryptographic secrets.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(())
}
