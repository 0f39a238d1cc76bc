//! Connection slots, in every interleaving of the threads that reserve and release them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use model_slots::ConnectionSlots;

/// The number of holders of slots, counted independently of the slots.
#[derive(Clone)]
struct Holders(Arc<AtomicUsize>);

impl Holders {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// Holds a slot for a moment.
    #[track_caller]
    fn hold(&self, slots: &ConnectionSlots) {
        let before = self.0.fetch_add(1, SeqCst);
        assert!(before < slots.max(), "{} hold a place", before + 1);
        assert!(slots.count() <= slots.max());
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Explores every interleaving with at most two preemptions per thread. Without this bound, three
/// threads take hours.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

/// Runs `work` in `threads` threads, including this one, until all have ended.
fn at_once(threads: usize, work: impl Fn() + Clone + Send + 'static) {
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(work.clone())).collect();
    work();
    for other in others {
        other.join().unwrap();
    }
}

#[test]
fn guards_never_exceed_maximum_and_free_all_slots() {
    for (threads, max) in [(2, 1), (3, 1), (3, 2)] {
        model(move || {
            let (slots, holders) = (ConnectionSlots::new(max), Holders::new());
            let shared = slots.clone();
            at_once(threads, move || {
                if let Some(guard) = shared.reserve() {
                    holders.hold(&shared);
                    drop(guard);
                }
            });
            assert_eq!(slots.count(), 0);
            assert!(slots.try_reserve(), "what was given back is free");
        });
    }
}

#[test]
fn manual_and_guarded_slots_are_counted_together() {
    model(|| {
        let (slots, holders) = (ConnectionSlots::new(1), Holders::new());
        let (shared, by_guard) = (slots.clone(), holders.clone());
        let guards = thread::spawn(move || {
            for _ in 0..2 {
                if let Some(_guard) = shared.reserve() {
                    by_guard.hold(&shared);
                }
            }
        });
        for _ in 0..2 {
            if slots.try_reserve() {
                holders.hold(&slots);
                slots.release();
            }
        }
        guards.join().unwrap();
        assert_eq!(slots.count(), 0);
    });
}

#[test]
fn concurrent_reservations_fill_all_slots() {
    model(|| {
        let slots = ConnectionSlots::new(2);
        let served = Arc::new(AtomicUsize::new(0));
        let (shared, counted) = (slots.clone(), served.clone());
        at_once(3, move || {
            if shared.try_reserve() {
                counted.fetch_add(1, SeqCst);
            }
        });
        assert_eq!((served.load(SeqCst), slots.count()), (2, 2));
    });
}

#[test]
fn excess_release_creates_no_slots() {
    model(|| {
        let slots = ConnectionSlots::new(1);
        let shared = slots.clone();
        at_once(3, move || {
            shared.release();
            assert!(shared.count() <= 1);
        });
        assert_eq!(slots.count(), 0);
        assert!(slots.try_reserve() && !slots.try_reserve());
    });
}
