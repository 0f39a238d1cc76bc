//! A limit for the number of connections per second.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// Spreads connections over time.
pub(crate) struct Pace {
    interval: Duration,
    /// The earliest time of the next connection.
    next: Cell<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: Cell::new(Instant::now()),
        }
    }

    /// Blocks until the next connection may be opened, at most for the interval between two connections.
    pub(crate) fn wait(&self) {
        thread::sleep(self.next.get().saturating_duration_since(Instant::now()));
        self.next.set(Instant::now() + self.interval);
    }
}

/// Reads `--rate`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0.01 to 1000".into()),
    }
}
