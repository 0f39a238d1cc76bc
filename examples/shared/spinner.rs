//! Progress display of tools whose total amount of work is unknown.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::shared::Failure;

/// Returns a spinner on standard error, hidden unless that is a terminal. Dropping it clears the
/// line.
pub(crate) fn spinner() -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{elapsed_precise}: {msg}")?;
    Ok(ProgressBar::new_spinner()
        .with_style(style)
        .with_finish(ProgressFinish::AndClear))
}
