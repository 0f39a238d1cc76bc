//! Progress display of tools whose total amount of work is unknown.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::shared::Failure;

/// Interval between two updates of the line.
const TICK: Duration = Duration::from_millis(250);

/// Returns a spinner on standard error, hidden unless that is a terminal. Dropping it clears the
/// line.
pub(crate) fn spinner() -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{elapsed_precise}: {msg}")?;
    let spinner = ProgressBar::new_spinner()
        .with_style(style)
        .with_finish(ProgressFinish::AndClear);
    // Shows the line at once, and updates the elapsed time while nothing else happens.
    spinner.enable_steady_tick(TICK);
    Ok(spinner)
}
