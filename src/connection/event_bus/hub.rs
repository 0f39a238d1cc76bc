//! Who has subscribed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::control::ControlSubscription;
use super::event_receiver::{EndRecorder, EventReceiver};
use super::options::SubscriptionOptions;
use super::subscription::{Offer, Queue, Subscription};
use crate::event::{ControlEvent, SubscriptionEndReason};

/// How often at most the subscribers are told what was missed, if nothing else comes for them.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// All subscriptions of a bus.
#[derive(Debug)]
pub(super) struct Hub {
    lists: Mutex<Lists>,
    /// Grows with every change of the lists, so that a connection need not lock them to see that they are the same.
    version: AtomicU64,
    numbered: AtomicU64,
    /// Whether somebody may have missed something and not been told.
    lagging: AtomicBool,
    told: Mutex<Option<Instant>>,
}

/// The subscriptions at some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) control: Arc<[Arc<ControlSubscription>]>,
    /// Those that get messages.
    pub(super) messages: Arc<[Arc<Subscription>]>,
    /// Nobody is added any more.
    is_closed: bool,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            lists: Mutex::default(),
            version: AtomicU64::new(1),
            numbered: AtomicU64::new(0),
            lagging: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }
}

impl Hub {
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
        let subscription = Arc::new(Subscription::new(name, options, end, queue));
        self.change(|lists| {
            lists.messages = with(&lists.messages, subscription);
            lists.end_if_closed();
        });
    }

    /// Ends all subscriptions, and those to come, because their owner shuts down.
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

    /// Brings `lists` up to date; `seen` is their version, 0 for none.
    pub(super) fn refresh(&self, seen: &mut u64, lists: &mut Lists) {
        if self.version.load(Ordering::Acquire) != *seen {
            let current = self.lists.lock();
            *seen = self.version.load(Ordering::Acquire);
            *lists = current.clone();
        }
    }

    /// Sends to those who want control events alone.
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

    /// Ends a subscription for all connections. Returns whether it was open until now.
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

    /// Somebody has missed something: those who wake look after it.
    pub(super) fn on_missed(&self) {
        self.lagging.store(true, Ordering::Release);
    }

    /// Whether somebody is to be told what was missed. Whoever is answered yes has to do it. Costs next to nothing while
    /// nobody has missed anything.
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

    /// Tells each subscription what it has missed, and `tell` what those of messages alone have missed.
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
    /// No connection is left to tell anything.
    fn drop(&mut self) {
        let lists = self.lists.get_mut();
        for subscription in &*lists.messages {
            subscription.tell_missed();
            // A receiver of both kinds that has no room for it hears of it no more; others do.
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
    /// Removes all subscriptions if the bus was closed. Connections may hold them for a moment.
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
