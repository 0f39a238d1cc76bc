//! Prints JSON, in one form for all tools.

use std::io;

use serde::Serialize;

use super::say;

/// Prints an object as one line of JSON on standard output and flushes it.
///
/// The object contains the name of the event as `event`, and the fields of `fields`. Durations are
/// in milliseconds and their names end in `_ms`. Sizes are in bytes and their names end in
/// `_bytes`. The address of a peer is `peer`. Services are a number.
///
/// Escapes all characters except printable ASCII, so that text from peers cannot control the
/// terminal.
pub(crate) fn say_json(event: &str, fields: &impl Serialize) -> io::Result<()> {
    let mut line = String::new();
    for character in serde_json::to_string(&Object { event, fields })?.chars() {
        if matches!(character, ' '..='~') {
            line.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line += &format!("\\u{unit:04x}");
            }
        }
    }
    say(line)
}

#[derive(Serialize)]
struct Object<'a, F> {
    event: &'a str,
    #[serde(flatten)]
    fields: &'a F,
}
