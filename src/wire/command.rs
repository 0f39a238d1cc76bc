//! Names of messages.

use std::fmt;

use super::WireString;

/// The name of a message: up to twelve printable characters, padded with NUL on the wire.
///
/// Rule (Bitcoin SV node, `src/protocol.cpp`, `CMessageFields::CheckHeaderMagicAndCommand`): bytes before the
/// first NUL are 0x20 to 0x7e, all behind it are NUL. The empty name is well formed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command([u8; Command::LEN]);

/// Twelve bytes that are no [`Command`]: a character that is not printable, or a byte behind the padding.
///
/// A node reads such a frame to its end and drops it without a word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {0:?} is not printable text padded with NUL")]
pub struct InvalidCommand(pub WireString);

impl InvalidCommand {
    pub(super) fn of(bytes: [u8; Command::LEN]) -> Self {
        Self(WireString::from(&bytes[..]))
    }
}

impl Command {
    /// How many bytes a command has on the wire.
    pub const LEN: usize = 12;

    /// The command of that name. Meant for constants.
    ///
    /// # Panics
    ///
    /// If `name` is longer than twelve bytes or not printable ASCII; in a constant that is an error of
    /// the compiler. Names that come from elsewhere go through [`Command::parse`].
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

    /// Reads a command from its twelve bytes on the wire.
    ///
    /// # Errors
    ///
    /// [`InvalidCommand`] if a character is not printable or a byte follows the padding.
    pub fn parse(bytes: [u8; Self::LEN]) -> Result<Self, InvalidCommand> {
        Self::of(bytes).ok_or_else(|| InvalidCommand::of(bytes))
    }

    /// The same, without an allocation for what is none.
    #[inline]
    pub(super) fn of(bytes: [u8; Self::LEN]) -> Option<Self> {
        let len = Self(bytes).name_len();
        // All of them, as twelve at once cost less than the first ones one by one. A NUL in front of something else is not printable.
        let mut printable = true;
        for (at, byte) in bytes.iter().enumerate() {
            printable &= at >= len || matches!(byte, b' '..=b'~');
        }
        printable.then_some(Self(bytes))
    }

    /// The name without its padding.
    pub fn name(&self) -> &str {
        // Nothing but NUL stands behind the first one. Only printable ASCII gets in.
        std::str::from_utf8(&self.0[..self.name_len()]).unwrap_or_default()
    }

    /// How many bytes there are up to the last that is not NUL.
    const fn name_len(self) -> usize {
        (u128::BITS - self.to_number().leading_zeros()).div_ceil(8) as usize
    }

    /// All its bytes as one number, the first as the lowest: compared at once.
    pub(super) const fn to_number(self) -> u128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        first as u128 | (u32::from_le_bytes([i, j, k, l]) as u128) << 64
    }

    /// The twelve bytes on the wire.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

/// What stands before the first NUL: the part of a command that the node judges first.
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
    fn a_command_may_use_all_twelve_bytes_or_none() {
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
    fn bytes_behind_the_padding_and_control_characters_are_refused() {
        assert!(Command::parse(*b"ping\0garbage").is_err());
        assert!(Command::parse(*b"pi\x07g\0\0\0\0\0\0\0\0").is_err());
        assert!(Command::parse(*b"pi\x7fg\0\0\0\0\0\0\0\0").is_err());
    }
}
