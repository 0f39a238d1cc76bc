//! Random numbers and the wall clock: what the session gets from outside.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::session::NonceSource;

/// Nonces for one session: each from a hash with a key of its own, which the system's randomness seeds. They have to
/// be different from those of other nodes, not secret.
pub(super) fn nonces() -> NonceSource {
    // Zero would mean "no ping is open" to a node.
    Box::new(|| number().max(1))
}

/// Any number.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(())
}

/// The clock in seconds since 1970; 0 before.
pub(super) fn unix_time() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ() {
        let (mut one, mut other) = (nonces(), nonces());
        let drawn = [one(), one(), other(), other()];
        let distinct: std::collections::HashSet<_> = drawn.into_iter().collect();
        assert_eq!(distinct.len(), drawn.len());
        assert!(!distinct.contains(&0));
    }
}
