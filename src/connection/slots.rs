//! How many connections there may be.

use std::sync::Arc;

// The model check in tests/model tries every interleaving of these.
#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Places for connections: a count that never exceeds its maximum.
///
/// A place is taken before a connection is dialled or spawned. A clone counts the same places. Safe to use from
/// several threads; nothing blocks.
///
/// ```
/// use bsv_p2p::connection::ConnectionSlots;
///
/// let slots = ConnectionSlots::new(1);
/// let slot = slots.reserve().expect("one place is free");
/// assert!(slots.reserve().is_none());
/// drop(slot);
/// assert_eq!(slots.count(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionSlots {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max: AtomicUsize,
    taken: AtomicUsize,
}

impl ConnectionSlots {
    /// `max` places, all free.
    pub fn new(max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                max: AtomicUsize::new(max),
                taken: AtomicUsize::new(0),
            }),
        }
    }

    /// Takes a place that [`ConnectionSlots::release`] has to give back; returns whether there was one.
    #[must_use = "a place that was taken has to be released"]
    pub fn try_reserve(&self) -> bool {
        // The count alone is shared, no other memory is guarded by it: relaxed order is enough.
        let max = self.max();
        let free = |taken: usize| (taken < max).then_some(taken + 1);
        self.shared
            .taken
            .fetch_update(Relaxed, Relaxed, free)
            .is_ok()
    }

    /// Gives back a place that [`ConnectionSlots::try_reserve`] took. With no place taken it does nothing.
    pub fn release(&self) {
        let less = |taken: usize| taken.checked_sub(1);
        let _ = self.shared.taken.fetch_update(Relaxed, Relaxed, less);
    }

    /// Takes a place for as long as the guard lives, or `None` if there is none.
    pub fn reserve(&self) -> Option<SlotGuard> {
        self.try_reserve().then(|| SlotGuard {
            slots: self.clone(),
        })
    }

    /// How many places are taken.
    pub fn count(&self) -> usize {
        self.shared.taken.load(Relaxed)
    }

    /// How many places there are.
    pub fn max(&self) -> usize {
        self.shared.max.load(Relaxed)
    }

    /// Changes how many places there are. Whoever has one keeps it; while more are taken than there are, nobody gets one.
    pub fn set_max(&self, max: usize) {
        self.shared.max.store(max, Relaxed);
    }
}

/// A place in [`ConnectionSlots`], given back when it is dropped.
#[derive(Debug)]
pub struct SlotGuard {
    slots: ConnectionSlots,
}

impl SlotGuard {
    /// Where the place is.
    pub fn slots(&self) -> &ConnectionSlots {
        &self.slots
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.slots.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn releasing_what_was_not_taken_changes_nothing() {
        let slots = ConnectionSlots::new(1);
        slots.release();
        assert_eq!(slots.count(), 0);
        assert!(slots.try_reserve());
        assert!(!slots.try_reserve());
    }

    #[test]
    fn no_slot_can_be_taken_where_there_is_none() {
        assert!(ConnectionSlots::new(0).reserve().is_none());
    }

    #[test]
    fn many_threads_never_hold_more_than_the_maximum() {
        const MAX: usize = 3;
        let slots = ConnectionSlots::new(MAX);
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..10_000 {
                        let slot = slots.reserve();
                        assert!(slots.count() <= MAX);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!(slots.count(), 0);
    }
}
