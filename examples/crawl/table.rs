//! Prints the statistics as tables.

use std::io;

use crate::census::{Census, Shares};
use crate::shared::say;

/// Maximum number of values in a table. An additional row sums up the less frequent ones.
const ROWS: usize = 12;

/// Prints all statistics. `known` is the number of known addresses.
pub(crate) fn print(census: &Census, known: usize) -> io::Result<()> {
    say(format_args!("addresses known     {known:>7}"))?;
    say(format_args!("nodes reached       {:>7}", census.reached))?;
    say(format_args!(
        "nodes not reached   {:>7}",
        census.not_reached
    ))?;
    say(format_args!(
        "nodes that sent addr{:>7}",
        census.sent_addresses
    ))?;
    for (title, shares) in [
        ("user agent", &census.user_agents),
        ("protocol version", &census.versions),
        ("services", &census.services),
        ("best height", &census.heights),
        ("failure reason", &census.failures),
    ] {
        part(title, shares)?;
    }
    if let Some(marks) = census.round_trips.marks() {
        say("")?;
        let marks = marks.map(|(name, time)| format!("{name} {time:.3} ms"));
        say(format_args!("round trips: {}", marks.join(", ")))?;
    }
    Ok(())
}

/// Prints the table of one property, or nothing if it has no values.
fn part(title: &str, shares: &Shares) -> io::Result<()> {
    let sorted = shares.sorted();
    if sorted.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<_> = sorted
        .iter()
        .take(ROWS)
        .map(|share| (share.value.to_owned(), share.count, share.share))
        .collect();
    if sorted.len() > ROWS {
        let others = &sorted[ROWS..];
        rows.push((
            format!("{} others", others.len()),
            others.iter().map(|share| share.count).sum(),
            others.iter().map(|share| share.share).sum(),
        ));
    }
    let widest = rows.iter().map(|(value, ..)| value.chars().count()).max();
    let width = widest.unwrap_or_default().max(title.len());
    say("")?;
    say(format_args!(
        "{title:<width$}  {:>7}  {:>7}",
        "nodes", "share"
    ))?;
    for (value, count, share) in rows {
        let percent = share * 100.0;
        say(format_args!("{value:<width$}  {count:>7}  {percent:>6.1}%"))?;
    }
    Ok(())
}
