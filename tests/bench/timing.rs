//! Timing of programs that do the same work, in turns.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How long each program runs in a round, at least: short, so that few turns are interrupted when the machine is busy.
const TURN: Duration = Duration::from_millis(1);
/// How many rounds there are: as many as fit into the time, within bounds.
const ROUNDS: RangeInclusive<usize> = 7..=301;
const ALL_ROUNDS: Duration = Duration::from_secs(2);

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

/// The seconds that each program takes to do its work once, and how many times longer each takes than the first.
///
/// All have their turn in every round. The median counts, of the ratios too: what slows the machine for a while slows all
/// turns of a round.
pub(crate) fn in_turns<const N: usize>(mut programs: [Program<'_>; N]) -> ([f64; N], [f64; N]) {
    let counts = programs.each_mut().map(|program| {
        let mut count = 1;
        while program(count) < TURN {
            count *= 2;
        }
        count
    });
    let mut rounds = Vec::new();
    let begin = Instant::now();
    while rounds.len() < *ROUNDS.start()
        || rounds.len() < *ROUNDS.end() && begin.elapsed() < ALL_ROUNDS
    {
        let mut round = [0.0; N];
        for ((program, count), time) in programs.iter_mut().zip(counts).zip(&mut round) {
            *time = program(count).as_secs_f64() / f64::from(count);
        }
        rounds.push(round);
    }
    let times = std::array::from_fn(|i| median(rounds.iter().map(|round| round[i])));
    let ratios = std::array::from_fn(|i| median(rounds.iter().map(|round| round[i] / round[0])));
    (times, ratios)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values = Vec::from_iter(values);
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
