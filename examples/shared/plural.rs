//! Prints numbers of things.

use std::fmt::Display;

/// Returns a number and a noun in its singular or plural form, such as `1 peer` or `2 peers`.
pub(crate) fn plural<N: Copy + Display + TryInto<u64>>(number: N, noun: &str) -> String {
    let s = match number.try_into() {
        Ok(1) => "",
        _ => "s",
    };
    format!("{number} {noun}{s}")
}
