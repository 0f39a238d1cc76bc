//! Times in which nothing is read on purpose, and the peer's clock, which stands still meanwhile.

use std::time::{Duration, Instant};

use super::{Reading, Role};
use crate::connection::actor::telling::Events;
use crate::session::{ConnectionState, DisconnectReason};

/// How long a clock that stands still is not looked at.
const STANDSTILL: Duration = Duration::from_secs(1);

impl Reading<'_> {
    /// Returns when to look again. One thread looks at the peer's clock.
    pub(super) fn look_at_clock(&self, now: Instant) -> Option<Instant> {
        let Role::First { .. } = self.role else {
            return None;
        };
        let deadline = self.shared.session.lock().next_deadline()?;
        if now < deadline {
            return Some(deadline);
        }
        self.shared.keep_alive(now);
        if self.shared.second.pauses() {
            // What is waited for may lie in the socket that is not read. When it is read again, the clock is put back.
            return Some(now + STANDSTILL);
        }
        let mut session = self.shared.session.lock();
        // A large frame of ours that moves holds an answer back as well.
        if session.state() == ConnectionState::Connected
            && let Some(transfer) = self.shared.links().last_transfer()
        {
            session.on_partial_frame(transfer);
        }
        session.on_timeout(now);
        session.next_deadline()
    }

    /// Stops reading while too much waits for subscribers. The peer's deadlines stand still meanwhile.
    pub(super) fn wait_for_subscribers(&mut self) {
        if !self.events.delivery.is_full() {
            return;
        }
        self.set_pauses(true);
        let (shared, link) = (self.shared, self.link);
        let is_over = || {
            shared.keep_alive(Instant::now());
            // What a peer said before it cut the connection is still read.
            let closed = link.outbox.closed();
            closed.is_some_and(|reason| !reason.is_peer_close())
                || shared.session.lock().close_reason().is_some()
        };
        let Events {
            delivery, signals, ..
        } = &mut self.events;
        if let Some((from, until)) = delivery.wait_for_room(signals, is_over) {
            self.on_reads_paused(from, until);
        }
        self.set_pauses(false);
    }

    /// Stops reading until there is memory for what the peer sends. The peer's deadlines stand still meanwhile.
    pub(super) fn wait_for_memory(&mut self) -> Result<(), DisconnectReason> {
        self.set_pauses(true);
        let from = Instant::now();
        let result = loop {
            let waited = from.elapsed();
            if self.inlet.has_memory() {
                self.on_reads_paused(from, from + waited);
                break Ok(());
            }
            if self.shared.session.lock().close_reason().is_some() {
                // The other stream has ended the peer.
                break Ok(());
            }
            self.shared.keep_alive(Instant::now());
            if waited >= self.shared.config().payload_memory_timeout {
                break Err(DisconnectReason::PayloadMemoryExhausted);
            }
            // Whoever holds the memory gives it back without a word: soon, or not for long.
            let step = (waited / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
            let stop = self.stop();
            if stop.wait(step) {
                break Err(stop.reason().unwrap_or(DisconnectReason::Requested));
            }
            // What waits for subscribers holds memory as well.
            self.events.delivery.on_wake(&self.events.signals);
        };
        self.set_pauses(false);
        result
    }

    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.shared.session.lock().on_reads_paused(from, until);
        self.inlet
            .on_reads_paused(until.saturating_duration_since(from));
    }

    /// Where another thread looks at the peer's clock, it has to know of a pause while it lasts.
    pub(super) fn set_pauses(&self, pauses: bool) {
        if let Role::Second(_) = self.role {
            self.shared.second.set_pauses(pauses);
        }
    }
}
