//! Reuses the buffers of large payloads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// The maximum number of bytes that [`Buffers::total`] counts.
const MAX_TOTAL: usize = 8 * 1024 * 1024;
/// The maximum capacity in bytes of a buffer that is reused.
const MAX_BUFFER: usize = MAX_TOTAL / 2;

/// Buffers of payloads that their owners have dropped, for later payloads of a similar length.
///
/// A new buffer costs a page fault for every 4 KiB, and is filled with zeros. For a block of a few
/// megabytes, this takes about a fifth of the time of its checksum.
///
/// The pool is shared by connections and safe to use from several threads. Locks are held for a few
/// steps only. Payloads and loans do not keep it alive: it is freed with the last connection.
#[derive(Default)]
pub(crate) struct BufferPool {
    buffers: Mutex<Buffers>,
}

#[derive(Default)]
struct Buffers {
    /// In the order in which they were returned.
    idle: VecDeque<Vec<u8>>,
    /// The total capacity of idle and lent buffers. Of a buffer that was lent to a payload that is
    /// complete, only the part counts that is longer than the payload.
    total: usize,
}

/// The part of a lent buffer that still counts in the pool.
///
/// While a payload is incomplete, its whole buffer counts. Otherwise, peers that never complete
/// their payloads could collect any number of buffers. When it is complete, its bytes count as
/// payload memory, and only the unused part of the buffer counts in the pool. Otherwise, payloads
/// that the caller keeps could take twice their length.
#[derive(Debug)]
pub(super) struct Loan {
    pool: Weak<BufferPool>,
    counted: usize,
}

impl BufferPool {
    /// Lends a buffer of at least `len` initialized bytes, if there is one with a capacity of at
    /// most twice `len`.
    ///
    /// The loan must be dropped with an abandoned payload, and passed to [`share`](Self::share) with
    /// a complete one.
    pub(super) fn lend(self: &Arc<Self>, len: usize) -> Option<(Vec<u8>, Loan)> {
        let mut buffers = self.buffers.lock();
        let fits = |buffer: &Vec<u8>| buffer.len() >= len && buffer.capacity() / 2 <= len;
        // The last one is most likely to be in the cache of the processor.
        let at = buffers.idle.iter().rposition(fits)?;
        let buffer = buffers.idle.remove(at)?;
        let loan = Loan {
            pool: Arc::downgrade(self),
            counted: buffer.capacity(),
        };
        Some((buffer, loan))
    }

    /// Returns a complete payload. Its last owner returns the buffer to the pool.
    pub(super) fn share(self: &Arc<Self>, buffer: Vec<u8>, loan: Option<Loan>) -> Bytes {
        let unused = buffer.capacity() - buffer.len();
        let mut loan = loan.filter(|_| unused > 0);
        if let Some(loan) = &mut loan {
            loan.shrink_to(unused);
        }
        Bytes::from_owner(PooledPayload {
            pool: Arc::downgrade(self),
            buffer,
            loan,
        })
    }

    /// Adds a buffer, and frees the oldest ones if the pool is full.
    fn add(&self, buffer: Vec<u8>) {
        if buffer.capacity() > MAX_BUFFER {
            return;
        }
        // Declared before the lock, so that the memory is freed without it.
        let mut freed = Vec::new();
        let mut buffers = self.buffers.lock();
        buffers.total += buffer.capacity();
        buffers.idle.push_back(buffer);
        while buffers.total > MAX_TOTAL
            && let Some(oldest) = buffers.idle.pop_front()
        {
            buffers.total -= oldest.capacity();
            freed.push(oldest);
        }
    }
}

impl fmt::Debug for BufferPool {
    /// Omits the buffers, whose content belongs to other connections.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").finish_non_exhaustive()
    }
}

impl Loan {
    fn shrink_to(&mut self, bytes: usize) {
        if let Some(pool) = self.pool.upgrade() {
            pool.buffers.lock().total -= self.counted - bytes;
        }
        self.counted = bytes;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The buffer of a complete payload.
struct PooledPayload {
    pool: Weak<BufferPool>,
    buffer: Vec<u8>,
    /// Counts the unused part of the buffer.
    loan: Option<Loan>,
}

impl AsRef<[u8]> for PooledPayload {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledPayload {
    fn drop(&mut self) {
        // From now on, the pool counts the whole buffer.
        self.loan = None;
        if let Some(pool) = self.pool.upgrade() {
            pool.add(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn buffer_of_dropped_payload_is_lent_again() {
        let pool = Arc::new(BufferPool::default());
        let payload = pool.share(vec![7; 100 * KIB], None);
        let slice = payload.slice(1..2);
        let address = payload.as_ptr();
        drop(payload);
        assert!(pool.lend(100 * KIB).is_none(), "a slice shares it");
        drop(slice);
        assert!(pool.lend(100 * KIB + 1).is_none(), "it is too short");
        assert!(pool.lend(49 * KIB).is_none(), "it is too long");
        let (buffer, _loan) = pool.lend(50 * KIB).unwrap();
        assert_eq!(buffer.as_ptr(), address);
        assert!(pool.lend(100 * KIB).is_none(), "it is lent");
    }

    #[test]
    fn oldest_buffers_are_freed_above_maximum() {
        let pool = Arc::new(BufferPool::default());
        let add = |len: usize| drop(pool.share(vec![0; len], None));
        add(MAX_BUFFER + 1);
        assert_eq!(pool.buffers.lock().total, 0);
        [MAX_BUFFER, MAX_BUFFER - KIB, 2 * KIB]
            .into_iter()
            .for_each(add);
        assert!(pool.lend(MAX_BUFFER).is_none());
        assert!(pool.lend(MAX_BUFFER - KIB).is_some());
        assert_eq!(pool.buffers.lock().total, 2 * KIB);
    }

    #[test]
    fn lent_buffers_count_until_loan_is_dropped() {
        let pool = Arc::new(BufferPool::default());
        let add = |len: usize| drop(pool.share(vec![0; len], None));
        [MAX_BUFFER; 2].into_iter().for_each(add);
        let loans = [(); 2].map(|()| pool.lend(MAX_BUFFER).unwrap().1);
        add(KIB);
        assert!(
            pool.lend(KIB).is_none(),
            "the pool has lent all it may hold"
        );
        drop(loans);
        add(KIB);
        assert!(pool.lend(KIB).is_some());
    }

    #[test]
    fn pool_without_connections_is_freed() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.share(vec![0; 100 * KIB], None));
        let (buffer, loan) = pool.lend(60 * KIB).unwrap();
        let payload = pool.share(buffer, Some(loan));
        let freed = Arc::downgrade(&pool);
        drop(pool);
        assert!(freed.upgrade().is_none());
        assert_eq!(payload.len(), 100 * KIB);
        drop(payload);
    }

    #[test]
    fn unused_part_counts_until_payload_is_dropped() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.share(vec![0; 100 * KIB], None));
        let (mut buffer, loan) = pool.lend(60 * KIB).unwrap();
        assert_eq!(pool.buffers.lock().total, 100 * KIB);
        buffer.truncate(60 * KIB);
        let payload = pool.share(buffer, Some(loan));
        assert_eq!(pool.buffers.lock().total, 40 * KIB);
        drop(payload);
        assert_eq!(pool.buffers.lock().total, 100 * KIB);
    }
}
