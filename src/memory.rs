//! Budgets for the memory of payloads, from their arrival until their last owner drops them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

/// A memory budget for the payloads of several connections together.
///
/// Bytes count from their arrival until the last message, block or slice that shares them is
/// dropped. Each connection also has its own budget
/// ([`ConnectionConfig::max_payload_memory`](crate::ConnectionConfig::max_payload_memory)). If a
/// budget is spent, a connection stops reading. It is closed if memory is not available within
/// [`ConnectionConfig::payload_memory_timeout`](crate::ConnectionConfig::payload_memory_timeout). A single read may
/// exceed the budgets by at most 64 KiB per connection.
///
/// Clones share one budget. Safe to use from several threads; no method blocks.
#[derive(Clone, Debug)]
pub struct PayloadMemory {
    total: Arc<Budget>,
}

#[derive(Debug)]
struct Budget {
    max: AtomicU64,
    used: AtomicU64,
}

impl PayloadMemory {
    /// Creates a budget of `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            total: Arc::new(Budget::new(max_bytes)),
        }
    }

    /// Returns the number of bytes in use. Does not block.
    pub fn used(&self) -> u64 {
        self.total.used.load(Relaxed)
    }

    /// Returns the size of the budget in bytes. Does not block.
    pub fn max(&self) -> u64 {
        self.total.max.load(Relaxed)
    }

    /// Sets the size of the budget in bytes.
    ///
    /// Does not block. If more bytes are in use, they stay allocated, and connections wait until
    /// enough of them are released.
    pub fn set_max(&self, max_bytes: u64) {
        self.total.max.store(max_bytes, Relaxed);
    }
}

impl Default for PayloadMemory {
    /// Returns a budget of 512 MiB.
    fn default() -> Self {
        Self::new(512 * 1024 * 1024)
    }
}

impl Budget {
    fn new(max: u64) -> Self {
        Self {
            max: AtomicU64::new(max),
            used: AtomicU64::new(0),
        }
    }

    // Relaxed order is sufficient: the counters do not guard other memory.

    fn try_reserve(&self, bytes: u64) -> bool {
        let max = self.max.load(Relaxed);
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= max);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn has_capacity(&self) -> bool {
        self.used.load(Relaxed) < self.max.load(Relaxed)
    }

    fn reserve(&self, bytes: u64) {
        self.used.fetch_add(bytes, Relaxed);
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// The budget of one peer. Its bytes also count in the total budget.
#[derive(Debug)]
pub(crate) struct PeerMemory {
    own: Budget,
    total: Arc<Budget>,
}

impl PeerMemory {
    pub(crate) fn new(max_bytes: u64, memory: &PayloadMemory) -> Self {
        Self {
            own: Budget::new(max_bytes),
            total: memory.total.clone(),
        }
    }

    pub(crate) fn set_max(&self, max_bytes: u64) {
        self.own.max.store(max_bytes, Relaxed);
    }

    /// Returns the number of bytes in use. Does not block.
    pub(crate) fn used(&self) -> u64 {
        self.own.used.load(Relaxed)
    }

    /// Returns whether neither budget is spent.
    fn has_capacity(&self) -> bool {
        self.own.has_capacity() && self.total.has_capacity()
    }

    /// Reserves bytes of both budgets if both have them. Returns whether they were reserved.
    fn try_reserve(&self, bytes: u64) -> bool {
        if !self.own.try_reserve(bytes) {
            return false;
        }
        let reserved = self.total.try_reserve(bytes);
        if !reserved {
            self.own.release(bytes);
        }
        reserved
    }

    fn reserve(&self, bytes: u64) {
        self.own.reserve(bytes);
        self.total.reserve(bytes);
    }

    fn release(&self, bytes: u64) {
        self.own.release(bytes);
        self.total.release(bytes);
    }
}

/// Memory that counts in the budgets until this guard is dropped.
#[derive(Debug)]
pub(crate) struct MemoryGuard {
    memory: Arc<PeerMemory>,
    bytes: u64,
}

impl MemoryGuard {
    /// Creates a guard of 0 bytes.
    pub(crate) fn new(memory: Arc<PeerMemory>) -> Self {
        Self { memory, bytes: 0 }
    }

    /// Returns whether a small payload may arrive, which is counted after its arrival.
    pub(crate) fn has_capacity(&self) -> bool {
        self.memory.has_capacity()
    }

    /// Sets the number of bytes of this guard, if the budgets have them. Returns whether it was
    /// set. Reducing the number always succeeds.
    pub(crate) fn try_resize(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes && !self.memory.try_reserve(bytes - self.bytes) {
            return false;
        }
        self.memory.release(self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
        true
    }

    /// Increases this guard to at least `bytes`, regardless of the budgets. The bytes have arrived
    /// with a read that was allowed.
    pub(crate) fn reserve_exact(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.memory.reserve(bytes - self.bytes);
            self.bytes = bytes;
        }
    }

    /// Moves `bytes` into a new guard. If this guard has fewer, it is increased first, which costs
    /// more.
    pub(crate) fn split_off(&mut self, bytes: u64) -> Self {
        self.reserve_exact(bytes);
        self.bytes -= bytes;
        Self {
            memory: self.memory.clone(),
            bytes,
        }
    }

    /// Attaches this guard to `payload`, until the last slice that shares it is dropped.
    pub(crate) fn guard(self, payload: Bytes) -> Bytes {
        Bytes::from_owner(GuardedBytes {
            payload,
            _guard: self,
        })
    }
}

impl Drop for MemoryGuard {
    fn drop(&mut self) {
        self.memory.release(self.bytes);
    }
}

struct GuardedBytes {
    payload: Bytes,
    _guard: MemoryGuard,
}

impl AsRef<[u8]> for GuardedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(own: u64, total: u64) -> (PayloadMemory, Arc<PeerMemory>, Arc<PeerMemory>) {
        let all = PayloadMemory::new(total);
        let peer = || Arc::new(PeerMemory::new(own, &all));
        let (one, other) = (peer(), peer());
        (all, one, other)
    }

    #[test]
    fn guard_grows_while_both_budgets_have_capacity() {
        let (all, one, other) = peers(10, 15);
        let (mut first, mut second) = (MemoryGuard::new(one), MemoryGuard::new(other.clone()));
        assert!(first.try_resize(10));
        assert!(!first.try_resize(11), "the budget of the peer is spent");
        assert!(second.try_resize(5));
        assert!(!second.try_resize(6), "the total budget is spent");
        assert_eq!((all.used(), other.used()), (15, 5));
        assert!(first.try_resize(9));
        assert!(second.try_resize(6));
        drop((first, second));
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn payload_counts_until_last_slice_is_dropped() {
        let (all, one, _) = peers(10, 10);
        let mut arriving = MemoryGuard::new(one);
        assert!(arriving.try_resize(8));
        let payload = arriving
            .split_off(5)
            .guard(Bytes::copy_from_slice(b"12345"));
        assert_eq!(all.used(), 8, "the remaining bytes still count");
        assert!(arriving.try_resize(0));
        assert_eq!(all.used(), 5);
        let slice = payload.slice(4..);
        drop(payload);
        assert_eq!(all.used(), 5);
        assert_eq!(&slice[..], b"5");
        drop(slice);
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn arrived_bytes_count_beyond_the_budget() {
        let (all, one, _) = peers(10, 10);
        let mut arriving = MemoryGuard::new(one);
        let held = arriving.split_off(20);
        assert_eq!(all.used(), 20);
        assert!(!arriving.try_resize(1));
        drop(held);
        assert!(arriving.try_resize(1));
    }
}
