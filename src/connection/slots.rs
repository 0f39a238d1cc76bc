//! Counter of connections with a maximum.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A counter of connections with a maximum.
///
/// A slot is reserved before a connection is dialed or spawned. A clone shares the counter. The
/// counter can be used from several threads, and its methods do not block.
///
/// ```
/// use bsv_p2p::connection::ConnectionSlots;
///
/// let slots = ConnectionSlots::new(1);
/// let slot = slots.reserve().expect("a free slot");
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
    /// Creates a counter with `max` free slots.
    pub fn new(max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                max: AtomicUsize::new(max),
                taken: AtomicUsize::new(0),
            }),
        }
    }

    /// Reserves a slot and returns whether one was free.
    ///
    /// The slot must be released with [`ConnectionSlots::release`]. [`ConnectionSlots::reserve`]
    /// returns a guard instead.
    #[must_use = "a reserved slot must be released"]
    pub fn try_reserve(&self) -> bool {
        // Relaxed ordering is sufficient, because the counter guards no other memory.
        let max = self.max();
        let free = |taken: usize| (taken < max).then_some(taken + 1);
        self.shared
            .taken
            .fetch_update(Relaxed, Relaxed, free)
            .is_ok()
    }

    /// Releases a slot that [`ConnectionSlots::try_reserve`] reserved. Does nothing if no slot is
    /// reserved.
    pub fn release(&self) {
        let less = |taken: usize| taken.checked_sub(1);
        let _ = self.shared.taken.fetch_update(Relaxed, Relaxed, less);
    }

    /// Reserves a slot until the returned guard is dropped. Returns `None` if no slot is free.
    pub fn reserve(&self) -> Option<SlotGuard> {
        self.try_reserve().then(|| SlotGuard {
            slots: self.clone(),
        })
    }

    /// Returns the number of reserved slots.
    pub fn count(&self) -> usize {
        self.shared.taken.load(Relaxed)
    }

    /// Returns the maximum number of slots.
    pub fn max(&self) -> usize {
        self.shared.max.load(Relaxed)
    }

    /// Sets the maximum number of slots.
    ///
    /// Reserved slots stay reserved. No slot can be reserved while the count is at or above the
    /// maximum.
    pub fn set_max(&self, max: usize) {
        self.shared.max.store(max, Relaxed);
    }
}

/// A reserved slot of a [`ConnectionSlots`]. Dropping it releases the slot.
#[derive(Debug)]
#[must_use = "a reserved slot must be released"]
pub struct SlotGuard {
    slots: ConnectionSlots,
}

impl SlotGuard {
    /// Returns the counter to which the slot belongs.
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
    fn zero_slots_reject_all() {
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
