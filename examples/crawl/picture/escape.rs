//! Escapes text for HTML and XML.

use std::fmt::Write;

/// Escapes `text` for use in the content of an element or in a quoted attribute.
///
/// The text may contain data from peers, which must not be interpreted as markup. Characters that
/// are invisible or that change the order of other characters become Rust escapes such as
/// `\u{202e}`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            hidden if is_hidden(hidden) => {
                // Writing to a string never fails.
                let _ = write!(escaped, "{}", hidden.escape_unicode());
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns whether a character is a control character, a format character, or forbidden in XML.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
