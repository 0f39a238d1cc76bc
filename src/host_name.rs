//! Syntax rules of host names, checked before any lookup.

/// The maximum length of a name in characters, as text. RFC 1035, section 2.3.4 allows 255 bytes in
/// the encoded form, which includes two more length bytes.
const MAX_NAME: usize = 253;
/// The maximum length of a label in characters (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// The reason why a host name is invalid (RFC 1035, sections 2.3.1 and 2.3.4, and RFC 3696, section
/// 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name or one of its labels is empty.
    #[error("empty label")]
    EmptyLabel,
    /// A label has more than 63 characters.
    #[error("expected labels of at most 63 characters, got {len}")]
    LongLabel {
        /// The length of the label in characters.
        len: usize,
    },
    /// The name has more than 253 characters.
    #[error("expected at most 253 characters, got {len}")]
    TooLong {
        /// The length of the name in characters, without a dot at its end.
        len: usize,
    },
    /// The name contains a character other than ASCII letters, digits, `-`, `_` and dots. Names in
    /// other scripts must be written in their `xn--` form.
    #[error("invalid character {character:?}")]
    Character {
        /// The first invalid character.
        character: char,
    },
    /// The last label is a number, so the name looks like an invalid IP address.
    #[error("last label is a number")]
    Number,
}

/// Checks the characters and lengths of a host name. The name must not end with a dot.
///
/// Letters, digits and `-` are allowed by RFC 1123, section 2.1. `_` is allowed because names in
/// use contain it.
///
/// # Errors
///
/// [`InvalidName`], the first rule that the name violates.
pub(crate) fn check_syntax(host: &str) -> Result<(), InvalidName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(character) = host.chars().find(|c| !allowed(*c)) {
        return Err(InvalidName::Character { character });
    }
    if host.len() > MAX_NAME {
        return Err(InvalidName::TooLong { len: host.len() });
    }
    for label in host.split('.') {
        match label.len() {
            0 => return Err(InvalidName::EmptyLabel),
            1..=MAX_LABEL => {}
            len => return Err(InvalidName::LongLabel { len }),
        }
    }
    Ok(())
}

/// Checks a name before it is sent to name servers.
///
/// Like [`check_syntax`], but the last label must not be a number (RFC 3696, section 2). The root
/// name servers would refuse every query for such a name.
///
/// # Errors
///
/// [`InvalidName`], the first rule that the name violates.
pub(crate) fn check(host: &str) -> Result<(), InvalidName> {
    check_syntax(host)?;
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidName::Number);
    }
    Ok(())
}
