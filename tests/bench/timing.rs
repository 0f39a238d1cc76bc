//! Timing of programs that do the same work, in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
/// How long each program runs in a round, at least.
const TURN: Duration = Duration::from_millis(20);

/// A program: does its work so many times and says how long that took.
pub(crate) type Program<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// A program whose results are dropped within the time.
pub(crate) fn repeated<'a, T>(mut work: impl FnMut() -> T + 'a) -> Program<'a> {
    Box::new(move |count| {
        let begin = Instant::now();
        for _ in 0..count {
            black_box(work());
        }
        begin.elapsed()
    })
}

/// A program whose results are dropped outside the time: for work that takes many times longer than reading the clock.
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

/// The seconds that each program takes to do its work once: the median of several rounds in which all have their turn.
pub(crate) fn in_turns<const N: usize>(mut programs: [Program<'_>; N]) -> [f64; N] {
    let counts = programs.each_mut().map(|program| {
        let mut count = 1;
        while program(count) < TURN {
            count *= 2;
        }
        count
    });
    let mut rounds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((program, count), times) in programs.iter_mut().zip(counts).zip(&mut rounds) {
            times.push(program(count).as_secs_f64() / f64::from(count));
        }
    }
    rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}

/// Seconds for people.
pub(crate) fn readable(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-5 => format!("{:.2} µs", s * 1e6),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1e-2 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.0} ms", s * 1e3),
    }
}
