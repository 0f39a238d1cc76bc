//! Records why a connection ended, and ends everything that belongs to it.
//!
//! A connection has one cell, which all of its threads and senders share. The cell is the only
//! record of the reason: events, errors of senders and failed requests report what it contains.
//!
//! # Order of reasons
//!
//! 1. The first reason that is recorded is final. It does not matter which thread records it: the
//!    session that found a violation, the owner that disconnects, or a write that failed.
//! 2. A FIN or RST of the peer is not final yet. The peer sent it after all other data, so data that
//!    arrived earlier is read and delivered first, on both streams. If this data contains a better
//!    reason, such as a `reject` or a violation, that reason is final.
//! 3. If the data contains no other reason, the connection ends with the first FIN or RST, on
//!    whichever stream it arrived. The other stream may report another one, because a peer can reset
//!    one stream and close the other.
//! 4. A reason that is recorded locally during the phase of rule 2 is final as well. It also ends
//!    the delivery of the remaining data.
//!
//! # Recording and closing
//!
//! [`CloseCell::record`] refuses further messages of senders and wakes all stream threads, but
//! leaves the sockets open, so that the last replies of the session can be written.
//! [`CloseCell::close`] also shuts all sockets down and closes their send queues. The lock of the
//! cell is never held while another lock is taken, so the cell can be used under any lock.

use std::sync::atomic::{
    AtomicU8,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::waker::StreamWakers;
use crate::deadline::deadline_after;
use crate::session::DisconnectReason;
use crate::wire::StreamType;

/// A stream that ends with its connection.
pub(super) trait CloseTarget: Send + Sync {
    /// Shuts the socket down and closes the send queue. Does not block.
    fn shut_down(&self);
}

/// The reason why a connection ended. The [module documentation](self) describes the order of
/// reasons.
#[derive(Debug)]
pub(super) struct CloseCell {
    state: Mutex<CloseState>,
    /// Mirrors the phase of `state`, readable without the lock.
    phase: AtomicU8,
    wakers: StreamWakers,
}

#[derive(Debug, Default)]
struct CloseState {
    /// The final reason.
    reason: Option<DisconnectReason>,
    /// The first FIN or RST of the peer.
    peer_close: Option<DisconnectReason>,
    /// The streams that are open or being opened.
    targets: Vec<Weak<dyn CloseTarget>>,
}

/// The value of [`CloseCell::phase`] without a reason.
const OPEN: u8 = 0;
/// The value of [`CloseCell::phase`] after a FIN or RST of the peer.
const CLOSED_BY_PEER: u8 = 1;
/// The value of [`CloseCell::phase`] with a final reason.
const CLOSED: u8 = 2;

impl CloseCell {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            phase: AtomicU8::new(OPEN),
            wakers: StreamWakers::new(),
        }
    }

    /// Returns the wakers of the stream threads. Each change of the cell wakes them.
    pub(super) fn wakers(&self) -> &StreamWakers {
        &self.wakers
    }

    /// Adds a stream, which the end of the connection shuts down.
    ///
    /// # Errors
    ///
    /// The reason if the connection has ended. The caller must then close the stream.
    pub(super) fn add<T: CloseTarget + 'static>(
        &self,
        target: &Arc<T>,
    ) -> Result<(), DisconnectReason> {
        let mut state = self.state.lock();
        if let Some(reason) = state.reason() {
            return Err(reason.clone());
        }
        state.targets.retain(|target| target.strong_count() > 0);
        let target: Weak<T> = Arc::downgrade(target);
        state.targets.push(target);
        Ok(())
    }

    /// Records a final reason. The first one is kept.
    ///
    /// The streams stay open for the last replies. [`CloseCell::close`] must follow.
    pub(super) fn record(&self, reason: DisconnectReason) {
        let mut state = self.state.lock();
        if state.reason.is_none() {
            state.reason = Some(reason);
            self.phase.store(CLOSED, Release);
            self.wakers.wake_all();
        }
    }

    /// Records a FIN or RST of the peer on one stream. [`CloseCell::close_by_peer`] must follow.
    pub(super) fn record_peer_close(&self, reason: DisconnectReason) {
        let mut state = self.state.lock();
        if state.reason().is_none() {
            state.peer_close = Some(reason);
            self.phase.store(CLOSED_BY_PEER, Release);
            self.wakers.wake_all();
        }
    }

    /// Ends the connection: records `reason`, unless there is an earlier one, and shuts all streams
    /// down. Does not block.
    pub(super) fn close(&self, reason: DisconnectReason) {
        self.record(reason);
        self.shut_down();
    }

    /// Handles a FIN or RST of the peer on one stream. Returns the reason to report.
    ///
    /// Shuts all streams down, but data that arrived earlier can still be read. After a final reason,
    /// nothing is shut down, because the last replies may still be written. Does not block.
    pub(super) fn close_by_peer(&self, reason: DisconnectReason) -> DisconnectReason {
        self.record_peer_close(reason.clone());
        if !self.is_closed() {
            self.shut_down();
        }
        self.reason().unwrap_or(reason)
    }

    /// Returns whether there is no reason yet: neither a final one nor a FIN or RST of the peer.
    /// Does not lock.
    pub(super) fn is_open(&self) -> bool {
        self.phase.load(Acquire) == OPEN
    }

    /// Returns whether there is a final reason. Does not lock.
    pub(super) fn is_closed(&self) -> bool {
        self.phase.load(Acquire) == CLOSED
    }

    /// Returns the final reason, if there is one.
    pub(super) fn final_reason(&self) -> Option<DisconnectReason> {
        if !self.is_closed() {
            return None;
        }
        self.state.lock().reason.clone()
    }

    /// Returns the reason that errors report: the final one, or that of the FIN or RST.
    pub(super) fn reason(&self) -> Option<DisconnectReason> {
        if self.is_open() {
            return None;
        }
        self.state.lock().reason().cloned()
    }

    /// Waits on the thread of `stream` until there is a reason, for at most `timeout`. Returns
    /// whether there is one.
    pub(super) fn wait(&self, stream: StreamType, timeout: Duration) -> bool {
        let deadline = deadline_after(timeout);
        while self.is_open() && self.wakers.of(stream).wait_until(deadline) {}
        !self.is_open()
    }

    fn shut_down(&self) {
        let targets = self.state.lock().targets.clone();
        let targets = targets.iter().filter_map(Weak::upgrade);
        targets.for_each(|target| target.shut_down());
    }
}

impl CloseState {
    fn reason(&self) -> Option<&DisconnectReason> {
        self.reason.as_ref().or(self.peer_close.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A stream that counts how often it is shut down.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl CloseTarget for Counted {
        fn shut_down(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn cell_with_two_streams() -> (CloseCell, [Arc<Counted>; 2]) {
        let (cell, streams) = (CloseCell::new(), <[Arc<Counted>; 2]>::default());
        streams.iter().for_each(|one| cell.add(one).unwrap());
        (cell, streams)
    }

    fn is_shut_down(streams: &[Arc<Counted>]) -> bool {
        streams.iter().all(|one| one.0.load(SeqCst) > 0)
    }

    #[test]
    fn first_reason_wins_and_closes_all_streams() {
        let (cell, streams) = cell_with_two_streams();
        assert_eq!((cell.is_open(), cell.reason()), (true, None));
        cell.close(DisconnectReason::Requested);
        cell.close(DisconnectReason::Shutdown);
        cell.close_by_peer(DisconnectReason::ConnectionReset);
        assert_eq!(cell.final_reason(), Some(DisconnectReason::Requested));
        assert_eq!(cell.reason(), Some(DisconnectReason::Requested));
        assert!(is_shut_down(&streams));
        let late = cell.add(&Arc::new(Counted::default()));
        assert_eq!(late, Err(DisconnectReason::Requested));
    }

    #[test]
    fn recorded_reason_leaves_streams_open() {
        let (cell, streams) = cell_with_two_streams();
        cell.record(DisconnectReason::WrongChain);
        assert!(cell.is_closed() && !is_shut_down(&streams));
        cell.close(DisconnectReason::Requested);
        assert_eq!(cell.final_reason(), Some(DisconnectReason::WrongChain));
        assert!(is_shut_down(&streams));
    }

    #[test]
    fn first_peer_close_is_reported_for_both_streams() {
        let (cell, streams) = cell_with_two_streams();
        let reset = DisconnectReason::ConnectionReset;
        assert_eq!(cell.close_by_peer(reset.clone()), reset);
        assert_eq!(
            cell.close_by_peer(DisconnectReason::ConnectionClosed),
            reset
        );
        assert!(is_shut_down(&streams));
        assert!(!cell.is_open() && !cell.is_closed());
        assert_eq!((cell.reason(), cell.final_reason()), (Some(reset), None));
    }

    #[test]
    fn reason_in_earlier_data_replaces_peer_close() {
        let (cell, _streams) = cell_with_two_streams();
        cell.close_by_peer(DisconnectReason::ConnectionClosed);
        cell.record(DisconnectReason::Misbehaved { score: 100 });
        let misbehaved = Some(DisconnectReason::Misbehaved { score: 100 });
        assert_eq!(
            (cell.reason(), cell.final_reason()),
            (misbehaved.clone(), misbehaved)
        );
    }

    #[test]
    fn reason_ends_waits_of_both_threads() {
        let ends: [fn(&CloseCell); 3] = [
            |cell| cell.record(DisconnectReason::Requested),
            |cell| drop(cell.close_by_peer(DisconnectReason::ConnectionReset)),
            |cell| cell.close(DisconnectReason::Requested),
        ];
        for end in ends {
            let cell = CloseCell::new();
            // An unrelated wake-up does not end the wait.
            cell.wakers().wake_all();
            thread::scope(|scope| {
                for stream in [StreamType::General, StreamType::Data1] {
                    let cell = &cell;
                    scope.spawn(move || assert!(cell.wait(stream, LIMIT)));
                }
                end(&cell);
            });
        }
        let began = Instant::now();
        assert!(!CloseCell::new().wait(StreamType::General, Duration::from_millis(20)));
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
