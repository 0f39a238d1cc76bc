//! Commands: the names of messages on the wire.

use std::fmt;
use std::str::FromStr;

use super::WireString;
use super::hash::shorten;

/// The command that identifies a message: up to twelve printable characters, padded with NUL on the
/// wire.
///
/// Bytes before the first NUL must be 0x20 to 0x7e, and all bytes after it must be NUL. The empty
/// name is valid. Source: Bitcoin SV node, `src/protocol.cpp`,
/// `CMessageFields::CheckHeaderMagicAndCommand`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command([u8; Command::LEN]);

/// The error of twelve bytes, or of a string, that are not a [`Command`].
///
/// A character is not printable, a byte other than NUL follows the padding, or a string is too
/// long. A node reads a frame with such a command to its end and discards it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid command {0:?}: expected at most 12 printable ASCII characters")]
pub struct InvalidCommand(pub WireString);

impl InvalidCommand {
    pub(super) fn new(bytes: [u8; Command::LEN]) -> Self {
        Self(WireString::from(&bytes[..]))
    }
}

impl Command {
    /// The length of a command on the wire, in bytes.
    pub const LEN: usize = 12;

    /// Creates a command from its name. Intended for constants.
    ///
    /// Use `FromStr` for names that are not constant.
    ///
    /// # Panics
    ///
    /// If `name` is longer than twelve bytes or not printable ASCII. In a constant this is a
    /// compile error.
    pub const fn new(name: &str) -> Self {
        let name = name.as_bytes();
        assert!(
            name.len() <= Self::LEN,
            "a command has at most twelve characters"
        );
        let mut bytes = [0; Self::LEN];
        let mut at = 0;
        while at < name.len() {
            assert!(
                matches!(name[at], b' '..=b'~'),
                "a command is printable ASCII"
            );
            bytes[at] = name[at];
            at += 1;
        }
        Self(bytes)
    }

    /// Parses a command from its twelve bytes on the wire.
    ///
    /// # Errors
    ///
    /// [`InvalidCommand`] if a character is not printable or a byte follows the padding.
    pub fn parse(bytes: [u8; Self::LEN]) -> Result<Self, InvalidCommand> {
        Self::from_wire(bytes).ok_or_else(|| InvalidCommand::new(bytes))
    }

    /// Like [`parse`](Self::parse), but returns `None` without an allocation if the bytes are
    /// invalid.
    #[inline]
    pub(super) fn from_wire(bytes: [u8; Self::LEN]) -> Option<Self> {
        let len = Self(bytes).name_len();
        // Checking all twelve bytes is faster than stopping at the end of the name. A NUL before
        // `len` is followed by other bytes, so it counts as not printable.
        let mut printable = true;
        for (at, byte) in bytes.iter().enumerate() {
            printable &= at >= len || matches!(byte, b' '..=b'~');
        }
        printable.then_some(Self(bytes))
    }

    /// Returns the name without its padding.
    pub fn name(&self) -> &str {
        // The constructors allow printable ASCII only, followed by NUL.
        std::str::from_utf8(&self.0[..self.name_len()]).unwrap_or_default()
    }

    /// Returns the length of the name: the position after the last byte that is not NUL.
    const fn name_len(self) -> usize {
        (u128::BITS - self.to_number().leading_zeros()).div_ceil(8) as usize
    }

    /// Returns all bytes as one little-endian number, so that a comparison is one operation.
    pub(super) const fn to_number(self) -> u128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        first as u128 | (u32::from_le_bytes([i, j, k, l]) as u128) << 64
    }

    /// Returns the twelve bytes on the wire.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

impl FromStr for Command {
    type Err = InvalidCommand;

    /// Creates a command from its name, as returned by [`Command::name`].
    fn from_str(name: &str) -> Result<Self, InvalidCommand> {
        let is_valid =
            name.len() <= Self::LEN && name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_valid {
            return Err(InvalidCommand(WireString::from(shorten(name))));
        }
        let mut bytes = [0; Self::LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }
}

/// Returns the bytes before the first NUL, which the node checks first.
pub(super) fn text_before_nul(bytes: &[u8; Command::LEN]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_may_have_twelve_or_no_characters() {
        assert_eq!(
            Command::parse(*b"123456789012").unwrap().name(),
            "123456789012"
        );
        assert_eq!(Command::parse([0; 12]).unwrap().name(), "");
        assert_eq!(
            Command::parse(*b"ping\0\0\0\0\0\0\0\0").unwrap(),
            Command::new("ping")
        );
    }

    #[test]
    fn control_characters_and_nonzero_padding_are_rejected() {
        assert!(Command::parse(*b"ping\0garbage").is_err());
        assert!(Command::parse(*b"pi\x07g\0\0\0\0\0\0\0\0").is_err());
        assert!(Command::parse(*b"pi\x7fg\0\0\0\0\0\0\0\0").is_err());
    }

    #[test]
    fn parse_is_the_inverse_of_display() {
        for name in ["", "ping", "two words", "123456789012"] {
            let command: Command = name.parse().unwrap();
            assert_eq!(command.to_string(), name);
            assert_eq!(Command::parse(command.to_bytes()), Ok(command));
        }
    }

    #[test]
    fn parse_error_names_the_value() {
        for name in ["1234567890123", "ping\0", "pi\tng", "pïng"] {
            let error = name.parse::<Command>().unwrap_err();
            assert_eq!(error.0.as_bytes(), name.as_bytes());
            assert!(error.to_string().starts_with("invalid command "), "{error}");
        }
    }
}
