//! Strings of the protocol: arbitrary bytes that are usually ASCII.

use std::fmt::{self, Write as _};

use super::{DecodeError, Encode, Reader, compact_size_len, write_compact_size};

/// A string of the protocol: arbitrary bytes, kept as received.
///
/// `Display` and `Debug` escape everything that is not printable ASCII, so a peer cannot forge or
/// break a line of output.
///
/// ```
/// use bsv_p2p::wire::WireString;
///
/// assert_eq!(WireString::from("/node:1/\nERROR").to_string(), r"/node:1/\nERROR");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WireString(Box<[u8]>);

impl WireString {
    /// Returns the bytes as received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text, or `None` if it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the string has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        field: &'static str,
        limit: u64,
    ) -> Result<Self, DecodeError> {
        reader.var_bytes(field, limit).map(Self::from)
    }
}

impl Encode for WireString {
    fn encode(&self, out: &mut Vec<u8>) {
        write_compact_size(self.0.len() as u64, out);
        out.extend_from_slice(&self.0);
    }

    fn encoded_len(&self) -> u64 {
        let len = self.0.len() as u64;
        compact_size_len(len) + len
    }
}

impl From<&[u8]> for WireString {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for WireString {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for WireString {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl PartialEq<str> for WireString {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for WireString {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Display for WireString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().copied() {
            match byte {
                b' '..=b'~' if byte != b'\\' => f.write_char(char::from(byte))?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for WireString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unlike `Display`, the output has quotes, so quotes inside must be escaped.
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
