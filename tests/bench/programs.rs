//! Programs that repeat an operation.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::timing::Program;

/// Creates a program whose results are dropped within the measured time.
pub(crate) fn repeated<'a, T>(mut work: impl FnMut() -> T + 'a) -> Program<'a> {
    Box::new(move |count| {
        let begin = Instant::now();
        for _ in 0..count {
            black_box(work());
        }
        begin.elapsed()
    })
}

/// Creates a program whose results are dropped outside the measured time, for work that takes much
/// longer than reading the clock.
pub(crate) fn without_drop<'a, T>(mut work: impl FnMut() -> T + 'a) -> Program<'a> {
    Box::new(move |count| {
        let mut time = Duration::ZERO;
        for _ in 0..count {
            let begin = Instant::now();
            let result = black_box(work());
            time += begin.elapsed();
            drop(result);
        }
        time
    })
}

/// Formats seconds for display.
pub(crate) fn readable(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-5 => format!("{:.2} µs", s * 1e6),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1e-2 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.0} ms", s * 1e3),
    }
}
