//! Timing of programs that do the same work in turns.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The number of rounds: as many as fit into the time, within bounds.
const ROUNDS: RangeInclusive<usize> = 7..=301;

/// The durations of a measurement.
pub(crate) struct Turns {
    /// The minimum duration of a program's turn. It is short, so that few turns are interrupted on
    /// a busy machine.
    pub(crate) turn: Duration,
    /// The approximate duration of all rounds.
    pub(crate) all: Duration,
}

/// A program: repeats its work the given number of times and returns the elapsed time.
pub(crate) type Program<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// Returns the seconds per repetition of each program, and the ratio of each to the first.
///
/// All programs run in turn in every round, and the medians count. Anything that slows the machine
/// for a while slows all turns of a round.
pub(crate) fn in_turns<const N: usize>(
    turns: &Turns,
    mut programs: [Program<'_>; N],
) -> ([f64; N], [f64; N]) {
    let counts = programs.each_mut().map(|program| {
        let mut count = 1;
        while program(count) < turns.turn {
            count *= 2;
        }
        count
    });
    let mut rounds = Vec::new();
    let begin = Instant::now();
    while rounds.len() < *ROUNDS.start()
        || rounds.len() < *ROUNDS.end() && begin.elapsed() < turns.all
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
