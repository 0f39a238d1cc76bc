//! The user agent of a peer.

use std::fmt;

/// The user agent of a peer: any bytes, of which the first [`UserAgent::MAX_LEN`] are kept.
///
/// `Display` and `Debug` escape everything except printable ASCII, so that a peer cannot forge
/// lines of output.
///
/// ```
/// use bsv_p2p::peers::UserAgent;
///
/// assert_eq!(UserAgent::new(b"/node:1/\nERROR").to_string(), r"/node:1/\nERROR");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserAgent(Box<[u8]>);

impl UserAgent {
    /// The maximum length of a user agent in a `version`, in bytes (Bitcoin SV node,
    /// `src/net/net.h`, `MAX_SUBVERSION_LENGTH`).
    pub const MAX_LEN: usize = 256;

    /// Creates a user agent from the bytes of a `version`. Bytes after [`UserAgent::MAX_LEN`] are
    /// dropped.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(Self::MAX_LEN)].into())
    }

    /// Returns the unmodified bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().copied() {
            match byte {
                b'"' | b'\'' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unlike in `Display`, quotes are escaped, because the text is quoted.
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_escapes_unprintable_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let agent = UserAgent::new(&all);
        for shown in [agent.to_string(), format!("{agent:?}")] {
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        assert_eq!(UserAgent::new(b"a\"b'c\\").to_string(), r#"a"b'c\\"#);
        assert_eq!(format!("{:?}", UserAgent::new(b"a\"\x1b")), r#""a\"\x1b""#);
    }

    #[test]
    fn long_user_agent_is_truncated() {
        let long = [b'a'; UserAgent::MAX_LEN + 1];
        assert_eq!(UserAgent::new(&long).as_bytes(), &long[1..]);
        assert_eq!(UserAgent::new(&long[1..]).as_bytes(), &long[1..]);
        assert_eq!(UserAgent::new(b"").as_bytes(), b"");
    }
}
