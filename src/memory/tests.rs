use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

const MIN: u64 = PayloadMemory::MIN_PER_PEER;
const STEP: u64 = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A peer with one stream, whose wake-ups and closes are counted.
struct Peer {
    memory: PeerMemory,
    stream: StreamMemory,
    wakes: Arc<AtomicUsize>,
    closes: Arc<AtomicUsize>,
}

impl Peer {
    /// Creates a peer without a limit of its own.
    fn new(memory: &PayloadMemory, longest: u64) -> Self {
        Self::with_max(memory, u64::MAX / 4, longest)
    }

    fn with_max(memory: &PayloadMemory, max: u64, longest: u64) -> Self {
        let (wakes, closes) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let count = |counter: &Arc<AtomicUsize>| {
            let counter = counter.clone();
            move || {
                counter.fetch_add(1, SeqCst);
            }
        };
        let memory = PeerMemory::new(memory, max, longest);
        let stream = memory.stream(count(&wakes), count(&closes));
        Self {
            memory,
            stream,
            wakes,
            closes,
        }
    }

    /// Reserves memory for a payload of the minimum and `bytes` more.
    fn try_reserve(&mut self, bytes: u64) -> bool {
        self.stream.try_reserve(MIN + bytes)
    }

    /// Receives a complete payload of the minimum and `bytes` more.
    #[track_caller]
    fn receive(&mut self, bytes: u64) -> MemoryGuard {
        assert!(self.try_reserve(bytes), "the memory should be available");
        self.stream.take(MIN + bytes)
    }

    fn wakes(&self) -> usize {
        self.wakes.load(SeqCst)
    }

    fn is_closed(&self) -> bool {
        self.closes.load(SeqCst) > 0
    }
}

#[test]
fn minimum_of_peer_is_not_shared() {
    let memory = PayloadMemory::new(100);
    let (mut one, mut other) = (Peer::new(&memory, 10), Peer::new(&memory, 10));
    let _held = one.receive(90);
    assert_eq!(memory.used(), MIN + 90);
    assert!(other.stream.try_reserve(MIN));
    assert_eq!(memory.used(), 2 * MIN + 90);
    assert_eq!((one.memory.used(), other.memory.used()), (MIN + 90, MIN));
}

#[test]
fn payload_counts_until_last_slice_is_dropped() {
    let memory = PayloadMemory::new(10);
    let mut peer = Peer::new(&memory, 10);
    assert!(peer.stream.try_reserve(5));
    let guard = peer.stream.take(5);
    let payload = guard.guard(Bytes::copy_from_slice(b"12345"));
    assert!(peer.stream.try_reserve(3));
    assert_eq!(memory.used(), 8);
    peer.stream.reset();
    assert_eq!(memory.used(), 5);
    let slice = payload.slice(4..);
    drop(payload);
    assert_eq!(memory.used(), 5);
    assert_eq!(&slice[..], b"5");
    drop(slice);
    assert_eq!(memory.used(), 0);
}

#[test]
fn waiters_are_served_in_order() {
    let memory = PayloadMemory::new(100);
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::new(&memory, 0)).collect();
    let held = peers[0].receive(90);
    // The second one needs more than the third, which must not overtake it.
    assert!(!peers[1].try_reserve(50));
    assert!(!peers[2].try_reserve(10));
    assert!(!peers[3].try_reserve(60));
    assert_eq!(memory.used(), MIN + 90);
    drop(held);
    assert_eq!(
        peers.iter().map(Peer::wakes).collect::<Vec<_>>(),
        [0, 1, 1, 0]
    );
    assert!(peers[1].try_reserve(50));
    assert!(peers[2].try_reserve(10));
    assert!(!peers[3].try_reserve(60));
    // A later request waits as well, although its memory is available.
    assert!(!peers[0].try_reserve(30));
    drop(peers[1].stream.take(MIN + 50));
    assert!(peers[3].try_reserve(60));
    assert!(peers[0].try_reserve(30));
    drop(peers);
    assert_eq!(memory.used(), 0);
}

#[test]
fn request_within_minimum_overtakes_waiters() {
    let memory = PayloadMemory::new(10);
    let (mut one, mut other) = (Peer::new(&memory, 0), Peer::new(&memory, 0));
    assert!(!one.try_reserve(20));
    assert!(other.try_reserve(0));
}

#[test]
fn peer_at_own_limit_does_not_delay_others() {
    let memory = PayloadMemory::new(100);
    let mut one = Peer::with_max(&memory, MIN + 10, 0);
    let mut other = Peer::new(&memory, 0);
    let held = one.receive(10);
    assert!(!one.stream.try_reserve(1));
    let of_other = other.receive(90);
    drop(held);
    assert!(one.stream.try_reserve(1));
    drop((one, other, of_other));
    assert_eq!(memory.used(), 0);
}

#[test]
fn raised_limit_wakes_waiter() {
    let memory = PayloadMemory::new(10);
    let mut peer = Peer::with_max(&memory, MIN + 10, 0);
    assert!(!peer.try_reserve(50));
    memory.set_max(50);
    assert_eq!(peer.wakes(), 0, "its own limit remains");
    peer.memory.set_limits(MIN + 50, 0);
    assert_eq!(peer.wakes(), 1);
    assert!(peer.try_reserve(50));
}

#[test]
fn dropped_waiter_returns_granted_memory() {
    let memory = PayloadMemory::new(100);
    let (mut one, mut other) = (Peer::new(&memory, 0), Peer::new(&memory, 0));
    let mut last = Peer::new(&memory, 0);
    let held = one.receive(100);
    assert!(!other.try_reserve(100));
    assert!(!last.try_reserve(100));
    drop(held);
    assert_eq!((other.wakes(), last.wakes()), (1, 0));
    drop(other);
    assert_eq!(last.wakes(), 1);
    assert!(last.try_reserve(100));
}

/// Each payload needs the minimum and almost half of the pool. Together, their first parts fill it.
#[test]
fn incomplete_payloads_do_not_block_each_other() {
    const LEN: u64 = MIN + 16 * STEP;
    let memory = PayloadMemory::new(40 * STEP);
    let mut peers: Vec<(Peer, u64)> = (0..8).map(|_| (Peer::new(&memory, LEN), 0)).collect();
    for _ in 0..1000 {
        for (peer, received) in &mut peers {
            let next = (*received + STEP).min(LEN);
            if peer.stream.try_reserve(next) {
                *received = next;
            }
            if *received == LEN {
                drop(peer.stream.take(LEN));
            }
        }
        peers.retain(|(_, received)| *received < LEN);
    }
    assert!(peers.is_empty(), "{} payloads are incomplete", peers.len());
    assert_eq!(memory.used(), 0);
}

#[test]
fn closed_peer_has_no_minimum() {
    let memory = PayloadMemory::new(MIN);
    let (mut one, mut other) = (Peer::new(&memory, 0), Peer::new(&memory, 0));
    let held = one.receive(0);
    drop(one);
    assert!(!other.try_reserve(1), "the held message counts");
    drop(held);
    assert!(other.try_reserve(1));
    drop(other);
    assert_eq!(memory.used(), 0);
}

#[test]
fn peer_with_most_incomplete_bytes_is_closed() {
    let memory = PayloadMemory::new(100);
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::new(&memory, 0)).collect();
    assert!(peers[0].try_reserve(60));
    assert!(peers[1].try_reserve(40));
    assert!(!peers[2].try_reserve(1));
    let now = Instant::now();
    assert!(!peers[2].stream.on_timeout(TIMEOUT, now));
    let is_closed = |peers: &[Peer]| peers.iter().map(Peer::is_closed).collect::<Vec<_>>();
    assert_eq!(is_closed(&peers), [true, false, false]);
    // Before the next timeout, no other peer is closed.
    let first = peers.remove(0);
    assert!(!peers[1].stream.on_timeout(TIMEOUT, now + TIMEOUT / 2));
    assert_eq!(is_closed(&peers), [false, false]);
    drop(first);
    assert!(peers[1].try_reserve(1));
    assert!(!peers[1].try_reserve(70));
    assert!(!peers[1].stream.on_timeout(TIMEOUT, now + TIMEOUT));
    assert_eq!(is_closed(&peers), [true, false]);
}

#[test]
fn waiter_closes_if_others_hold_less() {
    let memory = PayloadMemory::new(100);
    let (mut one, mut other) = (Peer::new(&memory, 0), Peer::new(&memory, 0));
    let mut caller = Peer::new(&memory, 0);
    let _held = caller.receive(80);
    assert!(one.try_reserve(5));
    assert!(other.try_reserve(10));
    assert!(!other.try_reserve(20));
    assert!(other.stream.on_timeout(TIMEOUT, Instant::now()));
    assert!(!one.is_closed() && !caller.is_closed());
}

/// Closing them would free nothing for the pool.
#[test]
fn payloads_within_minimum_are_not_closed() {
    let memory = PayloadMemory::new(100);
    let (mut one, mut other) = (Peer::new(&memory, 0), Peer::new(&memory, 0));
    assert!(one.try_reserve(0));
    let _held = other.receive(100);
    assert!(!other.try_reserve(1));
    assert!(other.stream.on_timeout(TIMEOUT, Instant::now()));
    assert!(!one.is_closed());
}

#[test]
fn waiter_at_own_limit_closes_itself() {
    let memory = PayloadMemory::new(100);
    let mut one = Peer::with_max(&memory, MIN + 10, 0);
    let mut other = Peer::new(&memory, 0);
    assert!(other.try_reserve(50));
    assert!(!one.try_reserve(11));
    assert!(one.stream.on_timeout(TIMEOUT, Instant::now()));
    assert!(!other.is_closed());
}

#[test]
fn random_reservations_release_everything() {
    let mut random = crate::test_random::SeededRandom::new(7);
    for _ in 0..200 {
        let memory = PayloadMemory::new(4 * MIN);
        let mut peers: Vec<Peer> = (0..4)
            .map(|_| Peer::with_max(&memory, 3 * MIN, MIN))
            .collect();
        let mut held = Vec::new();
        for _ in 0..200 {
            let peer = &mut peers[random.below(4)];
            match random.below(6) {
                0..3 => {
                    let bytes = random.below(3 * MIN as usize) as u64;
                    if peer.stream.requested == 0 && peer.stream.try_reserve(bytes) {
                        held.push(peer.stream.take(bytes));
                    } else if peer.stream.try_reserve(0) {
                        let bytes = peer.stream.reserved;
                        held.push(peer.stream.take(bytes));
                    }
                }
                3 => peer.stream.reset(),
                4 if !held.is_empty() => drop(held.swap_remove(random.below(held.len()))),
                _ => memory.set_max(random.below(6 * MIN as usize) as u64),
            }
        }
        drop(held);
        memory.set_max(16 * MIN);
        for peer in &mut peers {
            assert!(peer.stream.try_reserve(0), "a waiter was forgotten");
        }
        drop(peers);
        assert_eq!(memory.used(), 0);
    }
}
