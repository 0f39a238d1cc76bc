//! Prints numbers of things.

use std::fmt::Display;

/// Returns a number and a noun in its singular or plural form, such as `1 peer` or `2 peers`.
pub(crate) fn plural<N: Copy + Display + TryInto<u64>>(number: N, noun: &str) -> String {
    match (number.try_into(), noun.strip_suffix('y')) {
        (Ok(1), _) => format!("{number} {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}
