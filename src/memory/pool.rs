//! Shares payload memory among peers, in the order of their requests.
//!
//! The pool has no clock and no thread of its own. Its parent module provides the locks and
//! atomics, so that a model check can replace them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering::SeqCst};

/// The bit of [`Account::bytes`] that marks an account without a minimum.
const CLOSED: u64 = 1 << 63;

/// A memory limit that several peers share.
///
/// A reservation takes a few atomic operations while enough memory is available. Otherwise the
/// stream enters a queue. A release of memory grants it to the queue, in order, and wakes the
/// streams that received it.
///
/// # No deadlock
///
/// A payload reserves its memory in steps while it arrives. If all memory were held by incomplete
/// payloads, none of them could complete. Therefore only one stream at a time may use the last part
/// of the pool, which is as large as the longest payload: the [favored](Queue::favored) one. It was
/// the first in the queue that found no memory, and stays favored until its payload is complete.
pub(crate) struct Pool {
    max: AtomicU64,
    /// The maximum length of a payload: the size of the part that only the favored stream may use.
    longest: AtomicU64,
    /// The number of reserved bytes, without the minimums of the peers.
    used: AtomicU64,
    /// The number of reserved bytes, with the minimums of the peers.
    total: AtomicU64,
    /// The length of the queue, readable without the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The stream that may use the whole pool.
    favored: Option<Arc<Waiter>>,
    /// All open streams, each with the account of its peer.
    streams: Vec<(Arc<Account>, Arc<Waiter>)>,
    /// The last time at which a peer was closed to free memory.
    evicted_at: Option<Instant>,
}

struct Entry {
    account: Arc<Account>,
    waiter: Arc<Waiter>,
    bytes: u64,
}

/// The memory of one peer.
pub(crate) struct Account {
    max: AtomicU64,
    /// The number of bytes that do not count in the pool.
    minimum: u64,
    /// The number of reserved bytes, and [`CLOSED`].
    bytes: AtomicU64,
    /// The number of reserved bytes of payloads that are incomplete.
    arriving: AtomicU64,
}

/// One stream of a peer, which reserves memory for one payload at a time.
pub(crate) struct Waiter {
    is_granted: AtomicBool,
    is_favored: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
    close: Box<dyn Fn() + Send + Sync>,
}

/// The result of one attempt to reserve memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Reserved,
    /// The peer has reached its own limit.
    PeerLimit,
    PoolLimit,
    /// The account changed at the same time.
    Raced,
}

impl Pool {
    pub(crate) fn new(max: u64) -> Self {
        Self {
            max: AtomicU64::new(max),
            longest: AtomicU64::new(0),
            used: AtomicU64::new(0),
            total: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(Queue::default()),
        }
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(SeqCst)
    }

    pub(crate) fn set_max(&self, max: u64) {
        self.max.store(max, SeqCst);
        self.grant_waiting();
    }

    /// Returns the number of reserved bytes, with the minimums of the peers.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(SeqCst)
    }

    /// Creates the account of a peer whose payloads have at most `longest` bytes each.
    pub(crate) fn open(&self, max: u64, longest: u64, minimum: u64) -> Arc<Account> {
        let account = Arc::new(Account {
            max: AtomicU64::new(max),
            minimum,
            bytes: AtomicU64::new(0),
            arriving: AtomicU64::new(0),
        });
        self.longest.fetch_max(longest, SeqCst);
        account
    }

    /// Ends the minimum of a peer: all of its bytes count in the pool from now on.
    ///
    /// Otherwise the messages of many short connections could hold a minimum each.
    pub(crate) fn close(&self, account: &Account) {
        let mut bytes = account.bytes.load(SeqCst);
        loop {
            let more = account.pool_part(bytes | CLOSED) - account.pool_part(bytes);
            self.used.fetch_add(more, SeqCst);
            match account
                .bytes
                .compare_exchange(bytes, bytes | CLOSED, SeqCst, SeqCst)
            {
                Ok(_) => break,
                Err(now) => {
                    self.used.fetch_sub(more, SeqCst);
                    bytes = now;
                }
            }
        }
        self.grant_waiting();
    }

    /// Adds a stream of a peer. [`Pool::remove`] must follow.
    pub(crate) fn add(&self, account: &Arc<Account>, waiter: &Arc<Waiter>) {
        let stream = (account.clone(), waiter.clone());
        self.queue.lock().streams.push(stream);
    }

    pub(crate) fn remove(&self, waiter: &Arc<Waiter>) {
        let streams = &mut self.queue.lock().streams;
        if let Some(at) = streams
            .iter()
            .position(|(_, open)| Arc::ptr_eq(open, waiter))
        {
            streams.swap_remove(at);
        }
    }

    pub(crate) fn set_limits(&self, account: &Account, max: u64, longest: u64) {
        account.max.store(max, SeqCst);
        self.longest.fetch_max(longest, SeqCst);
        self.grant_waiting();
    }

    /// Reserves memory, or enters the queue. Returns whether it was reserved.
    ///
    /// Otherwise [`Waiter::take_grant`] returns `true` after it is reserved. Until then the waiter
    /// must not request more.
    pub(crate) fn reserve(&self, account: &Arc<Account>, waiter: &Arc<Waiter>, bytes: u64) -> bool {
        if self.waiting.load(SeqCst) == 0
            && self.attempt(account, bytes, self.general_max()) == Attempt::Reserved
        {
            return true;
        }
        let mut queue = self.queue.lock();
        queue.entries.push_back(Entry {
            account: account.clone(),
            waiter: waiter.clone(),
            bytes,
        });
        // Before the attempt, so that a later release finds the entry.
        self.waiting.store(queue.entries.len(), SeqCst);
        self.grant(&mut queue);
        drop(queue);
        waiter.take_grant()
    }

    /// Withdraws the request of a waiter, granted or not.
    pub(crate) fn cancel(&self, account: &Account, waiter: &Arc<Waiter>, bytes: u64) {
        let mut queue = self.queue.lock();
        let entries = &mut queue.entries;
        if let Some(at) = entries.iter().position(|entry| entry.is_of(waiter)) {
            entries.remove(at);
            self.grant(&mut queue);
        } else if waiter.take_grant() {
            drop(queue);
            self.release(account, bytes);
        }
    }

    /// Ends the right of a favored waiter. Must be called when its payload is complete or dropped.
    pub(crate) fn finish(&self, waiter: &Arc<Waiter>) {
        if waiter.is_favored.load(SeqCst) {
            let mut queue = self.queue.lock();
            waiter.is_favored.store(false, SeqCst);
            queue.favored = None;
            self.grant(&mut queue);
        }
    }

    pub(crate) fn release(&self, account: &Account, bytes: u64) {
        let before = account.bytes.fetch_sub(bytes, SeqCst);
        let of_pool = account.pool_part(before) - account.pool_part(before - bytes);
        self.used.fetch_sub(of_pool, SeqCst);
        self.total.fetch_sub(bytes, SeqCst);
        self.grant_waiting();
    }

    /// Closes the peer whose incomplete payloads hold the most memory of the pool. Called by a
    /// waiter that has waited for `timeout`. Returns whether the waiter itself must close.
    ///
    /// The waiter must close if its peer has reached its own limit, or if no other peer holds as
    /// much. Otherwise at most one peer is closed per `timeout`, since all waiters may proceed with
    /// its memory.
    pub(crate) fn evict(
        &self,
        account: &Arc<Account>,
        waiter: &Arc<Waiter>,
        timeout: Duration,
        now: Instant,
    ) -> bool {
        let victim = {
            let mut queue = self.queue.lock();
            let Some(entry) = queue.entries.iter().find(|entry| entry.is_of(waiter)) else {
                return false;
            };
            if account.is_at_limit(entry.bytes) {
                return true;
            }
            let since = |at| now.saturating_duration_since(at);
            if queue.evicted_at.is_some_and(|at| since(at) < timeout) {
                return false;
            }
            queue.evicted_at = Some(now);
            let others = queue.streams.iter();
            let others = others.filter(|(other, _)| !Arc::ptr_eq(other, account));
            let most = others.max_by_key(|(other, _)| other.reclaimable());
            let least = account.reclaimable().max(1);
            let victim = most.filter(|(most, _)| most.reclaimable() >= least);
            victim.map(|(_, stream)| stream.clone())
        };
        let Some(stream) = victim else {
            return true;
        };
        // Without the lock, which the callback may need.
        (stream.close)();
        false
    }

    /// Returns the part of the pool that every stream may use.
    fn general_max(&self) -> u64 {
        self.max().saturating_sub(self.longest.load(SeqCst))
    }

    fn grant_waiting(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.grant(&mut self.queue.lock());
        }
    }

    /// Grants available memory in the order of the queue.
    fn grant(&self, queue: &mut Queue) {
        // Whether an earlier waiter needs memory of the pool. Later ones must not take it.
        let mut is_short = false;
        let mut at = 0;
        while let Some(entry) = queue.entries.get(at) {
            let max = match &queue.favored {
                Some(favored) if entry.is_of(favored) => self.max(),
                _ if is_short => 0,
                _ => self.general_max(),
            };
            let mut result = self.attempt_until_decided(entry, max);
            if result == Attempt::PoolLimit && queue.favored.is_none() {
                queue.favored = Some(entry.waiter.clone());
                entry.waiter.is_favored.store(true, SeqCst);
                result = self.attempt_until_decided(entry, self.max());
            }
            match result {
                Attempt::Reserved => {
                    entry.waiter.is_granted.store(true, SeqCst);
                    (entry.waiter.wake)();
                    queue.entries.remove(at);
                    continue;
                }
                Attempt::PoolLimit => is_short = true,
                // It waits for its own memory and does not delay others.
                Attempt::PeerLimit | Attempt::Raced => {}
            }
            at += 1;
        }
        self.waiting.store(queue.entries.len(), SeqCst);
    }

    fn attempt_until_decided(&self, entry: &Entry, max: u64) -> Attempt {
        loop {
            let result = self.attempt(&entry.account, entry.bytes, max);
            if result != Attempt::Raced {
                return result;
            }
        }
    }

    /// Reserves memory if the peer has less than its limit and the pool less than `max`.
    fn attempt(&self, account: &Account, bytes: u64, max: u64) -> Attempt {
        let before = account.bytes.load(SeqCst);
        if account.exceeds_limit(before, bytes) {
            return Attempt::PeerLimit;
        }
        // The pool is increased before the account and decreased after it, so that it never has
        // fewer bytes than the accounts.
        let of_pool = account.pool_part(before + bytes) - account.pool_part(before);
        let more = |used: u64| used.checked_add(of_pool).filter(|used| *used <= max);
        if of_pool > 0 && self.used.fetch_update(SeqCst, SeqCst, more).is_err() {
            return Attempt::PoolLimit;
        }
        let reserved = account
            .bytes
            .compare_exchange(before, before + bytes, SeqCst, SeqCst);
        if reserved.is_err() {
            // The caller tries again or enters the queue, which grants this memory if it must.
            self.used.fetch_sub(of_pool, SeqCst);
            return Attempt::Raced;
        }
        self.total.fetch_add(bytes, SeqCst);
        Attempt::Reserved
    }
}

impl Entry {
    fn is_of(&self, waiter: &Arc<Waiter>) -> bool {
        Arc::ptr_eq(&self.waiter, waiter)
    }
}

impl Account {
    /// Returns the number of reserved bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(SeqCst) & !CLOSED
    }

    /// Records that an incomplete payload has reserved `bytes` more.
    pub(crate) fn add_arriving(&self, bytes: u64) {
        self.arriving.fetch_add(bytes, SeqCst);
    }

    /// Records that a payload with `bytes` is complete or dropped.
    pub(crate) fn remove_arriving(&self, bytes: u64) {
        self.arriving.fetch_sub(bytes, SeqCst);
    }

    /// Returns how many bytes the pool would receive if the incomplete payloads were dropped.
    fn reclaimable(&self) -> u64 {
        let of_pool = self.pool_part(self.bytes.load(SeqCst));
        self.arriving.load(SeqCst).min(of_pool)
    }

    fn is_at_limit(&self, more: u64) -> bool {
        self.exceeds_limit(self.bytes.load(SeqCst), more)
    }

    fn exceeds_limit(&self, bytes: u64, more: u64) -> bool {
        (bytes & !CLOSED).saturating_add(more) > self.max.load(SeqCst)
    }

    /// Returns how many of `bytes` count in the pool.
    fn pool_part(&self, bytes: u64) -> u64 {
        if bytes & CLOSED == 0 {
            bytes.saturating_sub(self.minimum)
        } else {
            bytes & !CLOSED
        }
    }
}

impl Waiter {
    /// Creates a waiter. `wake` is called after its request is granted. `close` is called to close
    /// its connection. Both must not block.
    pub(crate) fn new(
        wake: Box<dyn Fn() + Send + Sync>,
        close: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            is_granted: AtomicBool::new(false),
            is_favored: AtomicBool::new(false),
            wake,
            close,
        })
    }

    /// Returns whether the request was granted, once for each grant.
    pub(crate) fn take_grant(&self) -> bool {
        self.is_granted.swap(false, SeqCst)
    }
}
