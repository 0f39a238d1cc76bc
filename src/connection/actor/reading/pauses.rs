//! Backpressure: pauses reads and suspends the timeouts of the peer.

use std::time::{Duration, Instant};

use super::{Reading, Role};
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
        let deadline = self.peer.session.lock().next_deadline()?;
        if now < deadline {
            return Some(deadline);
        }
        self.peer.keep_alive(now);
        if self.peer.second.pauses() {
            // The expected data may be in the socket that is not read. Timeouts are shifted when
            // reading resumes.
            return Some(now + STANDSTILL);
        }
        let mut session = self.peer.session.lock();
        // A large outgoing frame in progress delays a pong as well.
        if session.state() == ConnectionState::Connected
            && let Some(transfer) = self.peer.links().last_transfer()
        {
            session.on_partial_frame(transfer);
        }
        session.on_timeout(now);
        session.next_deadline()
    }

    /// Pauses reading while subscribers have too many pending events of this stream, unless a
    /// request is open. Suspends the timeouts of the peer.
    pub(super) fn wait_for_subscribers(&mut self) {
        if !self.events.publisher.is_blocked() || self.peer.requests.any() {
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
            let continues = publisher.pause_continues() && !self.peer.requests.any();
            if !continues || self.is_closing() {
                break now;
            }
            self.peer.keep_alive(now);
            let next = too_slow_at.map_or(STANDSTILL, |at| at.saturating_duration_since(now));
            crossbeam_channel::select! {
                recv(self.stop().signal()) -> _ => {}
                recv(self.peer.requests.waker(self.link.kind).signal()) -> _ => {}
                default(next.min(STANDSTILL)) => {}
            }
        };
        self.events.publisher.end_pause();
        self.on_reads_paused(from, until);
        self.set_pauses(false);
    }

    /// Returns whether the connection was closed by this side. Data that arrived before the peer
    /// closed it is still read.
    fn is_closing(&self) -> bool {
        let closed = self.link.outbox.closed();
        self.stop().is_set()
            || closed.is_some_and(|reason| !reason.is_peer_close())
            || self.peer.session.lock().close_reason().is_some()
    }

    /// Pauses reading until payload memory is available. Suspends the timeouts of the peer.
    pub(super) fn wait_for_memory(&mut self) -> Result<(), DisconnectReason> {
        self.set_pauses(true);
        let from = Instant::now();
        let result = loop {
            let waited = from.elapsed();
            if self.reader.has_memory() {
                self.on_reads_paused(from, from + waited);
                break Ok(());
            }
            if self.peer.session.lock().close_reason().is_some() {
                // The other stream closed the connection.
                break Ok(());
            }
            self.peer.keep_alive(Instant::now());
            if waited >= self.peer.config().payload_memory_timeout {
                break Err(DisconnectReason::PayloadMemoryExhausted);
            }
            // Released memory is not signaled, so this polls at growing intervals.
            let step = (waited / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
            let stop = self.stop();
            if stop.wait(step) {
                break Err(stop.reason().unwrap_or(DisconnectReason::Requested));
            }
            self.events.publisher.report_lag();
        };
        self.set_pauses(false);
        result
    }

    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.peer.session.lock().on_reads_paused(from, until);
        self.reader
            .on_reads_paused(until.saturating_duration_since(from));
    }

    /// Records a pause of the second stream. The thread that checks timeouts must know of it while
    /// it lasts.
    pub(super) fn set_pauses(&self, pauses: bool) {
        if let Role::Second(_) = self.role {
            self.peer.second.set_pauses(pauses);
        }
    }
}
