//! Histograms of round-trip times and of heights.

use crate::census::Counts;

/// A range of values and the number of nodes in it.
pub(crate) type Bin = (String, usize);

/// Bounds between the ranges of round-trip times, in milliseconds.
///
/// A range includes its lower bound and excludes its upper bound.
const TIMES: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
];

/// Largest distances of the ranges of heights, in blocks: an hour, a day and a week.
const DISTANCES: [i64; 3] = [6, 144, 1_008];

/// Returns the ranges of round-trip times, the fastest first. `sorted` must be in ascending order.
pub(crate) fn round_trips(sorted: &[f64]) -> Vec<Bin> {
    let bins = (0..=TIMES.len()).map(|place| {
        let in_range = |time: &&f64| TIMES.partition_point(|bound: &f64| *bound <= **time) == place;
        (time_range(place), sorted.iter().filter(in_range).count())
    });
    trim(bins.collect())
}

/// Returns the name of the range that ends at `TIMES[place]`. The last range has no upper bound.
fn time_range(place: usize) -> String {
    let lower = place.checked_sub(1).map(|below| TIMES[below]);
    match (lower, TIMES.get(place)) {
        (Some(from), Some(to)) if *to <= 1_000.0 => format!("{from} to {to} ms"),
        (Some(from), Some(to)) => format!("{} to {} s", from / 1_000.0, to / 1_000.0),
        (Some(from), None) => format!("{} s or more", from / 1_000.0),
        (None, _) => format!("less than {} ms", TIMES[0]),
    }
}

/// Returns the ranges of heights by their distance from the most common height, the highest first.
pub(crate) fn heights(heights: &Counts<i32>) -> Vec<Bin> {
    let Some((common, _)) = heights.by_count().first().copied() else {
        return Vec::new();
    };
    let last = DISTANCES.len();
    // The index of a range: 0 for the common height, positive if ahead, negative if behind.
    let range = |height: i32| {
        let distance = i64::from(height) - i64::from(*common);
        let place = DISTANCES.partition_point(|bound| *bound < distance.abs());
        (place as isize + 1) * distance.signum() as isize
    };
    let places = (-(last as isize + 1)..=last as isize + 1).rev();
    let bins = places.map(|place| {
        let counts = heights.by_value().into_iter();
        let in_range = counts.filter(|(height, _)| range(**height) == place);
        let count = in_range.map(|(_, count)| count).sum();
        (height_range(place, *common), count)
    });
    trim(bins.collect())
}

/// Returns the name of a range of heights.
fn height_range(place: isize, common: i32) -> String {
    let side = if place > 0 { "ahead" } else { "behind" };
    let place = place.unsigned_abs();
    match place {
        0 => format!("at height {common}"),
        1 => format!("1 to {} blocks {side}", DISTANCES[0]),
        _ => match DISTANCES.get(place - 1) {
            Some(to) => format!("{} to {to} blocks {side}", DISTANCES[place - 2] + 1),
            None => format!("more than {} blocks {side}", DISTANCES[place - 2]),
        },
    }
}

/// Removes empty ranges at both ends.
fn trim(mut bins: Vec<Bin>) -> Vec<Bin> {
    let used = |(_, count): &Bin| *count > 0;
    bins.truncate(bins.iter().rposition(used).map_or(0, |last| last + 1));
    let first = bins.iter().position(used).unwrap_or(0);
    bins.split_off(first)
}
