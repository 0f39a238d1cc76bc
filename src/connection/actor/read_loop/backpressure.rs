//! Backpressure: pauses reads and suspends the timeouts of the peer.

use std::time::{Duration, Instant};

use super::{ReadLoop, StreamRole};
use crate::deadline::saturating_add;
use crate::session::{ConnectionState, DisconnectReason};

/// The interval at which suspended timeouts are checked again.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl ReadLoop<'_> {
    /// Handles expired timeouts on the thread of the first stream. Returns the time of the next
    /// check.
    ///
    /// A timeout of the peer expires only after all data was read that arrived before. It may be in
    /// the socket after the process was stopped, or while the other stream is not read.
    pub(super) fn handle_timeouts(&self, now: Instant) -> Option<Instant> {
        let StreamRole::Primary { .. } = self.role else {
            return None;
        };
        let deadline = self.connection.session().next_deadline()?;
        if now < deadline {
            return Some(deadline);
        }
        // Timeouts are suspended while the data stream is not read, but pings must continue.
        self.peer.keep_alive(self.connection, now);
        let has_data = || self.connection.streams().has_unread_data();
        let data_read_until = self.connection.data_stream.read_until(now, has_data);
        let read_until = data_read_until.map_or(self.read_until, |data| data.min(self.read_until));
        let transfer = self.connection.streams().last_transfer();
        let mut session = self.connection.session();
        // A large outgoing frame in progress delays a pong as well.
        if session.state() == ConnectionState::Connected
            && let Some(transfer) = transfer
        {
            session.on_partial_frame(transfer);
        }
        session.on_timeout_read_until(now, read_until);
        let next = session.next_deadline()?;
        let is_data_unread = next <= now && self.read_until >= next;
        Some(if is_data_unread {
            now + CHECK_INTERVAL
        } else {
            next
        })
    }

    /// Records that the data that arrived on this stream until `time` was read.
    pub(super) fn set_read_until(&mut self, time: Instant) {
        self.read_until = time;
        if let StreamRole::Data = self.role {
            self.connection.data_stream.set_read_until(time);
        }
    }

    /// Pauses reading while subscribers have too many pending events of this stream, unless a
    /// request is open. Suspends the timeouts of the peer.
    pub(super) fn wait_for_subscribers(&mut self) {
        if !self.events.publisher.is_blocked() || self.connection.requests.any() {
            return;
        }
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
            let latest = now + CHECK_INTERVAL;
            let suspended = self.wait_until(too_slow_at.map_or(latest, |at| at.min(latest)));
            if !suspended.is_zero() {
                self.events.publisher.on_suspended(Instant::now());
            }
        };
        self.events.publisher.end_pause();
        self.on_reads_paused(from, until);
    }

    /// Waits until a change that concerns this thread, until `deadline` at most.
    ///
    /// Returns the time by which the wait exceeded its deadline, without the first second. The process
    /// was suspended then. Other threads could do nothing in that time either, so it counts for no
    /// timeout.
    fn wait_until(&self, deadline: Instant) -> Duration {
        let wakers = self.connection.close.wakers();
        wakers.of(self.stream.kind).wait_until(deadline);
        Instant::now().saturating_duration_since(deadline + CHECK_INTERVAL)
    }

    /// Pauses reading until payload memory is available or the connection is closing. Suspends the
    /// timeouts of the peer.
    pub(super) fn wait_for_memory(&mut self) -> Result<(), DisconnectReason> {
        let from = Instant::now();
        let mut suspended = Duration::ZERO;
        loop {
            self.apply_config();
            let now = Instant::now();
            if self.reader.has_memory() || self.connection.close.is_closed() {
                self.on_reads_paused(from, now);
                return Ok(());
            }
            self.peer.keep_alive(self.connection, now);
            let timeout = self.peer.config().0.payload_memory_timeout;
            let deadline = saturating_add(from + suspended, timeout);
            let mut next = deadline.saturating_duration_since(now);
            if next.is_zero() {
                if self.reader.on_memory_timeout(timeout, now) {
                    return Err(DisconnectReason::PayloadMemoryExhausted);
                }
                // Another peer was closed. Its memory is available once its thread has ended.
                next = timeout;
            }
            self.events.publisher.report_lag();
            suspended += self.wait_until(now + next.min(CHECK_INTERVAL));
        }
    }

    pub(super) fn on_reads_paused(&mut self, from: Instant, until: Instant) {
        self.connection.session().on_reads_paused(from, until);
        self.reader
            .on_reads_paused(until.saturating_duration_since(from));
    }
}
