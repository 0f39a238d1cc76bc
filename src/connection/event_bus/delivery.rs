//! Publisher of the events of one stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::hub::{Hub, Lists};
use super::options::OverflowPolicy;
use super::subscription::Offer;
use super::waiting::Signals;
use crate::connection::ConnectionConfig;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// The retry intervals of queued events, each with the time without progress up to which it
/// applies.
const RETRIES: [(Duration, Duration); 2] = [
    (Duration::from_millis(100), Duration::from_millis(10)),
    (Duration::from_secs(1), Duration::from_millis(100)),
];
/// The retry interval after a longer time without progress.
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// Publishes the events of one stream. Used by one thread at a time.
///
/// While no subscriber is slow, the overhead is one atomic load.
#[derive(Debug)]
pub(in crate::connection) struct Delivery {
    pub(super) hub: Arc<Hub>,
    pub(super) limits: DeliveryLimits,
    pub(super) backlog: Backlog,
    pub(super) lists: Lists,
    version: u64,
    /// The time at which an event was last delivered from the backlog, or at which the backlog
    /// started.
    pub(super) moved_at: Instant,
    /// The number of events delivered at that time.
    pub(super) moved: usize,
}

/// The limits of the backlog of one stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::connection) struct DeliveryLimits {
    pub(super) max_subscriber_backlog_bytes: u64,
    pub(super) subscriber_timeout: Duration,
}

impl From<&ConnectionConfig> for DeliveryLimits {
    fn from(config: &ConnectionConfig) -> Self {
        Self {
            max_subscriber_backlog_bytes: config.max_subscriber_backlog_bytes,
            subscriber_timeout: config.subscriber_timeout,
        }
    }
}

impl Delivery {
    pub(super) fn new(hub: Arc<Hub>, limits: DeliveryLimits) -> Self {
        Self {
            hub,
            limits,
            backlog: Backlog::new(),
            lists: Lists::default(),
            version: 0,
            moved_at: Instant::now(),
            moved: 0,
        }
    }

    /// Replaces the limits.
    pub(in crate::connection) fn set_limits(&mut self, limits: DeliveryLimits) {
        self.limits = limits;
    }

    /// Publishes a message. It is queued for full receivers, or dropped and counted. Does not
    /// block.
    pub(in crate::connection) fn message(
        &mut self,
        event: BitcoinMessageEvent,
        signals: &Signals<'_>,
    ) {
        self.refresh();
        // Fast path for a single subscription to messages only, which avoids the larger `Event`.
        let event = match &*self.lists.messages {
            [only] if self.backlog.is_empty() => match only.offer_message(event) {
                Ok(()) => return,
                Err(event) => event,
            },
            _ => event,
        };
        self.hand_out(Event::Message(event), signals);
    }

    /// Publishes a control event. It is queued for full receivers, or dropped and counted. Does not
    /// block.
    pub(in crate::connection) fn control(&mut self, event: ControlEvent, signals: &Signals<'_>) {
        self.refresh();
        self.hub.send_control(&self.lists, &event);
        self.hand_out(Event::Control(event), signals);
    }

    /// Creates a publisher for another stream of the peer, with its own backlog.
    pub(in crate::connection) fn another(&self) -> Self {
        Self::new(self.hub.clone(), self.limits)
    }

    /// Returns whether the backlog is empty.
    pub(in crate::connection) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Appends the backlog of `other` to this one.
    pub(in crate::connection) fn absorb(&mut self, other: Self) {
        self.backlog.append(other.backlog);
    }

    /// Returns whether the backlog is full. Reading must then pause, unless a request to the peer
    /// is open.
    pub(in crate::connection) fn is_full(&self) -> bool {
        self.backlog.bytes() >= self.limits.max_subscriber_backlog_bytes
    }

    /// Returns the time at which the connection must wake: `deadline`, or earlier if events are
    /// queued.
    pub(in crate::connection) fn wake_by(&self, deadline: Option<Instant>) -> Option<Instant> {
        if self.backlog.is_empty() {
            return deadline;
        }
        let now = Instant::now();
        let still = now.saturating_duration_since(self.moved_at);
        let retry = RETRIES.into_iter().find(|(within, _)| still < *within);
        let retry = retry.map_or(SLOWEST_RETRY, |(_, retry)| retry);
        // A read uses the largest timeout below the remaining time, out of these same steps. The
        // extra half keeps the remaining time above the step.
        let retry_at = now + retry + retry / 2;
        Some(deadline.map_or(retry_at, |deadline| deadline.min(retry_at)))
    }

    /// Delivers queued events that have room now, and reports dropped events. Must be called at
    /// each wake.
    pub(in crate::connection) fn on_wake(&mut self, signals: &Signals<'_>) {
        if !self.backlog.is_empty() {
            self.flush();
        }
        self.tell_missed(false, signals);
    }

    /// Delivers queued events that have room now.
    pub(super) fn flush(&mut self) {
        let moved = self.backlog.flush();
        if moved > 0 {
            self.moved_at = Instant::now();
            self.moved = moved;
        }
    }

    /// Reports dropped events if a report is due.
    pub(super) fn tell_missed(&mut self, at_last: bool, signals: &Signals<'_>) {
        if self.hub.is_time_to_tell(at_last) {
            self.refresh();
            let mut news = Vec::new();
            self.hub
                .tell_missed(&self.lists, at_last, |event| news.push(event));
            for event in news {
                self.control(event, signals);
            }
        }
    }

    /// Drops the backlog and reports the number of dropped events.
    pub(super) fn give_up(&mut self, signals: &Signals<'_>) {
        while let Some(line) = self.backlog.lines.first() {
            let subscription = line.subscription.clone();
            subscription.add_missed(self.backlog.remove(0));
            self.hub.on_missed();
        }
        self.tell_missed(true, signals);
    }

    /// Releases all subscriptions, so that this publisher does not keep their receivers open.
    pub(super) fn release(&mut self) {
        (self.lists, self.version) = Default::default();
    }

    fn refresh(&mut self) {
        self.hub.refresh(&mut self.version, &mut self.lists);
    }

    fn hand_out(&mut self, event: Event, signals: &Signals<'_>) {
        let full = self.is_full();
        let Self {
            hub,
            lists,
            backlog,
            moved_at,
            ..
        } = self;
        for subscription in lists.messages.iter().filter(|all| all.wants(&event)) {
            let line = backlog.line_of(subscription);
            if line.is_none() {
                match subscription.offer(&event) {
                    Offer::Taken => continue,
                    Offer::Gone => {
                        hub.on_receiver_dropped(subscription);
                        continue;
                    }
                    Offer::Full => {}
                }
            }
            let drops = subscription.overflow() == OverflowPolicy::DropNewest;
            let overflows = full && may_be_dropped(&event) && signals.is_request_open();
            if drops || overflows && !subscription.takes_control() {
                subscription.add_missed(1);
                hub.on_missed();
                continue;
            }
            let line = line.unwrap_or_else(|| {
                let now = Instant::now();
                if backlog.is_empty() {
                    *moved_at = now;
                }
                backlog.begin_line(subscription, now)
            });
            if overflows {
                backlog.push_missed(line);
            } else {
                backlog.push(line, event.clone());
            }
        }
    }
}

/// Returns whether an event may be dropped.
///
/// Events that report the state of a connection must be delivered. They are few, and callers depend
/// on them.
fn may_be_dropped(event: &Event) -> bool {
    matches!(
        event,
        Event::Message(_)
            | Event::Control(
                ControlEvent::PeerMisbehavior { .. }
                    | ControlEvent::PeerBanned { .. }
                    | ControlEvent::InboundConnectionAccepted { .. }
                    | ControlEvent::InboundConnectionRejected { .. }
                    | ControlEvent::ListenerStarted { .. }
                    | ControlEvent::ListenerBindFailed { .. }
                    | ControlEvent::DiscoveryFailed { .. }
                    | ControlEvent::LocalFault { .. }
                    | ControlEvent::StoreFailed { .. }
                    | ControlEvent::HeaderStoreFailed { .. }
                    | ControlEvent::PayloadDiscarded { .. }
                    | ControlEvent::Lagged { .. }
            )
    )
}
