//! The rules of host names, which are checked before any lookup.

/// RFC 1035, section 2.3.4: 255 bytes with the lengths of the labels, which is as much text.
const MAX_NAME: usize = 253;
/// RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;

/// What is wrong with a name (RFC 1035, sections 2.3.1 and 2.3.4; RFC 3696, section 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// There is nothing between two dots, or nothing at all.
    #[error("a part of it is empty")]
    EmptyLabel,
    /// A part is too long.
    #[error("a part of it has {len} characters, at most 63 are allowed")]
    LongLabel {
        /// Its length in characters.
        len: usize,
    },
    /// The whole is too long.
    #[error("it has {len} characters, at most 253 are allowed")]
    TooLong {
        /// Its length in characters, without the dot at the end.
        len: usize,
    },
    /// Something else than letters and digits of ASCII, `-`, `_` and dots. Names in other scripts are written in their `xn--` form.
    #[error("it contains {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// The last part is a number: it was meant to be an address, and is none.
    #[error("its last part is a number, and it is no address")]
    Number,
}

/// Checks the characters and lengths of a host name, without a dot at its end.
///
/// Letters, digits, `-` and `_` make a host name: RFC 1123, section 2.1, and the underscore because
/// names in use have it.
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

/// Checks a name that name servers are asked for: like [`check_syntax`], and the last part must not
/// be a number (RFC 3696, section 2), or the name server of the root would have to refuse each query.
pub(crate) fn check(host: &str) -> Result<(), InvalidName> {
    check_syntax(host)?;
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidName::Number);
    }
    Ok(())
}
