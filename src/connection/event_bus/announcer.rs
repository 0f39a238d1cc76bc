//! Publisher of control events that do not belong to a connection.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use crossbeam_channel::{Receiver, never};

use super::EventBus;
use super::delivery::Delivery;
use super::waiting::Signals;
use crate::connection::ConnectionConfig;
use crate::connection::stop::Stop;
use crate::event::ControlEvent;

/// Publishes control events of the owner of connections. Does not block.
///
/// Events for a full receiver are queued within the limits of a connection. Beyond these limits
/// they are dropped and counted.
#[derive(Debug)]
pub(crate) struct Announcer {
    delivery: Delivery,
    stop: Stop,
    /// Always 1: this publisher reads no socket, so backpressure does not apply.
    open_requests: AtomicUsize,
    wake: Receiver<()>,
}

impl Announcer {
    /// Creates a publisher for the subscribers of `bus`.
    pub(crate) fn new(bus: &EventBus, limits: &ConnectionConfig) -> Self {
        Self {
            delivery: bus.delivery(limits.into()),
            stop: Stop::new(),
            open_requests: AtomicUsize::new(1),
            wake: never(),
        }
    }

    /// Replaces the limits.
    pub(crate) fn set_limits(&mut self, limits: &ConnectionConfig) {
        self.delivery.set_limits(limits.into());
    }

    /// Publishes an event.
    pub(crate) fn tell(&mut self, event: ControlEvent) {
        let signals = Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake,
        };
        self.delivery.control(event, &signals);
    }

    /// Delivers queued events that have room now. Must be called at [`Announcer::next_wake`].
    pub(crate) fn on_wake(&mut self) {
        let signals = Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake,
        };
        self.delivery.on_wake(&signals);
    }

    /// Returns the time at which to retry queued events, or `None` if there are none.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.delivery.wake_by(None)
    }

    /// Drops queued events and reports their number.
    pub(crate) fn finish(mut self) {
        self.stop.set(crate::session::DisconnectReason::Shutdown);
        let signals = Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake,
        };
        self.delivery.finish(&signals);
    }
}
