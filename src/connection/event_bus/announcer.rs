//! Control events that no connection sends.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use crossbeam_channel::{Receiver, never};

use super::EventBus;
use super::delivery::Delivery;
use super::waiting::Signals;
use crate::connection::ConnectionConfig;
use crate::connection::stop::Stop;
use crate::event::ControlEvent;

/// Tells control events for whoever owns the connections of a bus. Never blocks: what subscribers do not take waits, bounded as for a
/// peer, and is counted as missed beyond that.
#[derive(Debug)]
pub(crate) struct Announcer {
    delivery: Delivery,
    stop: Stop,
    /// One, for ever: nobody is read, so nobody can be held back.
    open_requests: AtomicUsize,
    wake: Receiver<()>,
}

impl Announcer {
    /// One that tells the subscribers of `bus`, within these limits.
    pub(crate) fn new(bus: &EventBus, limits: &ConnectionConfig) -> Self {
        Self {
            delivery: bus.delivery(limits.into()),
            stop: Stop::new(),
            open_requests: AtomicUsize::new(1),
            wake: never(),
        }
    }

    /// Other limits hold from now on.
    pub(crate) fn set_limits(&mut self, limits: &ConnectionConfig) {
        self.delivery.set_limits(limits.into());
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, event: ControlEvent) {
        let signals = Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake,
        };
        self.delivery.control(event, &signals);
    }

    /// Hands out what has room by now. To be called at [`Announcer::next_wake`].
    pub(crate) fn on_wake(&mut self) {
        let signals = Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake,
        };
        self.delivery.on_wake(&signals);
    }

    /// When to look again whether subscribers have taken what waits for them, if something does.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.delivery.wake_by(None)
    }

    /// Gives up what still waits, and tells how much that is.
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
