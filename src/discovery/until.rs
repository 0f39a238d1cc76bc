//! How long a lookup may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::{Duration, Instant};

use super::{ResolveError, ServerFailure};
use crate::deadline::deadline_after;

/// A wait looks so often, at the longest, whether somebody has cut it short.
///
/// Only the socket itself could wake a thread that waits in `recv`, and whoever stops a lookup has a flag alone: so each wait is cut into
/// slices of this length by the socket's timeout.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// How long a lookup may take: a deadline, and flags by which somebody else cuts it short.
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
    stops: Vec<Arc<AtomicBool>>,
}

impl Deadline {
    /// A deadline that comes so much later than now.
    pub fn after(timeout: Duration) -> Self {
        Self {
            timeout,
            deadline: deadline_after(timeout),
            stops: Vec::new(),
        }
    }

    /// Also over as soon as `stop` is true. A further flag does not replace the first: any of them ends the lookup.
    pub fn with_cancel_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stops.push(stop);
        self
    }

    /// How much time there is; `None` once it is over, by the deadline or by a flag.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero() && !self.is_stopped()).then_some(left)
    }

    /// Whether one of the flags is true. A deadline that has passed is no stop.
    pub fn is_stopped(&self) -> bool {
        self.stops.iter().any(|stop| stop.load(Acquire))
    }

    /// The error of a lookup of `name` that ends because the time is over, and what the name servers did until then.
    pub(super) fn over(&self, name: &str, servers: Vec<ServerFailure>) -> ResolveError {
        if self.is_stopped() {
            return ResolveError::Stopped;
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
    fn any_of_its_flags_ends_it_and_a_passed_deadline_is_no_stop() {
        let flags = [false, false].map(|flag| Arc::new(AtomicBool::new(flag)));
        let until = Deadline::after(Duration::from_secs(60))
            .with_cancel_flag(flags[0].clone())
            .with_cancel_flag(flags[1].clone());
        assert!(until.remaining().is_some());
        for flag in &flags {
            flag.store(true, Release);
            assert!(until.is_stopped());
            assert_eq!(until.remaining(), None);
            assert_eq!(until.over("seed", Vec::new()), ResolveError::Stopped);
            flag.store(false, Release);
        }
        let until = Deadline::after(Duration::ZERO);
        assert_eq!(until.remaining(), None);
        assert!(!until.is_stopped());
        assert!(matches!(
            until.over("seed", Vec::new()),
            ResolveError::TimedOut {
                after: Duration::ZERO,
                ..
            }
        ));
    }

    #[test]
    fn a_time_that_no_clock_can_show_never_comes() {
        assert!(Deadline::after(Duration::MAX).remaining() > Some(Duration::from_secs(1 << 30)));
    }
}
