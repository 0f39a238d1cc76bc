//! What a peer calls itself.

use std::fmt;

/// What a peer calls itself: any bytes, of which the first [`UserAgent::MAX_LEN`] are kept as they came.
///
/// `Display` and `Debug` escape everything that is not printable ASCII, so that nothing a peer sends can forge or break a
/// line of output.
///
/// ```
/// use bsv_p2p::peers::UserAgent;
///
/// assert_eq!(UserAgent::new(b"/node:1/\nERROR").to_string(), r"/node:1/\nERROR");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserAgent(Box<[u8]>);

impl UserAgent {
    /// How many bytes are kept: no longer one is accepted in a `version` (Bitcoin SV node, `src/net/net.h`,
    /// `MAX_SUBVERSION_LENGTH`).
    pub const MAX_LEN: usize = 256;

    /// The agent that a `version` carries.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(Self::MAX_LEN)].into())
    }

    /// The bytes as they came.
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
        // Unlike `Display`, this has quotes of its own, which nothing inside may end.
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_shown_as_one_line_of_plain_text() {
        let all: Vec<u8> = (0..=255).collect();
        let agent = UserAgent::new(&all);
        for shown in [agent.to_string(), format!("{agent:?}")] {
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        assert_eq!(UserAgent::new(b"a\"b'c\\").to_string(), r#"a"b'c\\"#);
        assert_eq!(format!("{:?}", UserAgent::new(b"a\"\x1b")), r#""a\"\x1b""#);
    }

    #[test]
    fn no_more_of_an_agent_is_kept_than_one_may_have() {
        let long = [b'a'; UserAgent::MAX_LEN + 1];
        assert_eq!(UserAgent::new(&long).as_bytes(), &long[1..]);
        assert_eq!(UserAgent::new(&long[1..]).as_bytes(), &long[1..]);
        assert_eq!(UserAgent::new(b"").as_bytes(), b"");
    }
}
