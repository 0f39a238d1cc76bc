//! Nonces and the wall clock: what the session gets from outside.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::random::random_u64;
use crate::session::NonceSource;

/// Nonces for one session. They have to be different from those of other nodes, not secret.
pub(super) fn nonces() -> NonceSource {
    // Zero would mean "no ping is open" to a node.
    Box::new(|| random_u64().max(1))
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
