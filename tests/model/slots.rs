//! Places for connections, in every interleaving of the threads that take and give them back.

use bsv_p2p_model::ConnectionSlots;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

/// Who has a place, counted apart from the places themselves.
#[derive(Clone)]
struct Holders(Arc<AtomicUsize>);

impl Holders {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// Holds a place for a moment.
    #[track_caller]
    fn hold(&self, slots: &ConnectionSlots) {
        let before = self.0.fetch_add(1, SeqCst);
        assert!(before < slots.max(), "{} hold a place", before + 1);
        assert!(slots.count() <= slots.max());
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Tries every interleaving in which threads are interrupted in the middle of their work at most twice; without that bound three
/// threads take hours.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

/// Runs `work` in `threads` threads, this one among them, until all have ended.
fn at_once(threads: usize, work: impl Fn() + Clone + Send + 'static) {
    let others: Vec<_> = (1..threads).map(|_| thread::spawn(work.clone())).collect();
    work();
    for other in others {
        other.join().unwrap();
    }
}

#[test]
fn guards_never_hold_more_places_than_there_are_and_give_all_back() {
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
fn places_taken_by_hand_and_by_guards_are_counted_together() {
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
fn of_threads_that_ask_at_once_as_many_are_served_as_there_are_places() {
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
fn releasing_what_was_not_taken_never_makes_more_places() {
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
