//! The content of the table, the page and the image.

use std::hash::Hash;

use crate::census::{Census, Counts};
use crate::histogram::{self, Bin};
use crate::plural::plural;
use crate::run_info::RunInfo;

/// Maximum number of values in a chart. An additional row sums up the less frequent ones.
const ROWS: usize = 12;

/// The results of a crawl in the order of their presentation.
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) charts: Vec<Chart>,
    /// Names and values of the parameters of the run.
    pub(crate) parameters: Vec<(&'static str, String)>,
}

/// A single number.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// Whether it counts failures, which have another color.
    pub(crate) is_failure: bool,
}

/// A bar chart. Its bars start at 0 % and end at the share of their row, up to 100 %.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What the labels of the rows are.
    pub(crate) labels: &'static str,
    /// What is counted.
    pub(crate) unit: &'static str,
    /// The sum of all counts, which is 100 %.
    pub(crate) total: usize,
    pub(crate) rows: Vec<Row>,
    /// Further numbers on one line.
    pub(crate) note: Option<String>,
    /// Whether it counts failures, which have another color and pattern.
    pub(crate) is_failure: bool,
    /// Whether the labels are long.
    pub(crate) is_wide: bool,
}

/// A row of a chart.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) count: usize,
    /// Fraction of the total, from 0 to 1.
    pub(crate) share: f64,
}

impl Report {
    /// Creates the report. `known` is the number of known addresses.
    pub(crate) fn new(census: &Census, known: usize, run: &RunInfo) -> Self {
        let (reached, missed) = (census.reached, census.not_reached);
        let marks = census.round_trips.marks();
        let median = marks.map_or("-".to_owned(), |[_, (_, median), ..]| short_time(median));
        let figure = |name, value, is_failure| Figure {
            name,
            value,
            is_failure,
        };
        Self {
            title: format!("Crawl of Bitcoin SV {}", run.network()),
            subtitle: format!(
                "{}, {:.1} s: {} reached, {missed} not reached",
                run.started_at(),
                run.duration().as_secs_f64(),
                plural(reached, "node"),
            ),
            figures: vec![
                figure("nodes reached", reached.to_string(), false),
                figure("not reached", missed.to_string(), true),
                figure("addresses known", known.to_string(), false),
                figure("median round trip", median, false),
            ],
            charts: charts(census),
            parameters: run.parameters(),
        }
    }
}

/// Returns all charts, wide ones first and last.
fn charts(census: &Census) -> Vec<Chart> {
    let plain = |title, labels, rows| Chart::new(title, labels, rows);
    vec![
        Chart {
            is_wide: true,
            ..plain("User agents", "user agent", top(&census.user_agents))
        },
        plain("Protocol versions", "version", top(&census.versions)),
        plain("Services", "services", top(&census.services)),
        Chart {
            note: heights_note(&census.heights),
            ..plain(
                "Best heights",
                "best height",
                histogram::heights(&census.heights),
            )
        },
        Chart {
            note: census.round_trips.marks().map(|marks| {
                let marks = marks.map(|(name, time)| format!("{name} {time:.3} ms"));
                format!("round trips: {}", marks.join(", "))
            }),
            ..plain(
                "Round-trip times",
                "round-trip time",
                histogram::round_trips(&census.round_trips.sorted()),
            )
        },
        Chart {
            unit: "addresses",
            is_failure: true,
            is_wide: true,
            ..plain(
                "Failed connections",
                "failure reason",
                top(&census.failures),
            )
        },
    ]
}

/// Returns the most common, lowest and highest height on one line.
fn heights_note(heights: &Counts<i32>) -> Option<String> {
    let (common, _) = *heights.by_count().first()?;
    let sorted = heights.by_value();
    let ((highest, _), (lowest, _)) = (sorted.first()?, sorted.last()?);
    Some(format!(
        "heights: most common {common}, lowest {lowest}, highest {highest}"
    ))
}

/// Returns the most frequent values, then the sum of the others.
fn top<T: Eq + Hash + Ord + ToString>(counts: &Counts<T>) -> Vec<Bin> {
    let sorted = counts.by_count();
    let shown = if sorted.len() > ROWS { ROWS - 1 } else { ROWS };
    let (top, others) = sorted.split_at(shown.min(sorted.len()));
    let mut rows: Vec<_> = top
        .iter()
        .map(|(value, count)| (value.to_string(), *count))
        .collect();
    if !others.is_empty() {
        let count = others.iter().map(|(_, count)| count).sum();
        rows.push((format!("{} others", others.len()), count));
    }
    rows
}

impl Chart {
    fn new(title: &'static str, labels: &'static str, rows: Vec<Bin>) -> Self {
        let total: usize = rows.iter().map(|(_, count)| count).sum();
        let rows = rows.into_iter().map(|(label, count)| Row {
            label,
            count,
            share: count as f64 / total as f64,
        });
        Self {
            title,
            labels,
            unit: "nodes",
            total,
            rows: rows.collect(),
            note: None,
            is_failure: false,
            is_wide: false,
        }
    }
}

/// Formats milliseconds with a unit. Larger values have fewer decimals.
fn short_time(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        format!("{milliseconds:.2} ms")
    } else if milliseconds < 1_000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1_000.0)
    }
}
