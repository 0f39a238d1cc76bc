//! Registry of the subscriptions of a bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::Mutex;

use super::credit::ClosedStreams;
use super::options::SubscriptionOptions;
use super::subscription::{MAX_LIFE_CYCLE_EVENTS, Publication, Queue, Subscription};
use crate::event::{ControlEvent, SubscriptionEndReason};
use crate::log_level::LogLevel;

/// The minimum interval between reports of dropped events, if a receiver gets no other event.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// The registry of the subscriptions of a bus. Publishes control events.
#[derive(Debug)]
pub(super) struct SubscriptionRegistry {
    /// The maximum level of the log records about subscriptions.
    log_level: LogLevel,
    lists: Mutex<Subscriptions>,
    /// Incremented with each change of `lists`, so that streams detect changes without a lock.
    version: AtomicU64,
    /// The number of subscriptions that were created.
    created: AtomicU64,
    /// Whether there may be unreported dropped events.
    is_lagging: AtomicBool,
    reported_at: Mutex<Option<Instant>>,
    pub(super) closed_streams: Arc<ClosedStreams>,
}

/// A snapshot of the subscriptions. A subscription to both kinds of events is in both lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    control: Arc<[Arc<Subscription>]>,
    pub(super) messages: Arc<[Arc<Subscription>]>,
    /// Whether the bus accepts no more subscriptions.
    is_closed: bool,
}

impl Default for SubscriptionRegistry {
    fn default() -> Self {
        Self::new(LogLevel::default())
    }
}

impl SubscriptionRegistry {
    pub(super) fn new(log_level: LogLevel) -> Self {
        Self {
            log_level,
            lists: Mutex::default(),
            version: AtomicU64::new(1),
            created: AtomicU64::new(0),
            is_lagging: AtomicBool::new(false),
            reported_at: Mutex::default(),
            closed_streams: Arc::default(),
        }
    }

    pub(super) fn subscribe(&self, kind: &str, mut options: SubscriptionOptions, queue: Queue) {
        let number = self.created.fetch_add(1, Ordering::Relaxed) + 1;
        let name = options.name.take();
        let name = name.unwrap_or_else(|| format!("{kind} {number}")).into();
        let subscription = Subscription::new(name, self.log_level.clone(), options, queue);
        let subscription = Arc::new(subscription);
        self.change(|lists| {
            if lists.is_closed {
                subscription.end(SubscriptionEndReason::Shutdown);
                return;
            }
            if subscription.takes_control() {
                lists.control = with(&lists.control, &subscription);
            }
            if subscription.takes_messages() {
                lists.messages = with(&lists.messages, &subscription);
            }
        });
    }

    /// Ends all subscriptions, including later ones, because their owner shuts down.
    pub(super) fn close(&self) {
        self.report_lag(true);
        self.change(|lists| {
            lists.is_closed = true;
            lists.end_all(SubscriptionEndReason::Shutdown);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Subscriptions)) {
        let mut lists = self.lists.lock();
        change(&mut lists);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Updates `lists` if it is outdated. `seen` is its version, or 0 if it is empty.
    pub(super) fn refresh(&self, seen: &mut u64, lists: &mut Subscriptions) {
        if self.version.load(Ordering::Acquire) != *seen {
            let current = self.lists.lock();
            *seen = self.version.load(Ordering::Acquire);
            *lists = current.clone();
        }
    }

    /// Publishes a control event to all subscriptions that include it. Does not block.
    pub(super) fn publish_control(&self, event: &ControlEvent) {
        let control = self.lists.lock().control.clone();
        for subscription in &*control {
            match subscription.publish_control(event) {
                Publication::Queued => {}
                Publication::Dropped => self.on_drop(),
                Publication::Ended => self.remove(subscription),
                Publication::TooSlow => self.end_too_slow(
                    subscription,
                    format_args!("left {MAX_LIFE_CYCLE_EVENTS} life-cycle events untaken"),
                ),
            }
        }
    }

    /// Ends a subscription as too slow and frees its queue. Reports it to the others.
    pub(super) fn end_too_slow(
        &self,
        subscription: &Arc<Subscription>,
        cause: std::fmt::Arguments<'_>,
    ) {
        self.remove(subscription);
        let reason = SubscriptionEndReason::TooSlow;
        let Some(lost) = subscription.end_and_clear(reason) else {
            return;
        };
        let name = subscription.name();
        let text = format_args!("subscription {name} {cause}, dropping {lost} events");
        subscription.log(Level::Warn).write(text);
        self.publish_control(&ControlEvent::SubscriptionEnded {
            subscription: name.clone(),
            reason,
        });
    }

    pub(super) fn remove(&self, subscription: &Arc<Subscription>) {
        self.change(|lists| {
            lists.control = without(&lists.control, subscription);
            lists.messages = without(&lists.messages, subscription);
        });
    }

    /// Records that an event was dropped. The next call of
    /// [`SubscriptionRegistry::report_lag`] reports it.
    pub(super) fn on_drop(&self) {
        self.is_lagging.store(true, Ordering::Release);
    }

    /// Reports dropped events to the receivers of control events, at most once per
    /// [`LAG_INTERVAL`]. If `at_last` is set, reports them regardless of the time and of full queues.
    ///
    /// Cheap while no events are dropped. Does not block.
    pub(super) fn report_lag(&self, at_last: bool) {
        if !self.is_report_due(at_last) {
            return;
        }
        let Subscriptions {
            control, messages, ..
        } = self.lists.lock().clone();
        for subscription in messages.iter().filter(|one| !one.takes_control()) {
            if let Some(lagged) = subscription.take_lag() {
                subscription
                    .log(Level::Warn)
                    .write(format_args!("{lagged}"));
                self.publish_control(&lagged);
            }
        }
        for subscription in &*control {
            if !subscription.report_lag(at_last) {
                self.on_drop();
            }
        }
    }

    fn is_report_due(&self, at_last: bool) -> bool {
        if !self.is_lagging.load(Ordering::Relaxed) {
            return false;
        }
        let now = Instant::now();
        let mut reported_at = self.reported_at.lock();
        if !at_last && reported_at.is_some_and(|at| now < at + LAG_INTERVAL) {
            return false;
        }
        *reported_at = Some(now);
        self.is_lagging.swap(false, Ordering::AcqRel)
    }
}

impl Drop for SubscriptionRegistry {
    /// Reports dropped events, because no stream is left to do so.
    fn drop(&mut self) {
        self.report_lag(true);
        let reason = SubscriptionEndReason::PublishersDropped;
        self.lists.get_mut().end_all(reason);
    }
}

impl Subscriptions {
    fn end_all(&mut self, reason: SubscriptionEndReason) {
        let (control, messages) = (
            std::mem::take(&mut self.control),
            std::mem::take(&mut self.messages),
        );
        for subscription in control.iter().chain(&*messages) {
            subscription.end(reason);
        }
    }
}

/// Returns the list with another subscription, without those that have ended.
fn with(list: &[Arc<Subscription>], another: &Arc<Subscription>) -> Arc<[Arc<Subscription>]> {
    let active = list.iter().filter(|other| !other.has_ended());
    active.chain([another]).cloned().collect()
}

fn without(list: &[Arc<Subscription>], ended: &Arc<Subscription>) -> Arc<[Arc<Subscription>]> {
    let rest = list.iter().filter(|other| !Arc::ptr_eq(other, ended));
    rest.cloned().collect()
}

#[cfg(test)]
mod tests;
