//! Time limits and interruption of long-running tools.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, bounded, never};

use crate::shared::Failure;

/// Maximum time to resolve a name.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Parses `--timeout` and other durations.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Returns a channel that receives a message on Ctrl-C. Must be called at most once per process.
///
/// # Errors
///
/// - If the signal handler cannot be installed.
pub(crate) fn interrupts() -> Result<Receiver<()>, Failure> {
    let (interrupt, interrupted) = bounded(1);
    ctrlc::set_handler(move || {
        // The channel may be full after an earlier Ctrl-C.
        let _ = interrupt.try_send(());
    })?;
    Ok(interrupted)
}

/// Returns a channel that receives a message after this duration. It never does for `None`, or if
/// the end exceeds the range of the clock.
pub(crate) fn over(after: Option<Duration>) -> Receiver<Instant> {
    match after.and_then(|after| Instant::now().checked_add(after)) {
        Some(end) => at(end),
        None => never(),
    }
}
