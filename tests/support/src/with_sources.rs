//! The text of an error with its causes.

use std::error::Error;
use std::iter::successors;

/// Returns the text of an error and its sources, separated by `: `.
pub fn with_sources(error: &dyn Error) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}
