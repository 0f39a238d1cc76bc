//! Payload memory, in every interleaving of the threads that reserve and release it.

#[allow(dead_code, reason = "waits without a clock never expire")]
#[path = "../../../../src/memory/pool.rs"]
mod pool;
mod sync;

use std::sync::{Arc, Mutex};

use loom::sync::Notify;
use loom::thread;

use self::pool::{Account, Pool, Waiter};

/// The limit of an account that only the pool limits.
const UNLIMITED: u64 = 1 << 40;

/// Explores every interleaving with at most two preemptions per thread.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

/// A pool, and the order in which its streams received memory.
#[derive(Clone)]
struct Memory {
    pool: Arc<Pool>,
    /// The names of the streams.
    grants: Arc<Mutex<Vec<&'static str>>>,
}

impl Memory {
    fn new(max: u64) -> Self {
        Self {
            pool: Arc::new(Pool::new(max)),
            grants: Arc::default(),
        }
    }

    /// Creates a peer with one stream.
    fn peer(&self, name: &'static str, minimum: u64) -> Peer {
        self.peer_with_limits(name, UNLIMITED, 0, minimum)
    }

    fn peer_with_limits(&self, name: &'static str, max: u64, longest: u64, minimum: u64) -> Peer {
        let woken = Arc::new(Notify::new());
        let (grants, waker) = (self.grants.clone(), woken.clone());
        let wake = move || {
            grants.lock().unwrap().push(name);
            waker.notify();
        };
        Peer {
            memory: self.clone(),
            account: self.pool.open(max, longest, minimum),
            waiter: Waiter::new(Box::new(wake), Box::new(|| {})),
            woken,
        }
    }

    /// Asserts that nothing is reserved, and that all of the memory is available.
    #[track_caller]
    fn assert_free(&self) {
        assert_eq!(self.pool.total(), 0);
        let all = self.pool.max();
        let peer = self.peer("last", 0);
        assert!(peer.request(all), "the memory is not available");
        peer.release(all);
    }
}

/// A peer with one stream.
#[derive(Clone)]
struct Peer {
    memory: Memory,
    account: Arc<Account>,
    waiter: Arc<Waiter>,
    woken: Arc<Notify>,
}

impl Peer {
    /// Returns whether the memory was reserved at once. The stream waits in the queue otherwise.
    fn request(&self, bytes: u64) -> bool {
        let pool = &self.memory.pool;
        pool.reserve(&self.account, &self.waiter, bytes)
    }

    fn wait_for_grant(&self) {
        while !self.waiter.take_grant() {
            self.woken.wait();
        }
    }

    fn reserve(&self, bytes: u64) {
        if !self.request(bytes) {
            self.wait_for_grant();
        }
    }

    fn cancel(&self, bytes: u64) {
        let pool = &self.memory.pool;
        pool.cancel(&self.account, &self.waiter, bytes);
        pool.finish(&self.waiter);
    }

    fn release(&self, bytes: u64) {
        self.memory.pool.release(&self.account, bytes);
    }
}

/// Memory is released in two parts at the time of a request that needs both.
#[test]
fn released_memory_reaches_waiter() {
    model(|| {
        let memory = Memory::new(10);
        let (holder, peer) = (memory.peer("holder", 0), memory.peer("peer", 0));
        assert!(holder.request(10));
        let waiting = thread::spawn(move || {
            peer.reserve(7);
            peer.release(7);
        });
        let other = holder.clone();
        let releasing = thread::spawn(move || other.release(4));
        holder.release(6);
        releasing.join().unwrap();
        waiting.join().unwrap();
        memory.assert_free();
    });
}

/// Two streams wait, and another one requests memory at the time of the release.
#[test]
fn memory_is_granted_in_order() {
    model(|| {
        let memory = Memory::new(10);
        let holder = memory.peer("holder", 0);
        assert!(holder.request(10));
        let [first, second] = ["first", "second"].map(|name| memory.peer(name, 0));
        assert!(!first.request(6) && !second.request(6));
        let late = memory.peer("late", 0);
        let requesting = thread::spawn(move || {
            late.reserve(3);
            late.memory.grants.lock().unwrap().push("late");
            late.release(3);
        });
        holder.release(10);
        first.wait_for_grant();
        first.release(6);
        second.wait_for_grant();
        requesting.join().unwrap();
        second.release(6);
        let mut grants = memory.grants.lock().unwrap().clone();
        // Memory that is available at once is not granted.
        grants.dedup();
        assert_eq!(grants, ["first", "second", "late"]);
        memory.assert_free();
    });
}

/// A stream withdraws its request while it is granted. The next one must receive the memory.
#[test]
fn cancelled_request_passes_memory_on() {
    model(|| {
        let memory = Memory::new(10);
        let [holder, cancelled, next] =
            ["holder", "cancelled", "next"].map(|name| memory.peer(name, 0));
        assert!(holder.request(10));
        assert!(!cancelled.request(8) && !next.request(4));
        let cancelling = thread::spawn(move || cancelled.cancel(8));
        holder.release(10);
        next.wait_for_grant();
        cancelling.join().unwrap();
        next.release(4);
        memory.assert_free();
    });
}

/// A stream withdraws a request that is too large for the available memory. The next one receives
/// this memory.
#[test]
fn cancelled_request_delays_nobody() {
    model(|| {
        let memory = Memory::new(10);
        let peers = ["holder", "favored", "cancelled", "next"];
        let [holder, favored, cancelled, next] =
            peers.map(|name| memory.peer_with_limits(name, UNLIMITED, 2, 0));
        assert!(holder.request(6) && favored.request(4));
        assert!(!cancelled.request(8) && !next.request(2));
        let cancelling = thread::spawn(move || cancelled.cancel(8));
        holder.release(4);
        next.wait_for_grant();
        cancelling.join().unwrap();
        memory.pool.finish(&favored.waiter);
        for (peer, bytes) in [(holder, 2), (favored, 4), (next, 2)] {
            peer.release(bytes);
        }
        assert_eq!(memory.pool.total(), 0);
    });
}

/// The pool is full, and others wait for it. Each peer must receive its minimum at once.
#[test]
fn minimum_needs_no_memory_of_pool() {
    model(|| {
        let memory = Memory::new(4);
        let (holder, waiting) = (memory.peer("holder", 0), memory.peer("waiting", 0));
        assert!(holder.request(4) && !waiting.request(2));
        let peers = ["one", "other"].map(|name| {
            let peer = memory.peer(name, 3);
            thread::spawn(move || {
                assert!(peer.request(3), "the minimum is not available");
                peer.release(3);
            })
        });
        holder.release(4);
        peers.into_iter().for_each(|peer| peer.join().unwrap());
        waiting.wait_for_grant();
        waiting.release(2);
        memory.assert_free();
    });
}

/// The connection of a peer ends while its messages are dropped, and while another stream of it
/// receives memory.
#[test]
fn end_of_minimum_leaks_nothing() {
    model(|| {
        let memory = Memory::new(10);
        let peer = memory.peer("peer", 3);
        assert!(peer.request(5));
        let changing = {
            let peer = peer.clone();
            thread::spawn(move || {
                peer.reserve(2);
                peer.release(2);
                peer.release(5);
            })
        };
        memory.pool.close(&peer.account);
        assert!(memory.pool.total() <= 7);
        changing.join().unwrap();
        memory.assert_free();
    });
}

/// Two incomplete payloads hold all memory that every stream may use, and both need more.
#[test]
fn incomplete_payloads_complete_one_by_one() {
    model(|| {
        let memory = Memory::new(6);
        let peers = ["one", "other"].map(|name| {
            let peer = memory.peer_with_limits(name, UNLIMITED, 4, 0);
            assert!(peer.request(1));
            peer
        });
        let receiving = peers.map(|peer| {
            thread::spawn(move || {
                peer.reserve(3);
                let pool = &peer.memory.pool;
                pool.finish(&peer.waiter);
                peer.release(4);
            })
        });
        receiving.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(memory.pool.total(), 0);
    });
}

/// The limit of the pool is raised at the time of a request that needs more.
#[test]
fn raised_limit_of_pool_ends_wait() {
    model(|| {
        let memory = Memory::new(4);
        let peer = memory.peer("peer", 0);
        let waiting = thread::spawn(move || {
            peer.reserve(6);
            peer.release(6);
        });
        memory.pool.set_max(6);
        waiting.join().unwrap();
        memory.assert_free();
    });
}

/// The limit of a peer is raised at the time of a request that needs more. Other peers do not wait
/// for that.
#[test]
fn raised_limit_of_peer_ends_wait() {
    model(|| {
        let memory = Memory::new(10);
        let limited = memory.peer_with_limits("limited", 2, 0, 0);
        let (pool, account) = (memory.pool.clone(), limited.account.clone());
        let waiting = thread::spawn(move || {
            limited.reserve(3);
            limited.release(3);
        });
        let other = memory.peer("other", 0);
        assert!(other.request(5), "the memory is not available");
        other.release(5);
        pool.set_limits(&account, 3, 0);
        waiting.join().unwrap();
        memory.assert_free();
    });
}
