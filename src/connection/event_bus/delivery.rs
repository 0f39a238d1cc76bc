//! The events of one connection, on their way to all subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::hub::{Hub, Lists};
use super::options::OverflowPolicy;
use super::subscription::Offer;
use super::waiting::Signals;
use crate::connection::ConnectionConfig;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// How long a read may wait while something waits for a subscriber: the longer nothing has moved, the longer.
const RETRIES: [(Duration, Duration); 2] = [
    (Duration::from_millis(100), Duration::from_millis(10)),
    (Duration::from_secs(1), Duration::from_millis(100)),
];
/// How long it may wait when nothing has moved for longer than that.
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// What one connection sends its events with. Used by one thread at a time.
///
/// While every subscriber keeps up, it costs an atomic load and the subscribers' queues, nothing else.
#[derive(Debug)]
pub(in crate::connection) struct Delivery {
    pub(super) hub: Arc<Hub>,
    pub(super) limits: DeliveryLimits,
    pub(super) backlog: Backlog,
    pub(super) lists: Lists,
    version: u64,
    /// When something last moved from the backlog, or it began.
    pub(super) moved_at: Instant,
    /// How many moved together then.
    pub(super) moved: usize,
}

/// How much one connection keeps for its subscribers, and how long it waits for them.
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

    /// Other limits hold from now on.
    pub(in crate::connection) fn set_limits(&mut self, limits: DeliveryLimits) {
        self.limits = limits;
    }

    /// Sends a message to all who want it. What has no room waits, or is dropped and counted. Never blocks.
    pub(in crate::connection) fn message(
        &mut self,
        event: BitcoinMessageEvent,
        signals: &Signals<'_>,
    ) {
        self.refresh();
        // Most often one subscription wants messages alone, and has room: an event of either kind is large beside them.
        let event = match &*self.lists.messages {
            [only] if self.backlog.is_empty() => match only.offer_message(event) {
                Ok(()) => return,
                Err(event) => event,
            },
            _ => event,
        };
        self.hand_out(Event::Message(event), signals);
    }

    /// Sends a control event to all who want it. What has no room waits, or is dropped and counted. Never blocks.
    pub(in crate::connection) fn control(&mut self, event: ControlEvent, signals: &Signals<'_>) {
        self.refresh();
        self.hub.send_control(&self.lists, &event);
        self.hand_out(Event::Control(event), signals);
    }

    /// A further one for the same peer, with a backlog of its own.
    pub(in crate::connection) fn another(&self) -> Self {
        Self::new(self.hub.clone(), self.limits)
    }

    /// Whether everything that was sent has reached the subscribers' queues.
    pub(in crate::connection) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Goes on with what waits in `other`, behind its own.
    pub(in crate::connection) fn absorb(&mut self, other: Self) {
        self.backlog.append(other.backlog);
    }

    /// Whether reading has to stop, unless somebody waits for an answer of this peer.
    pub(in crate::connection) fn is_full(&self) -> bool {
        self.backlog.bytes() >= self.limits.max_subscriber_backlog_bytes
    }

    /// When the connection has to wake at the latest, where without subscribers it would at `deadline`.
    pub(in crate::connection) fn wake_by(&self, deadline: Option<Instant>) -> Option<Instant> {
        if self.backlog.is_empty() {
            return deadline;
        }
        let now = Instant::now();
        let still = now.saturating_duration_since(self.moved_at);
        let retry = RETRIES.into_iter().find(|(within, _)| still < *within);
        let retry = retry.map_or(SLOWEST_RETRY, |(_, retry)| retry);
        // Reads wait in steps of these lengths: half as much again, so that the step is not missed by a hair.
        let retry_at = now + retry + retry / 2;
        Some(deadline.map_or(retry_at, |deadline| deadline.min(retry_at)))
    }

    /// To be called at each wake: hands out what has room by now, and tells what was missed.
    pub(in crate::connection) fn on_wake(&mut self, signals: &Signals<'_>) {
        if !self.backlog.is_empty() {
            self.flush();
        }
        self.tell_missed(false, signals);
    }

    /// Hands out what has room by now.
    pub(super) fn flush(&mut self) {
        let moved = self.backlog.flush();
        if moved > 0 {
            self.moved_at = Instant::now();
            self.moved = moved;
        }
    }

    /// Tells what was missed, if it is time to.
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

    /// Drops what still waits for subscribers, counts it, and tells them.
    pub(super) fn give_up(&mut self, signals: &Signals<'_>) {
        while let Some(line) = self.backlog.lines.first() {
            let subscription = line.subscription.clone();
            subscription.add_missed(self.backlog.remove(0));
            self.hub.on_missed();
        }
        self.tell_missed(true, signals);
    }

    /// Holds no subscription any more, so that whoever holds this keeps no receiver from its end.
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

/// The events of a connection's life are few, and a program that does not get them is lost.
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
