//! Limits of JSON input that would otherwise need unbounded memory: long tokens and deep nesting.

use std::io::{self, Read};

/// The maximum length of an encoded string, number or name, in bytes. The longest that is written
/// is a user agent.
pub(super) const MAX_TOKEN: usize = 4096;

/// The maximum nesting of lists and objects. The deepest that is written is five: the reason of a
/// ban in the status of a peer.
pub(super) const MAX_DEPTH: usize = 16;

/// A reader that passes input through, and fails with `InvalidData` if a token is too long or the
/// nesting is too deep. Invalid JSON is left to the parser.
pub(super) struct LimitedJson<R> {
    reader: R,
    depth: usize,
    token: usize,
    in_string: bool,
    escaped: bool,
}

impl<R> LimitedJson<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            depth: 0,
            token: 0,
            in_string: false,
            escaped: false,
        }
    }

    fn check_byte(&mut self, byte: u8) -> io::Result<()> {
        self.token += 1;
        if self.in_string {
            let escaped = std::mem::take(&mut self.escaped);
            match byte {
                _ if escaped => (),
                b'\\' => self.escaped = true,
                b'"' => (self.in_string, self.token) = (false, 0),
                _ => (),
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => (),
                _ => return self.check(),
            }
            self.token = 0;
        }
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        if self.token > MAX_TOKEN {
            invalid(format!("string or number exceeds {MAX_TOKEN} bytes"))
        } else if self.depth > MAX_DEPTH {
            invalid(format!("nesting exceeds {MAX_DEPTH} levels"))
        } else {
            Ok(())
        }
    }
}

impl<R: Read> Read for LimitedJson<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        for byte in &buffer[..len] {
            self.check_byte(*byte)?;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut passed = String::new();
        match LimitedJson::new(text.as_bytes()).read_to_string(&mut passed) {
            Ok(_) => Ok(passed),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn short_and_flat_json_is_unchanged() {
        let deepest = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        let longest = format!("\"{}\"", "a".repeat(MAX_TOKEN));
        let number = "1".repeat(MAX_TOKEN);
        for text in [
            deepest.repeat(100),
            longest.repeat(100),
            format!("{number},{number}:{number} {number}\n{number}[{number}]"),
            r#"{"a\\":"\"[[[[[[[[[[[[[[[[[[[[","b":1}"#.into(),
            "]]]][]".into(),
        ] {
            assert_eq!(read(&text), Ok(text));
        }
    }

    #[test]
    fn long_or_deep_json_is_rejected() {
        let deep = Err(format!("nesting exceeds {MAX_DEPTH} levels"));
        for open in ["[", "{", "{\"a\":", "[1,\"\\\"\","] {
            assert_eq!(read(&open.repeat(MAX_DEPTH + 1)), deep, "{open}");
        }
        let long = Err(format!("string or number exceeds {MAX_TOKEN} bytes"));
        for token in ["\"", "\"\\\"", "1", "x"] {
            let text = token.to_owned() + &"1".repeat(MAX_TOKEN + 1);
            assert_eq!(read(&text), long, "{token}");
        }
        assert_eq!(read(&format!("\"{}", "\\\"".repeat(MAX_TOKEN))), long);
    }
}
