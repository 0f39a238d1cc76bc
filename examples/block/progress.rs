//! The progress bar of a download.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::shared::Failure;

/// Returns a progress bar on standard error for a download of `bytes` bytes.
///
/// The bar is hidden if standard error is not a terminal. Dropping it clears the line.
pub(crate) fn bar(bytes: u64) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    Ok(ProgressBar::new(bytes)
        .with_style(ProgressStyle::with_template(style)?)
        .with_finish(ProgressFinish::AndClear))
}
