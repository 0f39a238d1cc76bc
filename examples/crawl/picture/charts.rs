//! Bar charts of shares and the histogram of round-trip times.

use super::svg::{Anchor, Canvas};
use crate::census::{RoundTrips, Shares};

/// Maximum number of bars in a chart. If there are more values, the last bar sums up the others.
const BARS: usize = 10;
/// Height of a bar with its margins, in pixels.
const ROW: f64 = 30.0;
/// Maximum height of a column with its label, in pixels.
const COLUMNS: f64 = 180.0;
/// Bounds between the ranges of the histogram, in milliseconds.
///
/// A range includes its lower bound and excludes its upper bound.
const BOUNDS: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
];

/// A bar of a chart.
pub(super) struct Bar {
    label: String,
    count: usize,
    share: f64,
}

/// Returns the bars of a chart, the longest first, then the sum of the rest.
pub(super) fn bars(shares: &Shares) -> Vec<Bar> {
    let sorted = shares.sorted();
    let shown = if sorted.len() > BARS { BARS - 1 } else { BARS };
    let mut bars: Vec<_> = sorted
        .iter()
        .take(shown)
        .map(|share| Bar {
            label: share.value.to_owned(),
            count: share.count,
            share: share.share,
        })
        .collect();
    if let Some(others @ [_, ..]) = sorted.get(shown..) {
        bars.push(Bar {
            label: format!("{} others", others.len()),
            count: others.iter().map(|share| share.count).sum(),
            share: others.iter().map(|share| share.share).sum(),
        });
    }
    bars
}

/// Returns the height of a chart with these bars, in pixels.
pub(super) fn bars_height(bars: &[Bar]) -> f64 {
    bars.len().max(1) as f64 * ROW
}

/// Draws bars with their labels on the left and their numbers on the right.
///
/// `labels` is the width of the labels in pixels.
pub(super) fn draw_bars(
    canvas: &mut Canvas,
    bars: &[Bar],
    (x, y): (f64, f64),
    (width, labels): (f64, f64),
) {
    const NUMBERS: f64 = 112.0;
    let track = width - labels - NUMBERS;
    if bars.is_empty() {
        canvas.text("muted", (x, y + 19.0), Anchor::Start, "none", 4);
    }
    for (row, bar) in bars.iter().enumerate() {
        let top = y + row as f64 * ROW;
        let text = top + 19.0;
        let longest = fitting(&bar.label, labels - 12.0);
        canvas.text("label", (x, text), Anchor::Start, &bar.label, longest);
        canvas.rect("track", (x + labels, top + 8.0), (track, 14.0), 4.0);
        // Even the smallest share must be visible.
        let length = (track * bar.share).max(3.0);
        canvas.rect("bar", (x + labels, top + 8.0), (length, 14.0), 4.0);
        let right = x + width;
        let count = bar.count.to_string();
        canvas.text("number", (right - 58.0, text), Anchor::End, &count, 20);
        let percent = format!("{:.1}%", bar.share * 100.0);
        canvas.text("muted number", (right, text), Anchor::End, &percent, 20);
    }
}

/// Returns the approximate number of characters of `label` that fit into `width` pixels.
///
/// The font depends on the viewer, so the widths are estimates.
fn fitting(label: &str, width: f64) -> usize {
    let mut left = width;
    let fits = label.chars().take_while(|character| {
        let wide = character.is_uppercase() || matches!(character, 'm' | 'w' | '_');
        left -= if wide { 9.6 } else { 7.2 };
        left >= 0.0
    });
    fits.count()
}

/// Height of the histogram with the names of its ranges, in pixels.
pub(super) const COLUMNS_HEIGHT: f64 = COLUMNS + 34.0;

/// Draws the histogram of round-trip times.
///
/// It has a column for each range from the fastest to the slowest node.
pub(super) fn draw_columns(
    canvas: &mut Canvas,
    round_trips: &RoundTrips,
    (x, y): (f64, f64),
    width: f64,
) {
    let counts = ranges(&round_trips.sorted());
    let highest = counts.iter().map(|(_, count)| *count).max();
    let Some(highest) = highest.filter(|highest| *highest > 0) else {
        canvas.text(
            "muted",
            (x, y + 19.0),
            Anchor::Start,
            "no node has answered a ping",
            80,
        );
        return;
    };
    let bottom = y + COLUMNS;
    let step = (width / counts.len() as f64).min(140.0);
    for (place, (range, count)) in counts.iter().enumerate() {
        let left = x + place as f64 * step;
        let middle = left + step / 2.0;
        let height = (COLUMNS - 24.0) * *count as f64 / highest as f64;
        if *count > 0 {
            let height = height.max(3.0);
            let corner = (left + 4.0, bottom - height);
            canvas.rect("bar", corner, (step - 8.0, height), 4.0);
            let above = (middle, bottom - height - 7.0);
            canvas.text("number", above, Anchor::Middle, &count.to_string(), 20);
        }
        canvas.text("muted", (middle, bottom + 20.0), Anchor::Middle, range, 20);
    }
    canvas.rect("line", (x, bottom), (width, 1.0), 0.0);
}

/// Returns the names of the ranges and the number of round trips in each.
///
/// `sorted` must be in ascending order. Ranges before the first and after the last value are
/// omitted.
fn ranges(sorted: &[f64]) -> Vec<(String, usize)> {
    let range = |time: &f64| BOUNDS.partition_point(|bound| bound <= time);
    let (Some(first), Some(last)) = (sorted.first().map(range), sorted.last().map(range)) else {
        return Vec::new();
    };
    let ranges = (first..=last).map(|place| {
        let count = sorted.iter().filter(|time| range(time) == place).count();
        (range_name(place), count)
    });
    ranges.collect()
}

/// Returns the name of the range that ends at `BOUNDS[place]`. The last range has no upper bound.
fn range_name(place: usize) -> String {
    match (
        place.checked_sub(1).map(|below| BOUNDS[below]),
        BOUNDS.get(place),
    ) {
        (None, Some(bound)) => format!("< {} ms", bound),
        (Some(from), Some(to)) if *to <= 1_000.0 => format!("{from}–{to} ms"),
        (Some(from), Some(to)) => format!("{}–{} s", from / 1_000.0, to / 1_000.0),
        (Some(from), None) => format!("≥ {} s", from / 1_000.0),
        (None, None) => String::new(),
    }
}
