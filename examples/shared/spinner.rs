//! How a tool shows that it is at work when it cannot know how much is left.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::shared::Failure;

/// Shows on standard error how far it has come, if a person may be looking; gone when it is dropped.
pub(crate) fn spinner() -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{elapsed_precise}: {msg}")?;
    Ok(ProgressBar::new_spinner()
        .with_style(style)
        .with_finish(ProgressFinish::AndClear))
}
