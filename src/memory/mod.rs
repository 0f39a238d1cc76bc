//! Limits the memory of payloads, from their arrival until their last owner drops them.

mod pool;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use self::pool::{Account, Pool, Waiter};
use crate::wire::BufferPool;

/// The locks and atomics of [`Pool`].
mod sync {
    pub(super) use std::sync::Arc;
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

    pub(super) use parking_lot::Mutex;
}

/// A memory limit for the large payloads of several connections together.
///
/// A payload of at least 32 KiB ([`COPY_THRESHOLD`](crate::wire::COPY_THRESHOLD)) counts from its
/// arrival until the last message, block or slice that shares it is dropped. Smaller payloads do
/// not count and never wait, so handshakes, pings and announcements work while the limit is
/// reached. They are limited by the queues of the subscribers.
///
/// Each connection also has its own limit
/// ([`ConnectionConfig::max_payload_memory`](crate::ConnectionConfig::max_payload_memory)), and a
/// minimum: its first [`MIN_PER_PEER`](Self::MIN_PER_PEER) bytes do not count in the shared limit.
///
/// # Waiting
///
/// A connection pauses reading only in the middle of a large payload, if one of the limits is
/// reached. Connections that wait receive memory in the order in which they began to wait, as soon
/// as it is released. Memory of the pool that is as large as the longest payload is reserved for
/// the first of them, so incomplete payloads cannot block each other.
///
/// A connection that has waited for
/// [`payload_memory_timeout`](crate::ConnectionConfig::payload_memory_timeout) is closed with
/// [`PayloadMemoryExhausted`](crate::session::DisconnectReason::PayloadMemoryExhausted) if it has
/// reached its own limit. If the shared limit is reached, the connection is closed whose incomplete
/// payloads hold the most shared memory, at most one per `payload_memory_timeout`. That is the
/// connection that waits only if no other one holds as much. Complete messages do not matter:
/// messages that the caller keeps close no connection outside of a large payload.
///
/// # Memory
///
/// The worst case is the shared limit, plus for each connection the minimum, and for each of its
/// streams 128 KiB: the read buffer, and its content if a payload begins in it. In addition, up to
/// 8 MiB of buffers are kept after the last owner of their payload dropped it. The connections reuse
/// them for later payloads, and the last connection frees them.
///
/// Clones share one limit. Safe to use from several threads; no method blocks.
#[derive(Clone)]
pub struct PayloadMemory {
    pool: Arc<Pool>,
    /// The buffers that connections reuse. They are freed with the last connection.
    buffers: Arc<Mutex<Weak<BufferPool>>>,
}

impl PayloadMemory {
    /// The number of bytes of each connection that do not count in the shared limit: 1 MiB.
    ///
    /// It is the default of [`PayloadLimits::unrequested`](crate::wire::PayloadLimits::unrequested):
    /// a connection that holds no other large payload can always receive an unrequested one.
    pub const MIN_PER_PEER: u64 = 1024 * 1024;

    /// Creates a limit of `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            pool: Arc::new(Pool::new(max_bytes)),
            buffers: Arc::default(),
        }
    }

    /// Returns the number of bytes in use. Does not block.
    ///
    /// It includes the minimums of all connections and can therefore exceed the limit.
    pub fn used(&self) -> u64 {
        self.pool.total()
    }

    /// Returns the limit in bytes. Does not block.
    pub fn max(&self) -> u64 {
        self.pool.max()
    }

    /// Sets the limit in bytes.
    ///
    /// Connections that wait continue at once if the new limit suffices. If more bytes are in use,
    /// they stay allocated, and connections wait until enough of them are released. Does not block.
    pub fn set_max(&self, max_bytes: u64) {
        self.pool.set_max(max_bytes);
    }

    /// Returns the buffers of the connections, for another one.
    fn buffers(&self) -> Arc<BufferPool> {
        let mut buffers = self.buffers.lock();
        buffers.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *buffers = Arc::downgrade(&new);
            new
        })
    }
}

impl Default for PayloadMemory {
    /// Returns a limit of 512 MiB.
    fn default() -> Self {
        Self::new(512 * 1024 * 1024)
    }
}

impl fmt::Debug for PayloadMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadMemory")
            .field("used", &self.used())
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

/// The memory of one peer. Dropping it ends its minimum.
pub(crate) struct PeerMemory {
    pool: Arc<Pool>,
    buffers: Arc<BufferPool>,
    account: Arc<Account>,
}

impl PeerMemory {
    /// Creates the memory of a peer with a limit of `max_bytes`, whose payloads have at most
    /// `longest` bytes each.
    pub(crate) fn new(memory: &PayloadMemory, max_bytes: u64, longest: u64) -> Self {
        let pool = memory.pool.clone();
        let account = pool.open(max_bytes, longest, PayloadMemory::MIN_PER_PEER);
        Self {
            pool,
            buffers: memory.buffers(),
            account,
        }
    }

    pub(crate) fn set_limits(&self, max_bytes: u64, longest: u64) {
        self.pool.set_limits(&self.account, max_bytes, longest);
    }

    /// Returns the number of bytes in use. Does not block.
    pub(crate) fn used(&self) -> u64 {
        self.account.bytes()
    }

    /// Creates the memory of one stream of the peer.
    ///
    /// `wake` ends the wait of its thread. `close` closes its connection, and is called by the
    /// thread of another peer if the incomplete payloads of this one hold the most memory. Both
    /// must not block.
    pub(crate) fn stream(
        &self,
        wake: impl Fn() + Send + Sync + 'static,
        close: impl Fn() + Send + Sync + 'static,
    ) -> StreamMemory {
        let waiter = Waiter::new(Box::new(wake), Box::new(close));
        self.pool.add(&self.account, &waiter);
        StreamMemory {
            pool: self.pool.clone(),
            buffers: self.buffers.clone(),
            account: self.account.clone(),
            waiter,
            reserved: 0,
            requested: 0,
        }
    }
}

impl Drop for PeerMemory {
    fn drop(&mut self) {
        self.pool.close(&self.account);
    }
}

/// The memory of the payload that a stream receives.
pub(crate) struct StreamMemory {
    pool: Arc<Pool>,
    buffers: Arc<BufferPool>,
    account: Arc<Account>,
    waiter: Arc<Waiter>,
    reserved: u64,
    /// The size of the request in the queue, or 0 if there is none.
    requested: u64,
}

impl StreamMemory {
    /// Returns the buffers that connections with the same shared limit reuse.
    pub(crate) fn buffers(&self) -> Arc<BufferPool> {
        self.buffers.clone()
    }

    /// Reserves memory for the first `bytes` bytes of the payload. Returns whether it is reserved.
    ///
    /// Otherwise the stream is in the queue, and its callback is called after it received memory.
    /// It must then call this method again.
    pub(crate) fn try_reserve(&mut self, bytes: u64) -> bool {
        while self.requested > 0 || bytes > self.reserved {
            let is_granted = if self.requested > 0 {
                self.waiter.take_grant()
            } else {
                self.requested = bytes - self.reserved;
                self.pool
                    .reserve(&self.account, &self.waiter, self.requested)
            };
            if !is_granted {
                return false;
            }
            self.account.add_arriving(self.requested);
            self.reserved += self.requested;
            self.requested = 0;
        }
        true
    }

    /// Handles a wait that has reached its timeout. Returns whether this peer must be closed.
    /// Another peer may be closed instead.
    pub(crate) fn on_timeout(&self, timeout: Duration, now: Instant) -> bool {
        self.pool.evict(&self.account, &self.waiter, timeout, now)
    }

    /// Returns the memory of the complete payload, which has `bytes` bytes. They must be reserved.
    pub(crate) fn take(&mut self, bytes: u64) -> MemoryGuard {
        let bytes = bytes.min(self.reserved);
        self.reserved -= bytes;
        self.account.remove_arriving(bytes);
        let guard = MemoryGuard {
            pool: self.pool.clone(),
            account: self.account.clone(),
            bytes,
        };
        self.reset();
        guard
    }

    /// Releases the memory of a payload that was dropped.
    pub(crate) fn reset(&mut self) {
        if self.requested > 0 {
            self.pool
                .cancel(&self.account, &self.waiter, self.requested);
            self.requested = 0;
        }
        if self.reserved > 0 {
            self.account.remove_arriving(self.reserved);
            self.pool.release(&self.account, self.reserved);
            self.reserved = 0;
        }
        self.pool.finish(&self.waiter);
    }
}

impl Drop for StreamMemory {
    fn drop(&mut self) {
        self.reset();
        self.pool.remove(&self.waiter);
    }
}

impl fmt::Debug for StreamMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMemory")
            .field("reserved", &self.reserved)
            .field("requested", &self.requested)
            .finish_non_exhaustive()
    }
}

/// Memory that counts until this guard is dropped.
pub(crate) struct MemoryGuard {
    pool: Arc<Pool>,
    account: Arc<Account>,
    bytes: u64,
}

impl MemoryGuard {
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
        self.pool.release(&self.account, self.bytes);
    }
}

impl fmt::Debug for MemoryGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGuard")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
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
mod tests;
