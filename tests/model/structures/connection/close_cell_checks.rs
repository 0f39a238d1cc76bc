//! Checks of the close cell and of the wakers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use model_checker::{choose, elapsed, explore};

use super::close_cell::{CloseCell, CloseTarget};
use crate::session::DisconnectReason::{self, ConnectionReset, Requested, Shutdown};
use crate::wire::StreamType;

/// A timeout that no wait reaches.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Target {
    is_shut_down: AtomicBool,
}

impl CloseTarget for Target {
    fn shut_down(&self) {
        self.is_shut_down.store(true, SeqCst);
    }
}

/// Ends the connection in one of the ways in which its threads do.
fn end(cell: &CloseCell, reason: DisconnectReason) {
    match choose(3) {
        0 => cell.close(reason),
        1 => {
            cell.record(reason.clone());
            cell.close(reason);
        }
        _ => drop(cell.close_by_peer(ConnectionReset)),
    }
}

/// Two threads end a connection, and a third one reads the reason. A final reason never changes and
/// a connection never opens again. All streams must be shut down.
pub fn first_final_reason_is_kept() {
    explore(3000, || {
        let (cell, target) = (Arc::new(CloseCell::new()), Arc::<Target>::default());
        cell.add(&target).unwrap();
        let ending = [Requested, Shutdown].map(|reason| {
            let cell = cell.clone();
            thread::spawn(move || end(&cell, reason))
        });
        let reading = thread::spawn({
            let cell = cell.clone();
            move || {
                let mut last = None;
                for _ in 0..4 {
                    let (was_open, was_closed) = (cell.is_open(), cell.is_closed());
                    let reason = cell.final_reason();
                    assert!(
                        last.is_none() || reason == last,
                        "{last:?}, then {reason:?}"
                    );
                    assert!(reason.is_some() || !was_closed, "closed without a reason");
                    assert!(
                        was_open || cell.reason().is_some(),
                        "ended without a reason"
                    );
                    last = reason;
                }
                last
            }
        });
        ending.into_iter().for_each(|one| one.join().unwrap());
        let early = reading.join().unwrap();
        assert!(!cell.is_open());
        assert!(early.is_none() || early == cell.final_reason());
        assert!(cell.reason().is_some());
        assert!(target.is_shut_down.load(SeqCst));
    });
}

/// A stream is added while the connection ends. It must be shut down or refused.
pub fn added_stream_is_shut_down_or_refused() {
    explore(3000, || {
        let cell = Arc::new(CloseCell::new());
        let adding = thread::spawn({
            let cell = cell.clone();
            move || {
                let target = Arc::<Target>::default();
                cell.add(&target).map(|()| target)
            }
        });
        end(&cell, Requested);
        match adding.join().unwrap() {
            Ok(target) => assert!(target.is_shut_down.load(SeqCst), "an open stream is left"),
            Err(reason) => assert_eq!(Some(reason), cell.reason()),
        }
    });
}

/// The threads of both streams wait while the connection ends. Both waits must end at once, also if
/// a thread was woken for another cause before.
pub fn reason_ends_waits_of_both_streams() {
    explore(3000, || {
        let cell = Arc::new(CloseCell::new());
        let waiting = [StreamType::General, StreamType::Data1].map(|stream| {
            let cell = cell.clone();
            thread::spawn(move || assert!(cell.wait(stream, LIMIT)))
        });
        for _ in 0..choose(3) {
            cell.wakers().of(StreamType::Data1).wake();
        }
        end(&cell, Requested);
        waiting.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(elapsed(), Duration::ZERO);
    });
}
