//! The rows of the table.

use std::fmt::Display;

pub(crate) fn print_head() {
    println!("| workload | this library | baseline | result | ratio | target | met |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
}

/// The goal for a ratio.
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
}

impl Aim {
    fn is_met(&self, ratio: f64) -> bool {
        match self {
            Aim::AtLeast(aim) => ratio >= *aim,
            Aim::AtMost(aim) => ratio <= *aim,
            Aim::Above(aim) => ratio > *aim,
        }
    }
}

impl Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Aim::AtLeast(aim) => write!(f, "at least {aim:?}"),
            Aim::AtMost(aim) => write!(f, "at most {aim:?}"),
            Aim::Above(aim) => write!(f, "above {aim:?}"),
        }
    }
}

/// Prints a row. `ours` and `theirs` are for information; the `ratio` is that of the rounds.
pub(crate) fn print_row(
    work: &str,
    ours: impl Display,
    beside: &str,
    theirs: impl Display,
    ratio: f64,
    aim: Aim,
) {
    let met = if aim.is_met(ratio) { "yes" } else { "no" };
    println!("| {work} | {ours} | {beside} | {theirs} | {ratio:.2} | {aim} | {met} |");
}
