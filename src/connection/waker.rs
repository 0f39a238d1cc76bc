//! Wakes the threads of streams out of their waits.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::wire::StreamType;

/// Ends the current or next wait of one thread.
///
/// A wake-up is kept until the thread waits. Several wake-ups before a wait count as one. After a
/// wait, the thread must check everything that it waits for. Safe to use from several threads.
#[derive(Debug)]
pub(super) struct Waker {
    sender: Sender<()>,
    signal: Receiver<()>,
}

impl Waker {
    pub(super) fn new() -> Self {
        let (sender, signal) = bounded(1);
        Self { sender, signal }
    }

    /// Ends the current or next wait. Does not block.
    pub(super) fn wake(&self) {
        // A full channel already holds a wake-up.
        let _ = self.sender.try_send(());
    }

    /// Returns the channel that receives wake-ups, for a `select!` with other channels.
    pub(super) fn signal(&self) -> &Receiver<()> {
        &self.signal
    }

    /// Waits for a wake-up, until `deadline` at most. Returns whether there was one.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        self.signal.recv_deadline(deadline).is_ok()
    }
}

/// The wakers of the threads that read the streams of one connection. A clone shares them.
#[derive(Clone, Debug)]
pub(super) struct StreamWakers {
    primary: Arc<Waker>,
    data: Arc<Waker>,
}

impl StreamWakers {
    pub(super) fn new() -> Self {
        Self {
            primary: Arc::new(Waker::new()),
            data: Arc::new(Waker::new()),
        }
    }

    /// Returns the waker of the thread that reads `stream`.
    pub(super) fn of(&self, stream: StreamType) -> &Arc<Waker> {
        match stream {
            StreamType::General => &self.primary,
            _ => &self.data,
        }
    }

    /// Returns whether both are clones of the same wakers.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.primary, &other.primary)
    }

    pub(super) fn wake_all(&self) {
        self.primary.wake();
        self.data.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn wake_up_before_wait_is_kept_once() {
        let waker = Waker::new();
        waker.wake();
        waker.wake();
        let deadline = || Instant::now() + Duration::from_secs(10);
        assert!(waker.wait_until(deadline()));
        assert!(!waker.wait_until(Instant::now()));
    }

    #[test]
    fn wake_ends_wait_of_another_thread() {
        let waker = Waker::new();
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| waker.wait_until(Instant::now() + Duration::from_secs(10)));
            waker.wake();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn each_stream_has_a_waker_of_its_own() {
        let wakers = StreamWakers::new();
        wakers.wake_all();
        for stream in [StreamType::General, StreamType::Data1] {
            assert!(wakers.of(stream).wait_until(Instant::now()));
            assert!(!wakers.of(stream).wait_until(Instant::now()));
        }
    }
}
