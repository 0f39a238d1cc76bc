//! Detection of connections to this process by the nonces of `version` messages.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The source of a session's random numbers: a random number generator, or a counter in a test.
pub type NonceSource = Box<dyn FnMut() -> u64 + Send>;

/// The nonces of outbound connections whose handshakes are in progress.
///
/// All connections of an application should share one registry. If an inbound `version` carries a
/// registered nonce, the connection leads back to this process (Bitcoin SV node 1.2.2,
/// `src/net/net.cpp`, `CheckIncomingNonce`).
///
/// Clones share one registry, which several threads can use. Methods hold the internal lock only
/// for one lookup.
#[derive(Clone, Debug, Default)]
pub struct NonceRegistry {
    /// Each nonce, and whether it was received.
    nonces: Arc<Mutex<HashMap<u64, bool>>>,
}

impl NonceRegistry {
    /// Registers a nonce until the returned guard is dropped.
    pub fn register(&self, nonce: u64) -> NonceGuard {
        self.nonces.lock().insert(nonce, false);
        NonceGuard {
            registry: self.clone(),
            nonce,
        }
    }

    /// Returns whether `nonce` is registered. If so, marks the connection that sent it as a
    /// self-connection.
    pub fn check_inbound(&self, nonce: u64) -> bool {
        match self.nonces.lock().get_mut(&nonce) {
            Some(met) => {
                *met = true;
                true
            }
            None => false,
        }
    }

    /// Returns the number of registered nonces.
    pub fn len(&self) -> usize {
        self.nonces.lock().len()
    }

    /// Returns whether no nonce is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A registered nonce of a [`NonceRegistry`]. Dropping it removes the nonce.
///
/// The guard must be kept during the handshake. If it is unused, the compiler emits a warning:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
///
/// let registry = bsv_p2p::session::NonceRegistry::default();
/// registry.register(7);
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard removes the nonce"]
pub struct NonceGuard {
    registry: NonceRegistry,
    nonce: u64,
}

impl NonceGuard {
    /// Returns the nonce.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Returns whether the nonce was received on a connection that uses the registry.
    pub fn is_self_connection(&self) -> bool {
        self.registry
            .nonces
            .lock()
            .get(&self.nonce)
            .copied()
            .unwrap_or_default()
    }
}

impl Drop for NonceGuard {
    fn drop(&mut self) {
        self.registry.nonces.lock().remove(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_is_known_until_guard_is_dropped() {
        let registry = NonceRegistry::default();
        let own = registry.register(7);
        assert!(!own.is_self_connection());
        assert!(!registry.check_inbound(8));
        assert!(registry.clone().check_inbound(7));
        assert!(own.is_self_connection());
        drop(own);
        assert!(!registry.check_inbound(7));
        assert!(registry.is_empty());
    }
}
