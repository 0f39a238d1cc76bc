//! Subscription to control events, which never causes backpressure.

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};
use parking_lot::Mutex;

use super::event_receiver::{EndRecorder, EventReceiver, event_channel};
use super::subscription::Offer;
use crate::event::{ControlEvent, SubscriptionEndReason};

/// The maximum number of control events in a receiver. Further ones are dropped and reported by
/// [`ControlEvent::Lagged`].
const CAPACITY: usize = 1024;

/// The sending side of a subscription to control events.
#[derive(Debug)]
pub(super) struct ControlSubscription {
    name: Arc<str>,
    /// Declared before the sender, as [`EndRecorder`] requires.
    end: EndRecorder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sender: Sender<ControlEvent>,
    missed: u64,
}

impl ControlSubscription {
    /// Creates a subscription. One slot is reserved, so that dropped events can be reported at the
    /// end.
    pub(super) fn new(name: Arc<str>) -> (Self, EventReceiver<ControlEvent>) {
        let (end, sender, receiver) = event_channel(CAPACITY + 1);
        let state = Mutex::new(State { sender, missed: 0 });
        (Self { name, end, state }, receiver)
    }

    /// Records why the subscription ends. It ends when it is dropped.
    pub(super) fn record_end(&self, reason: SubscriptionEndReason) {
        self.end.record(reason);
    }

    /// Sends an event, after a report of events that were dropped before. Counts the event if the
    /// receiver is full.
    pub(super) fn send(&self, event: &ControlEvent) -> Offer {
        let mut state = self.state.lock();
        let mut sent = self.tell(&mut state, CAPACITY - 1);
        if sent == Offer::Taken {
            sent = match state.sender.len() < CAPACITY {
                true => try_send(&state.sender, event),
                false => Offer::Full,
            };
        }
        if sent == Offer::Full {
            state.missed += 1;
        }
        sent
    }

    /// Reports dropped events. Returns whether no report is pending.
    ///
    /// Unless `at_last` is set, the next event must have room as well. A slow receiver would only
    /// receive reports otherwise.
    pub(super) fn tell_missed(&self, at_last: bool) -> bool {
        let room = if at_last { CAPACITY + 1 } else { CAPACITY - 1 };
        self.tell(&mut self.state.lock(), room) != Offer::Full
    }

    fn tell(&self, state: &mut State, room: usize) -> Offer {
        if state.missed == 0 {
            return Offer::Taken;
        }
        if state.sender.len() >= room {
            return Offer::Full;
        }
        let lagged = ControlEvent::Lagged {
            subscription: self.name.clone(),
            missed: state.missed,
        };
        let told = try_send(&state.sender, &lagged);
        if told == Offer::Taken {
            state.missed = 0;
        }
        told
    }
}

fn try_send(sender: &Sender<ControlEvent>, event: &ControlEvent) -> Offer {
    match sender.try_send(event.clone()) {
        Ok(()) => Offer::Taken,
        Err(TrySendError::Full(_)) => Offer::Full,
        Err(TrySendError::Disconnected(_)) => Offer::Gone,
    }
}
