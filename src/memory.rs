//! Memory for payloads, counted from their arrival until nobody holds them any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

/// The memory that the payloads of all connections of a program may hold together.
///
/// Bytes count from their arrival until the last message, block or slice that shares them is dropped. Each connection has a budget of
/// its own besides ([`ConnectionConfig::max_payload_memory`](crate::ConnectionConfig::max_payload_memory)). A connection that finds no room
/// stops reading, and ends when there is none for `payload_memory_timeout`. What one read brings may go beyond the budgets: at most 64 KiB a
/// connection.
///
/// A clone counts the same memory. Safe to use from several threads; nothing blocks.
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
    /// At most `max_bytes` together.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            total: Arc::new(Budget::new(max_bytes)),
        }
    }

    /// How many bytes are held now.
    pub fn used(&self) -> u64 {
        self.total.used.load(Relaxed)
    }

    /// How many there may be.
    pub fn max(&self) -> u64 {
        self.total.max.load(Relaxed)
    }

    /// Changes how many there may be. Nothing that is held is lost; connections wait until there is room again.
    pub fn set_max(&self, max_bytes: u64) {
        self.total.max.store(max_bytes, Relaxed);
    }
}

impl Default for PayloadMemory {
    /// 512 MiB.
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

    // The counts alone are shared, no other memory is guarded by them: relaxed order is enough.

    fn try_take(&self, bytes: u64) -> bool {
        let max = self.max.load(Relaxed);
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= max);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn has_room(&self) -> bool {
        self.used.load(Relaxed) < self.max.load(Relaxed)
    }

    fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// The memory of one peer's payloads, a part of the whole.
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

    /// How many bytes are held now.
    pub(crate) fn used(&self) -> u64 {
        self.own.used.load(Relaxed)
    }

    /// Whether both budgets are spent at most to their end.
    fn has_room(&self) -> bool {
        self.own.has_room() && self.total.has_room()
    }

    /// Takes bytes if both budgets have room; returns whether they have.
    fn try_take(&self, bytes: u64) -> bool {
        if !self.own.try_take(bytes) {
            return false;
        }
        let room = self.total.try_take(bytes);
        if !room {
            self.own.give_back(bytes);
        }
        room
    }

    fn take(&self, bytes: u64) {
        self.own.take(bytes);
        self.total.take(bytes);
    }

    fn give_back(&self, bytes: u64) {
        self.own.give_back(bytes);
        self.total.give_back(bytes);
    }
}

/// Memory that is counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct MemoryGuard {
    memory: Arc<PeerMemory>,
    bytes: u64,
}

impl MemoryGuard {
    /// Nothing yet.
    pub(crate) fn new(memory: Arc<PeerMemory>) -> Self {
        Self { memory, bytes: 0 }
    }

    /// Whether something small may arrive, which is counted when it is there.
    pub(crate) fn has_room(&self) -> bool {
        self.memory.has_room()
    }

    /// Lets this count `bytes` if there is room for them; returns whether there is. Fewer than now always find room.
    pub(crate) fn try_resize(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes && !self.memory.try_take(bytes - self.bytes) {
            return false;
        }
        self.memory.give_back(self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
        true
    }

    /// Lets this count at least `bytes`: they have come with a read that was allowed.
    pub(crate) fn cover(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.memory.take(bytes - self.bytes);
            self.bytes = bytes;
        }
    }

    /// Takes what has arrived out of this, which counts the less. Costs least if it is covered.
    pub(crate) fn split_off(&mut self, bytes: u64) -> Self {
        self.cover(bytes);
        self.bytes -= bytes;
        Self {
            memory: self.memory.clone(),
            bytes,
        }
    }

    /// Lets `payload` hold this for as long as anything shares it.
    pub(crate) fn guard(self, payload: Bytes) -> Bytes {
        Bytes::from_owner(Guarded {
            payload,
            _guard: self,
        })
    }
}

impl Drop for MemoryGuard {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

struct Guarded {
    payload: Bytes,
    _guard: MemoryGuard,
}

impl AsRef<[u8]> for Guarded {
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
    fn a_guard_grows_while_both_budgets_have_room() {
        let (all, one, other) = peers(10, 15);
        let (mut first, mut second) = (MemoryGuard::new(one), MemoryGuard::new(other.clone()));
        assert!(first.try_resize(10));
        assert!(!first.try_resize(11), "its own budget is spent");
        assert!(second.try_resize(5));
        assert!(!second.try_resize(6), "that of all is spent");
        assert_eq!((all.used(), other.used()), (15, 5));
        assert!(first.try_resize(9));
        assert!(second.try_resize(6));
        drop((first, second));
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn what_has_arrived_counts_until_its_last_holder_is_gone() {
        let (all, one, _) = peers(10, 10);
        let mut arriving = MemoryGuard::new(one);
        assert!(arriving.try_resize(8));
        let payload = arriving
            .split_off(5)
            .guard(Bytes::copy_from_slice(b"12345"));
        assert_eq!(all.used(), 8, "what is left is still to be split");
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
    fn what_is_there_is_counted_even_beyond_the_budget() {
        let (all, one, _) = peers(10, 10);
        let mut arriving = MemoryGuard::new(one);
        let held = arriving.split_off(20);
        assert_eq!(all.used(), 20);
        assert!(!arriving.try_resize(1));
        drop(held);
        assert!(arriving.try_resize(1));
    }
}
