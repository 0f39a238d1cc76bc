//! The deadline and the cancellation of a lookup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::{Duration, Instant};

use super::{ResolveError, ServerFailure};
use crate::deadline::deadline_after;

/// The maximum interval between two checks of the flags.
///
/// A flag cannot wake a thread that is blocked in `recv`, so the timeout of the socket divides each
/// wait into slices of this length.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The deadline of a lookup, with flags that cancel it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
/// use bsv_p2p::discovery::Deadline;
///
/// let stop = Arc::new(AtomicBool::new(false));
/// let until = Deadline::after(Duration::from_secs(10)).with_cancel_flag(stop.clone());
/// assert!(until.remaining() > Some(Duration::from_secs(9)));
/// stop.store(true, Ordering::Release);
/// assert_eq!(until.remaining(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Deadline {
    timeout: Duration,
    deadline: Instant,
    flags: Vec<Arc<AtomicBool>>,
}

impl Deadline {
    /// Creates a deadline `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        Self {
            timeout,
            deadline: deadline_after(timeout),
            flags: Vec::new(),
        }
    }

    /// Adds a flag that cancels the lookup when it is true. With several flags, each of them
    /// cancels it.
    pub fn with_cancel_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.flags.push(stop);
        self
    }

    /// Returns the remaining time, or `None` after the deadline or a cancellation.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero() && !self.is_cancelled()).then_some(left)
    }

    /// Returns whether one of the flags is true. An expired deadline does not count as
    /// cancellation.
    pub fn is_cancelled(&self) -> bool {
        self.flags.iter().any(|stop| stop.load(Acquire))
    }

    /// Returns the error of a lookup that timed out or was canceled, with the failures of its
    /// servers.
    pub(super) fn expired(&self, name: &str, servers: Vec<ServerFailure>) -> ResolveError {
        if self.is_cancelled() {
            return ResolveError::Cancelled;
        }
        ResolveError::TimedOut {
            name: name.to_owned(),
            after: self.timeout,
            servers,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Release;

    use super::*;

    #[test]
    fn any_flag_cancels_and_expired_deadline_does_not() {
        let flags = [false, false].map(|flag| Arc::new(AtomicBool::new(flag)));
        let until = Deadline::after(Duration::from_secs(60))
            .with_cancel_flag(flags[0].clone())
            .with_cancel_flag(flags[1].clone());
        assert!(until.remaining().is_some());
        for flag in &flags {
            flag.store(true, Release);
            assert!(until.is_cancelled());
            assert_eq!(until.remaining(), None);
            assert_eq!(until.expired("seed", Vec::new()), ResolveError::Cancelled);
            flag.store(false, Release);
        }
        let until = Deadline::after(Duration::ZERO);
        assert_eq!(until.remaining(), None);
        assert!(!until.is_cancelled());
        assert!(matches!(
            until.expired("seed", Vec::new()),
            ResolveError::TimedOut {
                after: Duration::ZERO,
                ..
            }
        ));
    }

    #[test]
    fn unrepresentable_deadline_never_expires() {
        assert!(Deadline::after(Duration::MAX).remaining() > Some(Duration::from_secs(1 << 30)));
    }
}
