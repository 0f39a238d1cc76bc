//! The queue of a subscription.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::RwLock;

use super::credit::Charge;
use super::event_receiver::EventReceiver;
use crate::event::SubscriptionEndReason;

/// An event in the queue of a subscription.
///
/// [`EventReceiver::with_end_reason`] returns the event itself. Needed only with
/// [`EventReceiver::as_receiver`].
#[derive(Debug)]
pub struct QueuedEvent<T> {
    event: T,
    /// The part of the backlog that the event uses until it leaves the queue.
    _charge: Option<Charge>,
}

impl<T> QueuedEvent<T> {
    /// Takes the event out of the queue's accounting.
    pub(super) fn into_event(self) -> T {
        self.event
    }
}

/// The state that both sides of a queue share.
#[derive(Debug)]
struct Shared<T> {
    /// `None` once the subscription has ended.
    sender: RwLock<Option<Sender<QueuedEvent<T>>>>,
    /// The number of queued events. Incremented after an event is in the channel.
    queued: AtomicU64,
    /// The value of `queued` up to which the queue is known to be below its capacity.
    room_until: AtomicU64,
    receiver: Receiver<QueuedEvent<T>>,
    /// Set once, before the sender is dropped.
    end: OnceLock<SubscriptionEndReason>,
}

impl<T> Shared<T> {
    /// Ends the queue. Returns whether it was open.
    fn close(&self, reason: Option<SubscriptionEndReason>) -> bool {
        let mut sender = self.sender.write();
        if let Some(reason) = reason {
            // The first reason is the cause, later ones are its effects.
            let _ = self.end.set(reason);
        }
        sender.take().is_some()
    }

    /// Ends the queue and discards all events. Returns their number, or `None` if it was not open.
    ///
    /// The reason is set last, so that nothing is received once it is visible.
    fn close_and_clear(&self, reason: SubscriptionEndReason) -> Option<u64> {
        let mut sender = self.sender.write();
        let open = sender.take()?;
        let lost = self.clear();
        let _ = self.end.set(reason);
        drop(open);
        Some(lost)
    }

    /// Discards all events. Returns their number.
    fn clear(&self) -> u64 {
        self.receiver.try_iter().fold(0, |events, _| events + 1)
    }
}

/// The sending side of a queue. Dropping it ends the subscription.
#[derive(Debug)]
pub(crate) struct EventSender<T>(Arc<Shared<T>>);

/// Creates the queue of a subscription.
pub(crate) fn event_queue<T>() -> (EventSender<T>, EventReceiver<T>) {
    let (sender, receiver) = unbounded();
    let shared = Arc::new(Shared {
        sender: RwLock::new(Some(sender)),
        queued: AtomicU64::new(0),
        room_until: AtomicU64::new(0),
        receiver: receiver.clone(),
        end: OnceLock::new(),
    });
    let guard = ReceiverGuard(shared.clone());
    (EventSender(shared), EventReceiver::new(receiver, guard))
}

impl<T> EventSender<T> {
    /// Queues an event. Returns it if the subscription has ended. Does not block.
    pub(crate) fn push(&self, event: T) -> Result<(), T> {
        self.push_charged(event, None)
    }

    /// Queues an event with the charge that it carries. Returns the event if the subscription has
    /// ended. Does not block.
    pub(super) fn push_charged(&self, event: T, charge: Option<Charge>) -> Result<(), T> {
        let sender = self.0.sender.read();
        let Some(sender) = &*sender else {
            return Err(event);
        };
        let queued = sender.send(QueuedEvent {
            event,
            _charge: charge,
        });
        queued.map_err(|error| error.0.event)?;
        self.0.queued.fetch_add(1, Release);
        Ok(())
    }

    /// Returns the number of events in the queue.
    pub(crate) fn len(&self) -> usize {
        self.0.receiver.len()
    }

    /// Returns whether the queue has fewer than `capacity` events, which must be the same in each
    /// call. Reads only counters of the sending side while the receiver is fast.
    pub(super) fn has_room(&self, capacity: usize) -> bool {
        let queued = self.0.queued.load(Relaxed);
        if queued < self.0.room_until.load(Relaxed) {
            return true;
        }
        let until = self.taken().saturating_add(capacity as u64);
        self.0.room_until.store(until, Relaxed);
        queued < until
    }

    /// Returns the number of events that left the queue.
    ///
    /// Events that are queued during the call may reduce the result, but never increase it.
    pub(super) fn taken(&self) -> u64 {
        let queued = self.0.queued.load(Acquire);
        queued.saturating_sub(self.len() as u64)
    }

    /// Returns whether the subscription has ended or its receiver was dropped.
    pub(super) fn has_ended(&self) -> bool {
        self.0.sender.read().is_none()
    }

    /// Ends the subscription. Receivers return pending events first, and then the reason. Returns
    /// whether the subscription was active.
    pub(crate) fn end(&self, reason: SubscriptionEndReason) -> bool {
        self.0.close(Some(reason))
    }

    /// Ends the subscription and discards all pending events. Returns their number, or `None` if
    /// the subscription was not active.
    pub(super) fn end_and_clear(&self, reason: SubscriptionEndReason) -> Option<u64> {
        self.0.close_and_clear(reason)
    }
}

impl<T> Drop for EventSender<T> {
    fn drop(&mut self) {
        self.end(SubscriptionEndReason::PublishersDropped);
    }
}

/// The receiving side of a queue. Dropping it cancels the subscription and frees pending events.
#[derive(Debug)]
pub(super) struct ReceiverGuard<T>(Arc<Shared<T>>);

impl<T> ReceiverGuard<T> {
    /// Returns why the subscription ended, or `None` if it is active.
    pub(super) fn end_reason(&self) -> Option<SubscriptionEndReason> {
        self.0.end.get().copied()
    }
}

impl<T> Drop for ReceiverGuard<T> {
    fn drop(&mut self) {
        self.0.close(None);
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::connection::event_bus::credit::Credit;
    use crate::connection::event_bus::{RecvError, TryRecvError};
    use SubscriptionEndReason::{PublishersDropped, Shutdown, TooSlow};

    #[test]
    fn charge_is_released_when_event_is_taken() {
        let (sender, receiver) = event_queue();
        let credit = Arc::new(Credit::default());
        for number in 0..3 {
            let charge = credit.charge(10);
            sender.push_charged(number, Some(charge)).unwrap();
        }
        assert_eq!(credit.used(), 30);
        assert_eq!(receiver.recv(), Ok(0));
        assert_eq!(credit.used(), 20);
        let raw = receiver.as_receiver().recv();
        assert_eq!(credit.used(), 20);
        assert_eq!(receiver.with_end_reason(raw), Ok(1));
        assert_eq!(credit.used(), 10);
        drop(receiver.as_receiver().recv());
        assert_eq!(credit.used(), 0);
    }

    #[test]
    fn room_follows_events_taken_by_any_clone() {
        let (sender, receiver) = event_queue();
        let clone = receiver.clone();
        for round in 0..5 {
            assert_eq!(sender.taken(), 2 * round);
            while sender.has_room(2) {
                sender.push(round).unwrap();
            }
            assert_eq!(sender.len(), 2);
            assert_eq!(sender.taken(), 2 * round);
            receiver.recv().unwrap();
            clone.recv().unwrap();
        }
    }

    #[test]
    fn number_of_taken_events_never_decreases() {
        const EVENTS: u64 = 20_000;
        let (sender, receiver) = event_queue();
        thread::scope(|scope| {
            scope.spawn(|| (0..EVENTS).for_each(|number| sender.push(number).unwrap()));
            scope.spawn(|| (0..EVENTS).for_each(|number| assert_eq!(receiver.recv(), Ok(number))));
            let mut before = 0;
            while before < EVENTS {
                // A lower bound: pushes during the call reduce it.
                let taken = sender.taken();
                assert!(taken <= EVENTS - receiver.len() as u64);
                before = before.max(taken);
            }
        });
        assert_eq!(sender.taken(), EVENTS);
    }

    #[test]
    fn dropped_receiver_frees_pending_events() {
        let (sender, receiver) = event_queue();
        let credit = Arc::new(Credit::default());
        sender.push_charged(1, Some(credit.charge(10))).unwrap();
        let (clone, channel) = (receiver.clone(), receiver.as_receiver().clone());
        drop(receiver);
        assert!(sender.push(2).is_ok());
        drop(clone);
        assert_eq!(credit.used(), 0);
        assert!(sender.has_ended());
        assert_eq!(sender.push(3), Err(3));
        assert!(channel.recv().is_err(), "a clone of the channel ends too");
    }

    #[test]
    fn cleared_queue_reports_reason_at_once() {
        let (sender, receiver) = event_queue();
        let waiting = receiver.clone();
        sender.push(1).unwrap();
        sender.push(2).unwrap();
        assert_eq!(sender.end_and_clear(TooSlow), Some(2));
        assert!(!sender.end(Shutdown));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Ended(TooSlow)));
        assert_eq!(waiting.recv(), Err(RecvError { reason: TooSlow }));
    }

    #[test]
    fn cleared_queue_returns_no_event_after_reason() {
        for _ in 0..500 {
            let (sender, receiver) = event_queue();
            (0..100).for_each(|number| sender.push(number).unwrap());
            thread::scope(|scope| {
                scope.spawn(|| sender.end_and_clear(TooSlow));
                while receiver.end_reason().is_none() {
                    std::hint::spin_loop();
                }
                assert_eq!(receiver.recv(), Err(RecvError { reason: TooSlow }));
            });
        }
    }

    #[test]
    fn reason_is_set_before_receiver_wakes() {
        for reason in [Some(TooSlow), None] {
            for _ in 0..500 {
                let (sender, receiver) = event_queue::<u32>();
                let waiting = thread::spawn(move || receiver.recv());
                if let Some(reason) = reason {
                    sender.end(reason);
                }
                drop(sender);
                let reason = reason.unwrap_or(PublishersDropped);
                assert_eq!(waiting.join().unwrap(), Err(RecvError { reason }));
            }
        }
    }
}
