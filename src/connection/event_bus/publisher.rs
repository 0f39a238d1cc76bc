//! Publisher of the events of one stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::credit::Credit;
use super::registry::{SubscriptionRegistry, Subscriptions};
use super::subscription::{Publication, Subscription};
use crate::connection::ConnectionConfig;
use crate::connection::waker::Waker;
use crate::event::{BitcoinMessageEvent, ControlEvent};

/// Publishes the events of one stream. Used by the thread of that stream.
///
/// No method blocks. A message for a receiver whose queue is below its capacity costs no credit.
/// Further messages use the credit of the stream until they are taken. If it is spent,
/// [`EventPublisher::is_blocked`] returns true, and the thread must pause reading. Messages that are
/// published nevertheless are dropped and counted.
#[derive(Debug)]
pub(in crate::connection) struct EventPublisher {
    registry: Arc<SubscriptionRegistry>,
    subscriptions: Subscriptions,
    version: u64,
    credit: Arc<Credit>,
    limits: PublisherLimits,
    /// Whether the pending events of closed streams spent the credit of one stream when this stream
    /// was opened. They then count for this stream, until they are taken.
    awaits_closed_streams: bool,
}

/// The limits of the pending events of one stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::connection) struct PublisherLimits {
    pub(super) max_subscriber_backlog_bytes: u64,
    pub(super) subscriber_timeout: Duration,
}

impl From<&ConnectionConfig> for PublisherLimits {
    fn from(config: &ConnectionConfig) -> Self {
        Self {
            max_subscriber_backlog_bytes: config.max_subscriber_backlog_bytes,
            subscriber_timeout: config.subscriber_timeout,
        }
    }
}

impl EventPublisher {
    /// Creates the publisher of a stream whose thread waits for `waker`.
    pub(super) fn new(
        registry: Arc<SubscriptionRegistry>,
        limits: PublisherLimits,
        waker: Arc<Waker>,
    ) -> Self {
        let credit = Credit::of_stream(waker, registry.closed_streams.clone());
        Self {
            registry,
            subscriptions: Subscriptions::default(),
            version: 0,
            credit: Arc::new(credit),
            limits,
            awaits_closed_streams: false,
        }
    }

    /// Replaces the limits.
    pub(in crate::connection) fn set_limits(&mut self, limits: PublisherLimits) {
        self.limits = limits;
    }

    /// Publishes a message.
    pub(in crate::connection) fn message(&mut self, event: BitcoinMessageEvent) {
        let is_blocked = self.is_blocked();
        self.refresh();
        let Some((last, others)) = self.subscriptions.messages.split_last() else {
            return;
        };
        for subscription in others {
            if subscription.wants(&event.message) {
                self.message_to(subscription, event.clone(), is_blocked);
            }
        }
        if last.wants(&event.message) {
            self.message_to(last, event, is_blocked);
        }
    }

    fn message_to(
        &self,
        subscription: &Arc<Subscription>,
        event: BitcoinMessageEvent,
        is_blocked: bool,
    ) {
        let credit = (!is_blocked).then_some(&self.credit);
        match subscription.publish_message(event, credit) {
            Publication::Queued => {}
            Publication::Dropped => {
                self.registry.on_drop();
                if is_blocked {
                    self.end_if_stuck(subscription, Instant::now());
                }
            }
            Publication::Ended | Publication::TooSlow => self.registry.remove(subscription),
        }
    }

    /// Publishes a control event of the stream.
    pub(in crate::connection) fn control(&mut self, event: &ControlEvent) {
        if let ControlEvent::HandshakeComplete { .. } | ControlEvent::StreamOpened { .. } = event {
            self.awaits_closed_streams = self.closed_streams_are_pending();
        }
        self.registry.publish_control(event);
    }

    /// Reports dropped events if a report is due. Must be called about once a second.
    pub(in crate::connection) fn report_lag(&self) {
        self.registry.report_lag(false);
    }

    /// Returns whether the credit is spent. Reading must then pause, unless a request to the peer
    /// is open.
    pub(in crate::connection) fn is_blocked(&mut self) -> bool {
        self.credit.used() >= self.limits.max_subscriber_backlog_bytes || self.is_held_back()
    }

    /// Returns whether a pause of reading must continue. Requests a wake-up if it must.
    ///
    /// Reading resumes at half of the limit, so that a fast subscriber does not cause a wake-up for
    /// each event. [`EventPublisher::end_pause`] must follow.
    pub(in crate::connection) fn pause_continues(&mut self) -> bool {
        let below = self.limits.max_subscriber_backlog_bytes / 2 + 1;
        self.credit.wake_below(below);
        self.credit.used() >= below || self.is_held_back()
    }

    /// Cancels the request of [`EventPublisher::pause_continues`].
    pub(in crate::connection) fn end_pause(&self) {
        self.credit.wake_below(0);
    }

    /// Ends the subscriptions whose receivers took nothing for the subscriber timeout. Must be
    /// called during a pause. Returns the time of the next call, or `None` if no subscription delays
    /// a stream.
    pub(in crate::connection) fn end_stuck_subscriptions(
        &mut self,
        now: Instant,
    ) -> Option<Instant> {
        self.refresh();
        let messages = self.subscriptions.messages.iter();
        let deadlines = messages.filter_map(|one| self.end_if_stuck(one, now));
        deadlines.min()
    }

    /// Restarts the subscriber timeout. Must be called after the process was suspended, when the
    /// receivers could take nothing.
    pub(in crate::connection) fn on_suspended(&self, now: Instant) {
        let messages = self.subscriptions.messages.iter();
        messages.for_each(|subscription| subscription.restart_timeout(now));
    }

    /// Ends a subscription if its receiver took nothing for the subscriber timeout. Returns when
    /// that may be the case, if it is not.
    fn end_if_stuck(&self, subscription: &Arc<Subscription>, now: Instant) -> Option<Instant> {
        let timeout = self.limits.subscriber_timeout;
        let deadline = subscription.too_slow_at(timeout, now)?;
        if now < deadline {
            return Some(deadline);
        }
        let cause = format_args!("timed out after {timeout:?}");
        self.registry.end_too_slow(subscription, cause);
        None
    }

    /// Returns whether the pending events of closed streams still count for this stream.
    ///
    /// Their release wakes no stream: the thread checks once a second during a pause. When they fall
    /// below the limit, almost as many bytes are still pending in the queues, so receivers have
    /// events until then, and thousands of streams that were held back do not wake at once.
    fn is_held_back(&mut self) -> bool {
        self.awaits_closed_streams =
            self.awaits_closed_streams && self.closed_streams_are_pending();
        self.awaits_closed_streams
    }

    fn closed_streams_are_pending(&self) -> bool {
        self.registry.closed_streams.used() >= self.limits.max_subscriber_backlog_bytes
    }

    fn refresh(&mut self) {
        self.registry
            .refresh(&mut self.version, &mut self.subscriptions);
    }
}

impl Drop for EventPublisher {
    fn drop(&mut self) {
        self.credit.close();
    }
}

#[cfg(test)]
mod tests;
