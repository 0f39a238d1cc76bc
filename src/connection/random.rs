//! Nonces and the wall clock for sessions.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::random::random_u64;
use crate::session::NonceSource;

/// Returns the nonces of one session. They must differ from those of other nodes, but need not be
/// secret.
pub(super) fn nonces() -> NonceSource {
    // A node treats a nonce of zero as no pending ping.
    Box::new(|| random_u64().max(1))
}

/// Returns the Unix time in seconds, or 0 for times before 1970.
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
