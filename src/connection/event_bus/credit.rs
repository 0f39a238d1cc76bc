//! Accounting of the events that are pending in queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

use crate::connection::waker::Waker;

/// Marks the credit of a closed stream in [`Credit::used`].
const CLOSED: u64 = 1 << 63;

/// The sum of the charges of one account that are pending in queues.
///
/// A stream has an account in bytes. A subscription has one in life-cycle events.
#[derive(Debug, Default)]
pub(super) struct Credit {
    /// The sum of the charges, with [`CLOSED`] once the stream was closed.
    used: AtomicU64,
    stream: Option<StreamAccount>,
}

#[derive(Debug)]
struct StreamAccount {
    /// A release to less than this number wakes the thread of the stream. 0 while it does not wait.
    wake_below: AtomicU64,
    waker: Arc<Waker>,
    closed_streams: Arc<ClosedStreams>,
}

/// The sum of the charges of all closed streams of a bus.
///
/// A peer could otherwise use the credit of a new stream again and again by reconnecting.
#[derive(Debug, Default)]
pub(super) struct ClosedStreams {
    /// Below zero only during a close, if a charge is released at the same time.
    used: AtomicI64,
}

impl ClosedStreams {
    pub(super) fn used(&self) -> u64 {
        u64::try_from(self.used.load(SeqCst)).unwrap_or(0)
    }

    fn add(&self, amount: i64) {
        self.used.fetch_add(amount, SeqCst);
    }
}

impl Credit {
    /// Creates the account of a stream whose thread waits for `waker`.
    pub(super) fn of_stream(waker: Arc<Waker>, closed_streams: Arc<ClosedStreams>) -> Self {
        Self {
            used: AtomicU64::new(0),
            stream: Some(StreamAccount {
                wake_below: AtomicU64::new(0),
                waker,
                closed_streams,
            }),
        }
    }

    /// Returns the sum of the charges. Does not block.
    pub(super) fn used(&self) -> u64 {
        self.used.load(SeqCst) & !CLOSED
    }

    /// Adds a charge, which lasts until it is dropped.
    pub(super) fn charge(self: &Arc<Self>, amount: u64) -> Charge {
        self.used.fetch_add(amount, SeqCst);
        Charge {
            credit: self.clone(),
            amount,
        }
    }

    /// Requests a wake-up once the sum is below `amount`. 0 cancels the request.
    ///
    /// The sum must be read again after the request, since it may be below `amount` already.
    pub(super) fn wake_below(&self, amount: u64) {
        if let Some(stream) = &self.stream {
            stream.wake_below.store(amount, SeqCst);
        }
    }

    /// Moves the charges to the account of the closed streams. No charge may follow.
    pub(super) fn close(&self) {
        if let Some(stream) = &self.stream {
            let used = self.used.fetch_or(CLOSED, SeqCst) & !CLOSED;
            stream.closed_streams.add(used as i64);
        }
    }

    fn release(&self, amount: u64) {
        let before = self.used.fetch_sub(amount, SeqCst);
        let Some(stream) = &self.stream else { return };
        if before & CLOSED != 0 {
            stream.closed_streams.add(-(amount as i64));
        } else if before - amount < stream.wake_below.load(SeqCst) {
            stream.wake_below.store(0, SeqCst);
            stream.waker.wake();
        }
    }
}

/// An amount that counts in a [`Credit`] until it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    credit: Arc<Credit>,
    amount: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.credit.release(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> (Arc<Credit>, Arc<Waker>, Arc<ClosedStreams>) {
        let (waker, closed) = (Arc::new(Waker::new()), Arc::<ClosedStreams>::default());
        let credit = Credit::of_stream(waker.clone(), closed.clone());
        (Arc::new(credit), waker, closed)
    }

    fn is_woken(waker: &Waker) -> bool {
        waker.signal().try_recv().is_ok()
    }

    #[test]
    fn charge_counts_until_dropped() {
        let (credit, _, closed) = stream();
        let (one, other) = (credit.charge(600), credit.charge(400));
        assert_eq!(credit.used(), 1000);
        drop(one);
        assert_eq!(credit.used(), 400);
        drop(other);
        assert_eq!((credit.used(), closed.used()), (0, 0));
    }

    #[test]
    fn release_wakes_waiting_stream_once() {
        let (credit, waker, _) = stream();
        let mut charges: Vec<_> = (0..10).map(|_| credit.charge(100)).collect();
        charges.truncate(9);
        assert!(!is_woken(&waker), "the stream does not wait");
        credit.wake_below(501);
        charges.truncate(6);
        assert!(!is_woken(&waker));
        charges.truncate(5);
        assert!(is_woken(&waker));
        charges.clear();
        assert!(!is_woken(&waker), "one wake-up for each request");
        credit.wake_below(1);
        credit.wake_below(0);
        drop(credit.charge(1));
        assert!(!is_woken(&waker), "the request was canceled");
    }

    #[test]
    fn charges_of_closed_stream_count_until_dropped() {
        let (credit, waker, closed) = stream();
        let charges = [credit.charge(600), credit.charge(400)];
        credit.wake_below(u64::MAX);
        credit.close();
        drop(credit);
        assert_eq!(closed.used(), 1000);
        let [one, other] = charges;
        drop(one);
        assert_eq!(closed.used(), 400);
        drop(other);
        assert_eq!(closed.used(), 0);
        assert!(!is_woken(&waker));
    }
}
