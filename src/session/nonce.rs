//! The nonces by which we recognise a connection to ourselves.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Where a session gets its random numbers from: the caller's randomness, or a counter in a test.
pub type NonceSource = Box<dyn FnMut() -> u64 + Send>;

/// The nonces of our own outbound connections whose handshakes are open.
///
/// Whoever owns connections makes one registry and hands it to each. An inbound `version` that carries one of these nonces
/// comes from ourselves (Bitcoin SV node, `src/net/net.cpp`, `CheckIncomingNonce`). A clone is the same
/// registry. Safe to use from several threads; never blocks for longer than a look-up.
#[derive(Clone, Debug, Default)]
pub struct NonceRegistry {
    /// Each nonce, and whether it has come back to us.
    nonces: Arc<Mutex<HashMap<u64, bool>>>,
}

impl NonceRegistry {
    /// Enters a nonce, for as long as the returned guard lives.
    pub fn register(&self, nonce: u64) -> NonceGuard {
        self.nonces.lock().insert(nonce, false);
        NonceGuard {
            registry: self.clone(),
            nonce,
        }
    }

    /// Whether a nonce that came in is one of ours. The connection that sent it learns of it too.
    pub fn check_inbound(&self, nonce: u64) -> bool {
        match self.nonces.lock().get_mut(&nonce) {
            Some(met) => {
                *met = true;
                true
            }
            None => false,
        }
    }

    /// How many nonces are entered.
    pub fn len(&self) -> usize {
        self.nonces.lock().len()
    }

    /// Whether none is entered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A nonce in a [`NonceRegistry`]; dropping it takes it out.
#[derive(Debug)]
pub struct NonceGuard {
    registry: NonceRegistry,
    nonce: u64,
}

impl NonceGuard {
    /// The number.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Whether it has come in on another connection of ours.
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
    fn a_nonce_is_known_until_its_guard_is_dropped() {
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
