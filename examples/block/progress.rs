//! How far a download has come, where a person may be looking.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::shared::Failure;

/// Shows on standard error how far it has come; gone when it is dropped.
pub(crate) fn bar(bytes: u64) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    Ok(ProgressBar::new(bytes)
        .with_style(ProgressStyle::with_template(style)?)
        .with_finish(ProgressFinish::AndClear))
}
