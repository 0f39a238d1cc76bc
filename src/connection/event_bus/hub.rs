//! Registry of the subscriptions of a bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::control::ControlSubscription;
use super::event_receiver::{EndRecorder, EventReceiver};
use super::options::SubscriptionOptions;
use super::subscription::{Offer, Queue, Subscription};
use crate::event::{ControlEvent, SubscriptionEndReason};
use crate::log_level::LogLevel;

/// The minimum interval between reports of dropped events, if a receiver gets no other event.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The registry of the subscriptions of a bus.
#[derive(Debug)]
pub(super) struct Hub {
    /// The maximum level of the log records about subscriptions.
    log_level: LogLevel,
    lists: Mutex<Lists>,
    /// Incremented with each change of `lists`, so that connections detect changes without a lock.
    version: AtomicU64,
    numbered: AtomicU64,
    /// Whether there may be unreported dropped events.
    lagging: AtomicBool,
    told: Mutex<Option<Instant>>,
}

/// A snapshot of the subscriptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) control: Arc<[Arc<ControlSubscription>]>,
    /// The subscriptions to messages, alone or with control events.
    pub(super) messages: Arc<[Arc<Subscription>]>,
    /// Whether the bus accepts no more subscriptions.
    is_closed: bool,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(LogLevel::default())
    }
}

impl Hub {
    pub(super) fn new(log_level: LogLevel) -> Self {
        Self {
            log_level,
            lists: Mutex::default(),
            version: AtomicU64::new(1),
            numbered: AtomicU64::new(0),
            lagging: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    pub(super) fn subscribe_control(&self) -> EventReceiver<ControlEvent> {
        let (subscription, receiver) = ControlSubscription::new(self.name("control", None));
        let subscription = Arc::new(subscription);
        self.change(|lists| {
            lists.control = with(&lists.control, subscription);
            lists.end_if_closed();
        });
        receiver
    }

    pub(super) fn subscribe(
        &self,
        kind: &str,
        mut options: SubscriptionOptions,
        end: EndRecorder,
        queue: Queue,
    ) {
        let name = self.name(kind, options.name.take());
        let name = (name, self.log_level.clone());
        let subscription = Arc::new(Subscription::new(name, options, end, queue));
        self.change(|lists| {
            lists.messages = with(&lists.messages, subscription);
            lists.end_if_closed();
        });
    }

    /// Ends all subscriptions, including later ones, because their owner shuts down.
    pub(super) fn close(&self) {
        self.change(|lists| {
            lists.is_closed = true;
            lists.end_if_closed();
        });
    }

    fn name(&self, kind: &str, chosen: Option<String>) -> Arc<str> {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed) + 1;
        chosen.unwrap_or_else(|| format!("{kind} {number}")).into()
    }

    fn change(&self, change: impl FnOnce(&mut Lists)) {
        let mut lists = self.lists.lock();
        change(&mut lists);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Updates `lists` if it is outdated. `seen` is its version, or 0 if it is empty.
    pub(super) fn refresh(&self, seen: &mut u64, lists: &mut Lists) {
        if self.version.load(Ordering::Acquire) != *seen {
            let current = self.lists.lock();
            *seen = self.version.load(Ordering::Acquire);
            *lists = current.clone();
        }
    }

    /// Sends an event to the subscriptions to control events only.
    pub(super) fn send_control(&self, lists: &Lists, event: &ControlEvent) {
        for subscription in &*lists.control {
            match subscription.send(event) {
                Offer::Taken => {}
                Offer::Full => self.on_missed(),
                Offer::Gone => self.change(|lists| {
                    lists.control = without(&lists.control, subscription);
                }),
            }
        }
    }

    /// Ends a subscription for all connections. Returns whether it was open.
    pub(super) fn end(
        &self,
        subscription: &Arc<Subscription>,
        reason: SubscriptionEndReason,
    ) -> bool {
        self.remove(subscription);
        subscription.end(reason)
    }

    /// Removes a subscription whose receiver was dropped.
    pub(super) fn on_receiver_dropped(&self, subscription: &Arc<Subscription>) {
        self.remove(subscription);
        subscription.close();
    }

    fn remove(&self, subscription: &Arc<Subscription>) {
        self.change(|lists| lists.messages = without(&lists.messages, subscription));
    }

    /// Records that events were dropped. They are reported at the next wake of a connection.
    pub(super) fn on_missed(&self) {
        self.lagging.store(true, Ordering::Release);
    }

    /// Returns whether a report of dropped events is due. The caller must then make the report.
    ///
    /// Cheap while no events are dropped.
    pub(super) fn is_time_to_tell(&self, at_last: bool) -> bool {
        if !self.lagging.load(Ordering::Relaxed) {
            return false;
        }
        let Some(mut told) = self.told.try_lock() else {
            return at_last;
        };
        let now = Instant::now();
        if !at_last && told.is_some_and(|told| now < told + TELL_EVERY) {
            return false;
        }
        *told = Some(now);
        self.lagging.swap(false, Ordering::AcqRel);
        true
    }

    /// Reports dropped events to each receiver of control events. `tell` gets the reports of
    /// subscriptions to messages only.
    pub(super) fn tell_missed(
        &self,
        lists: &Lists,
        at_last: bool,
        mut tell: impl FnMut(ControlEvent),
    ) {
        for subscription in &*lists.messages {
            if subscription.takes_control() {
                if !subscription.tell_missed() {
                    self.on_missed();
                }
            } else if let Some(lagged) = subscription.take_lagged() {
                tell(lagged);
            }
        }
        for subscription in &*lists.control {
            if !subscription.tell_missed(at_last) {
                self.on_missed();
            }
        }
    }
}

impl Drop for Hub {
    /// Reports dropped events, because no connection is left to do so.
    fn drop(&mut self) {
        let lists = self.lists.get_mut();
        for subscription in &*lists.messages {
            subscription.tell_missed();
            // If a receiver of both kinds is full, only the other receivers get the report.
            if let Some(lagged) = subscription.take_lagged() {
                lists.control.iter().for_each(|control| {
                    control.send(&lagged);
                });
            }
        }
        for control in &*lists.control {
            control.tell_missed(true);
        }
    }
}

impl Lists {
    /// Removes all subscriptions if the bus was closed. Connections may hold them a little longer.
    fn end_if_closed(&mut self) {
        if !self.is_closed {
            return;
        }
        let reason = SubscriptionEndReason::Shutdown;
        for control in &*std::mem::take(&mut self.control) {
            control.record_end(reason);
        }
        for subscription in &*std::mem::take(&mut self.messages) {
            subscription.record_end(reason);
        }
    }
}

fn with<T>(list: &[Arc<T>], another: Arc<T>) -> Arc<[Arc<T>]> {
    list.iter().cloned().chain([another]).collect()
}

fn without<T>(list: &[Arc<T>], gone: &Arc<T>) -> Arc<[Arc<T>]> {
    let rest = list.iter().filter(|other| !Arc::ptr_eq(other, gone));
    rest.cloned().collect()
}
