//! Prints the report as text.

use std::io;

use crate::census::Census;
use crate::report::{Chart, Report};
use crate::shared::say;

/// Prints the report. `known` is the number of known addresses.
pub(crate) fn print(report: &Report, census: &Census, known: usize) -> io::Result<()> {
    for (name, count) in [
        ("addresses known", known),
        ("nodes reached", census.reached),
        ("nodes not reached", census.not_reached),
        ("nodes that sent addr", census.sent_addresses),
    ] {
        say(format_args!("{name:<20}{count:>8}"))?;
    }
    for chart in &report.charts {
        print_chart(chart)?;
    }
    Ok(())
}

/// Prints a chart as a table, or nothing if it has no rows.
fn print_chart(chart: &Chart) -> io::Result<()> {
    if chart.rows.is_empty() {
        return Ok(());
    }
    let labels = chart.rows.iter().map(|row| row.label.chars().count());
    let width = labels.max().unwrap_or_default().max(chart.labels.len());
    let (labels, unit) = (chart.labels, chart.unit);
    say("")?;
    say(format_args!("{labels:<width$}  {unit:>9}  {:>7}", "share"))?;
    for row in &chart.rows {
        let percent = row.share * 100.0;
        say(format_args!(
            "{:<width$}  {:>9}  {percent:>6.1}%",
            row.label, row.count
        ))?;
    }
    match &chart.note {
        Some(note) => say(note),
        None => Ok(()),
    }
}
