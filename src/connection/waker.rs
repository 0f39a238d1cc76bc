//! Wakes the thread of a stream out of its waits.

use crossbeam_channel::{Receiver, Sender, bounded};

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
    #[cfg(test)]
    pub(super) fn wait_until(&self, deadline: std::time::Instant) -> bool {
        self.signal.recv_deadline(deadline).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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
}
