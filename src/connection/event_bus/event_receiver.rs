//! The receiving half of a subscription.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::event_queue::{QueuedEvent, ReceiverGuard};
use super::recv_error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::event::SubscriptionEndReason;

/// Receives the events of a subscription, and the reason why the subscription ended.
///
/// Returned by the `subscribe` methods of [`EventBus`](super::EventBus) and
/// [`Manager`](crate::Manager). Dropping the receiver cancels the subscription.
///
/// # End of the subscription
///
/// A subscription ends for one of the reasons in [`SubscriptionEndReason`]. Events that were
/// already in the queue are returned first. After them, every method that receives returns an error
/// with the reason. A subscription that ends as
/// [`TooSlow`](SubscriptionEndReason::TooSlow) loses the events in its queue, and the next call
/// returns the reason.
///
/// The iterators separate the two cases that a loop must not confuse:
///
/// - If the publisher was shut down or dropped, the iteration ends. That is the usual end of a
///   loop, and every event in the queue was returned.
/// - If the subscription failed ([`SubscriptionEndReason::is_failure`]), the last item is an error.
///   Events are missing.
///
/// ```
/// use bsv_p2p::connection::EventBus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = EventBus::new();
/// let messages = bus.subscribe_messages();
/// # drop(bus);
/// for event in &messages {
///     let event = event?; // fails if the subscription was too slow
///     println!("{}: {}", event.peer_id, event.message.command());
/// }
/// println!("{:?}", messages.end_reason()); // here the bus was dropped
/// # Ok(())
/// # }
/// ```
///
/// # Selection
///
/// [`as_receiver`](Self::as_receiver) returns the receiver to use in
/// [`select!`](https://docs.rs/crossbeam-channel/0.5/crossbeam_channel/macro.select.html).
/// [`with_end_reason`](Self::with_end_reason) returns the event, or the reason of the end.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::connection::EventBus;
/// use crossbeam_channel::{after, select};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = EventBus::new();
/// let messages = bus.subscribe_messages();
/// let time_over = after(Duration::from_secs(10));
/// # drop(bus);
/// loop {
///     select! {
///         recv(messages.as_receiver()) -> event => match messages.with_end_reason(event) {
///             Ok(event) => println!("{}", event.peer_id),
///             Err(error) if error.reason.is_failure() => return Err(error.into()),
///             Err(_) => break,
///         },
///         recv(time_over) -> _ => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Threads
///
/// A receiver can be used by several threads, and cloned. Clones share one queue: each event is
/// returned once, and each clone reports the end. Dropping the last clone cancels the subscription.
///
/// # Cost
///
/// Receiving an event costs the same as with the channel alone while the queue is below its
/// capacity. The reason is read only after the end.
#[must_use = "dropping a receiver cancels its subscription"]
pub struct EventReceiver<T> {
    receiver: Receiver<QueuedEvent<T>>,
    guard: Arc<ReceiverGuard<T>>,
}

impl<T> EventReceiver<T> {
    pub(super) fn new(receiver: Receiver<QueuedEvent<T>>, guard: ReceiverGuard<T>) -> Self {
        let guard = Arc::new(guard);
        Self { receiver, guard }
    }

    /// Blocks until an event is available.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the subscription ended and its queue is empty.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.with_end_reason(self.receiver.recv())
    }

    /// Blocks for at most `timeout` until an event is available.
    ///
    /// # Errors
    ///
    /// - [`RecvTimeoutError::Timeout`] if no event was received in time.
    /// - [`RecvTimeoutError::Ended`] if the subscription ended and its queue is empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.with_timeout(self.receiver.recv_timeout(timeout))
    }

    /// Blocks until an event is available, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// - [`RecvTimeoutError::Timeout`] if no event was received in time.
    /// - [`RecvTimeoutError::Ended`] if the subscription ended and its queue is empty.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.with_timeout(self.receiver.recv_deadline(deadline))
    }

    /// Returns the next event in the queue. Does not block.
    ///
    /// # Errors
    ///
    /// - [`TryRecvError::Empty`] if the queue is empty.
    /// - [`TryRecvError::Ended`] if the queue is empty and the subscription ended.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.receiver.try_recv() {
            Ok(queued) => Ok(queued.into_event()),
            Err(crossbeam_channel::TryRecvError::Empty) => Err(TryRecvError::Empty),
            Err(crossbeam_channel::TryRecvError::Disconnected) => Err(self.ended().into()),
        }
    }

    /// Returns why the subscription ended, or `None` if it is active.
    ///
    /// The queue may still contain events. Does not block.
    pub fn end_reason(&self) -> Option<SubscriptionEndReason> {
        self.guard.end_reason()
    }

    /// Returns the number of events in the queue.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Returns an iterator that blocks until the next event is available.
    ///
    /// The type documents how the iteration [ends](EventReceiver#end-of-the-subscription).
    pub fn iter(&self) -> EventIter<'_, T> {
        EventIter {
            receiver: self,
            is_over: false,
        }
    }

    /// Returns an iterator over the events in the queue. Does not block.
    ///
    /// The iteration also ends when the queue is empty. If the subscription failed, the last item
    /// is the error.
    pub fn try_iter(&self) -> EventTryIter<'_, T> {
        EventTryIter {
            receiver: self,
            is_over: false,
        }
    }

    /// Returns the receiver of the channel, for
    /// [`select!`](https://docs.rs/crossbeam-channel/0.5/crossbeam_channel/macro.select.html) and
    /// [`Select`](https://docs.rs/crossbeam-channel/0.5/crossbeam_channel/struct.Select.html).
    ///
    /// Pass the result of receiving to [`with_end_reason`](Self::with_end_reason) at once: an event
    /// counts as pending until then. The channel has no capacity of its own. A clone of it ends
    /// when the last clone of this receiver is dropped.
    pub fn as_receiver(&self) -> &Receiver<QueuedEvent<T>> {
        &self.receiver
    }

    /// Returns the event that was received from [`as_receiver`](Self::as_receiver), or the reason
    /// of the end.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if `received` is an error.
    pub fn with_end_reason(
        &self,
        received: Result<QueuedEvent<T>, crossbeam_channel::RecvError>,
    ) -> Result<T, RecvError> {
        match received {
            Ok(queued) => Ok(queued.into_event()),
            Err(_) => Err(self.ended()),
        }
    }

    fn ended(&self) -> RecvError {
        // The reason is set before the sender is dropped, so there is one.
        let reason = self.end_reason();
        RecvError {
            reason: reason.unwrap_or(SubscriptionEndReason::InternalError),
        }
    }

    fn with_timeout(
        &self,
        received: Result<QueuedEvent<T>, crossbeam_channel::RecvTimeoutError>,
    ) -> Result<T, RecvTimeoutError> {
        match received {
            Ok(queued) => Ok(queued.into_event()),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => Err(RecvTimeoutError::Timeout),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => Err(self.ended().into()),
        }
    }
}

impl<T> Clone for EventReceiver<T> {
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver.clone(),
            guard: self.guard.clone(),
        }
    }
}

impl<T> fmt::Debug for EventReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReceiver")
            .field("len", &self.len())
            .field("end_reason", &self.end_reason())
            .finish_non_exhaustive()
    }
}

impl<'a, T> IntoIterator for &'a EventReceiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = EventIter<'a, T>;

    fn into_iter(self) -> EventIter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for EventReceiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = EventIntoIter<T>;

    fn into_iter(self) -> EventIntoIter<T> {
        EventIntoIter {
            receiver: self,
            is_over: false,
        }
    }
}

/// A blocking iterator over events. Returned by [`EventReceiver::iter`].
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct EventIter<'a, T> {
    receiver: &'a EventReceiver<T>,
    is_over: bool,
}

impl<T> Iterator for EventIter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.receiver, &mut self.is_over)
    }
}

impl<T> FusedIterator for EventIter<'_, T> {}

/// A blocking iterator that owns its receiver. Returned by [`EventReceiver::into_iter`].
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct EventIntoIter<T> {
    receiver: EventReceiver<T>,
    is_over: bool,
}

impl<T> Iterator for EventIntoIter<T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&self.receiver, &mut self.is_over)
    }
}

impl<T> FusedIterator for EventIntoIter<T> {}

/// An iterator over the events in the queue. Returned by [`EventReceiver::try_iter`].
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct EventTryIter<'a, T> {
    receiver: &'a EventReceiver<T>,
    is_over: bool,
}

impl<T> Iterator for EventTryIter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.receiver.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Ended(reason)) => last(reason, &mut self.is_over),
        }
    }
}

fn next<T>(receiver: &EventReceiver<T>, is_over: &mut bool) -> Option<Result<T, RecvError>> {
    if *is_over {
        return None;
    }
    match receiver.recv() {
        Ok(event) => Some(Ok(event)),
        Err(RecvError { reason }) => last(reason, is_over),
    }
}

/// Returns the last item of an iteration.
fn last<T>(reason: SubscriptionEndReason, is_over: &mut bool) -> Option<Result<T, RecvError>> {
    *is_over = true;
    reason.is_failure().then_some(Err(RecvError { reason }))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::select;

    use super::*;
    use crate::connection::event_bus::event_queue::event_queue;
    use SubscriptionEndReason::{InternalError, PublishersDropped, Shutdown, TooSlow};

    type Receive = fn(&EventReceiver<u32>) -> Result<u32, RecvTimeoutError>;

    const SOON: Duration = Duration::from_secs(10);

    /// Returns a receiver with the events 0 and 1 whose subscription ended for `reason`.
    fn ended_with(reason: SubscriptionEndReason) -> EventReceiver<u32> {
        let (sender, receiver) = event_queue();
        sender.push(0).unwrap();
        sender.push(1).unwrap();
        sender.end(reason);
        receiver
    }

    #[test]
    fn each_method_returns_queue_then_reason() {
        for reason in [Shutdown, PublishersDropped, TooSlow, InternalError] {
            let methods: [Receive; 4] = [
                |receiver| receiver.recv().map_err(Into::into),
                |receiver| receiver.recv_timeout(SOON),
                |receiver| receiver.recv_deadline(Instant::now() + SOON),
                |receiver| match receiver.try_recv() {
                    Ok(event) => Ok(event),
                    Err(TryRecvError::Ended(reason)) => Err(RecvTimeoutError::Ended(reason)),
                    Err(TryRecvError::Empty) => Err(RecvTimeoutError::Timeout),
                },
            ];
            for receive in methods {
                let receiver = ended_with(reason);
                assert_eq!(receiver.end_reason(), Some(reason));
                assert_eq!((receiver.len(), receiver.is_empty()), (2, false));
                let received: Vec<_> = (0..4).map(|_| receive(&receiver)).collect();
                let ended = Err(RecvTimeoutError::Ended(reason));
                assert_eq!(received, [Ok(0), Ok(1), ended, ended]);
            }
        }
    }

    #[test]
    fn iteration_ends_plainly_unless_subscription_failed() {
        for (reason, is_failure) in [
            (Shutdown, false),
            (PublishersDropped, false),
            (TooSlow, true),
            (InternalError, true),
        ] {
            assert_eq!(reason.is_failure(), is_failure);
            let error = is_failure.then_some(Err(RecvError { reason }));
            let expected: Vec<_> = [Ok(0), Ok(1)].into_iter().chain(error).collect();
            assert_eq!(ended_with(reason).iter().collect::<Vec<_>>(), expected);
            assert_eq!(ended_with(reason).try_iter().collect::<Vec<_>>(), expected);
            assert_eq!(ended_with(reason).into_iter().collect::<Vec<_>>(), expected);
            // An iterator stays at its end, and a new one reports the end again.
            let receiver = ended_with(reason);
            let (mut blocking, mut trying) = (receiver.iter(), receiver.try_iter());
            assert_eq!(blocking.by_ref().count(), expected.len());
            assert_eq!(blocking.next(), None);
            assert_eq!(trying.by_ref().count(), expected.len() - 2);
            assert_eq!(trying.next(), None);
            assert_eq!(receiver.iter().count(), expected.len() - 2);
        }
    }

    #[test]
    fn active_subscription_is_empty_or_times_out() {
        let (_sender, receiver) = event_queue::<u32>();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.try_iter().next(), None);
        let none = Duration::from_millis(1);
        assert_eq!(receiver.recv_timeout(none), Err(RecvTimeoutError::Timeout));
        let now = Instant::now();
        assert_eq!(receiver.recv_deadline(now), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.end_reason(), None);
    }

    #[test]
    fn selection_finds_reason_after_end() {
        let receiver = ended_with(TooSlow);
        let received = [(); 3].map(|()| {
            select! {
                recv(receiver.as_receiver()) -> event => receiver.with_end_reason(event),
            }
        });
        let ended = Err(RecvError { reason: TooSlow });
        assert_eq!(received, [Ok(0), Ok(1), ended]);
    }

    #[test]
    fn first_reason_wins() {
        let (sender, receiver) = event_queue::<u32>();
        sender.end(TooSlow);
        sender.end(Shutdown);
        drop(sender);
        assert_eq!(receiver.recv(), Err(RecvError { reason: TooSlow }));
    }

    #[test]
    fn clone_reports_the_same_end() {
        let receiver = ended_with(TooSlow);
        let clone = receiver.clone();
        assert_eq!(receiver.iter().count(), 3);
        drop(receiver);
        assert_eq!(clone.recv(), Err(RecvError { reason: TooSlow }));
    }

    #[test]
    fn debug_shows_length_and_reason() {
        let text = format!("{:?}", ended_with(TooSlow));
        assert_eq!(
            text,
            "EventReceiver { len: 2, end_reason: Some(TooSlow), .. }"
        );
    }
}
