//! What the tools have in common that take their time: how long that is, and who cuts it short.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, bounded, never};

use crate::shared::Failure;

/// How long the system may take to resolve a name.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads `--seconds` and `--timeout`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is needed".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Tells of Ctrl-C. To be called once.
pub(crate) fn interrupts() -> Result<Receiver<()>, Failure> {
    let (interrupt, interrupted) = bounded(1);
    ctrlc::set_handler(move || {
        // A second Ctrl-C says nothing new.
        let _ = interrupt.try_send(());
    })?;
    Ok(interrupted)
}

/// Tells when that time is over; never without one.
pub(crate) fn over(after: Option<Duration>) -> Receiver<Instant> {
    match after.and_then(|after| Instant::now().checked_add(after)) {
        Some(end) => at(end),
        None => never(),
    }
}
