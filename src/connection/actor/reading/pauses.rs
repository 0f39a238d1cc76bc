//! Backpressure: pauses reads and suspends the timeouts of the peer.

use std::time::{Duration, Instant};

use super::{Reading, Role};
use crate::deadline::saturating_add;
use crate::session::{ConnectionState, DisconnectReason};

/// The interval at which suspended timeouts are checked again.
const STANDSTILL: Duration = Duration::from_secs(1);

impl Reading<'_> {
    /// Handles expired timeouts on the thread of the first stream. Returns the time of the next
    /// check.
    pub(super) fn look_at_clock(&self, now: Instant) -> Option<Instant> {
        let Role::First { .. } = self.role else {
            return None;
        };
        let deadline = self.connection.session().next_deadline()?;
        if now < deadline {
            return Some(deadline);
        }
        self.peer.keep_alive(self.connection, now);
        if self.connection.data_stream.reads_paused() {
            // The expected data may be in the socket that is not read. Timeouts are shifted when
            // reading resumes.
            return Some(now + STANDSTILL);
        }
        let transfer = self.connection.streams().last_transfer();
        let mut session = self.connection.session();
        // A large outgoing frame in progress delays a pong as well.
        if session.state() == ConnectionState::Connected
            && let Some(transfer) = transfer
        {
            session.on_partial_frame(transfer);
        }
        session.on_timeout(now);
        session.next_deadline()
    }

    /// Pauses reading while subscribers have too many pending events of this stream, unless a
    /// request is open. Suspends the timeouts of the peer.
    pub(super) fn wait_for_subscribers(&mut self) {
        if !self.events.publisher.is_blocked() || self.connection.requests.any() {
            return;
        }
        self.set_pauses(true);
        let from = Instant::now();
        let until = loop {
            self.apply_config();
            let now = Instant::now();
            let publisher = &mut self.events.publisher;
            let too_slow_at = publisher.end_stuck_subscriptions(now);
            publisher.report_lag();
            let continues = publisher.pause_continues() && !self.connection.requests.any();
            // Data that arrived before the peer closed the connection is still delivered.
            if !continues || self.connection.close.is_closed() {
                break now;
            }
            self.peer.keep_alive(self.connection, now);
            let latest = now + STANDSTILL;
            self.wait_until(too_slow_at.map_or(latest, |at| at.min(latest)));
        };
        self.events.publisher.end_pause();
        self.on_reads_paused(from, until);
        self.set_pauses(false);
    }

    /// Waits until a change that concerns this thread, until `deadline` at most.
    fn wait_until(&self, deadline: Instant) {
        let wakers = self.connection.close.wakers();
        wakers.of(self.stream.kind).wait_until(deadline);
    }

    /// Pauses reading until payload memory is available or the connection is closing. Suspends the
    /// timeouts of the peer.
    pub(super) fn wait_for_memory(&mut self) -> Result<(), DisconnectReason> {
        self.set_pauses(true);
        let from = Instant::now();
        let result = loop {
            self.apply_config();
            let now = Instant::now();
            if self.reader.has_memory() || self.connection.close.is_closed() {
                self.on_reads_paused(from, now);
                break Ok(());
            }
            self.peer.keep_alive(self.connection, now);
            let timeout = self.peer.config().0.payload_memory_timeout;
            let mut next = saturating_add(from, timeout).saturating_duration_since(now);
            if next.is_zero() {
                if self.reader.on_memory_timeout(timeout, now) {
                    break Err(DisconnectReason::PayloadMemoryExhausted);
                }
                // Another peer was closed. Its memory is available once its thread has ended.
                next = timeout;
            }
            self.events.publisher.report_lag();
            self.wait_until(now + next.min(STANDSTILL));
        };
        self.set_pauses(false);
        result
    }

    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.connection.session().on_reads_paused(from, until);
        self.reader
            .on_reads_paused(until.saturating_duration_since(from));
    }

    /// Records a pause of the second stream. The thread that checks timeouts must know of it while
    /// it lasts.
    pub(super) fn set_pauses(&self, pauses: bool) {
        if let Role::Second = self.role {
            self.connection.data_stream.set_reads_paused(pauses);
        }
    }
}
