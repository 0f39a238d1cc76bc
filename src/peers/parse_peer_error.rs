//! Parsing of the statuses, sources and ban reasons of peers from their text.

use std::str::FromStr;

use super::{BanOrigin, BanReason, PeerSource, PeerStatus, PeerStatusKind};

/// The error of a string that is not the text of a peer's status, source or ban.
///
/// A peer store that keeps these values as text can parse them: `FromStr` is the inverse of
/// `Display` for [`PeerStatus`], [`PeerStatusKind`], [`PeerSource`], [`BanReason`] and
/// [`BanOrigin`].
///
/// ```
/// use bsv_p2p::peers::{BanReason, PeerStatus};
///
/// let status = PeerStatus::Banned(BanReason::Misbehaved { score: 100 });
/// assert_eq!(status.to_string(), "banned: misbehavior score 100");
/// assert_eq!("banned: misbehavior score 100".parse(), Ok(status));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a {expected}, got {got:?}")]
#[non_exhaustive]
pub struct ParsePeerError {
    /// The kind of value, such as `ban reason`.
    pub expected: &'static str,
    /// The first 64 characters of the string.
    pub got: String,
}

impl ParsePeerError {
    fn new(expected: &'static str, text: &str) -> Self {
        Self {
            expected,
            got: text.chars().take(MAX_TEXT).collect(),
        }
    }
}

impl FromStr for BanReason {
    type Err = ParsePeerError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ParsePeerError`] if the string is any other text.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        if let Some(score) = text.strip_prefix(MISBEHAVIOR) {
            // `u32::from_str` would accept a plus sign and leading zeros.
            let parsed = score.parse().ok();
            return parsed
                .filter(|parsed: &u32| parsed.to_string() == score)
                .map(|score| BanReason::Misbehaved { score })
                .ok_or_else(|| ParsePeerError::new("ban reason", text));
        }
        const OTHERS: [BanReason; 5] = [
            BanReason::FrameTooLarge,
            BanReason::WrongMagic,
            BanReason::WrongChain,
            BanReason::StreamAddressMismatch,
            BanReason::Manual,
        ];
        find(&OTHERS, "ban reason", text)
    }
}

impl FromStr for BanOrigin {
    type Err = ParsePeerError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ParsePeerError`] if the string is any other text.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        let origins = [BanOrigin::Manual, BanOrigin::Automatic];
        find(&origins, "ban origin", text)
    }
}

impl FromStr for PeerStatus {
    type Err = ParsePeerError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ParsePeerError`] if the string is any other text.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        if let Some(reason) = text.strip_prefix("banned: ") {
            return reason.parse().map(PeerStatus::Banned);
        }
        let statuses = [
            PeerStatus::Unknown,
            PeerStatus::Valid,
            PeerStatus::Inaccessible,
        ];
        find(&statuses, "peer status", text)
    }
}

impl FromStr for PeerStatusKind {
    type Err = ParsePeerError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ParsePeerError`] if the string is any other text.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        let kinds = [
            PeerStatusKind::Unknown,
            PeerStatusKind::Valid,
            PeerStatusKind::Inaccessible,
            PeerStatusKind::Banned,
        ];
        find(&kinds, "peer status", text)
    }
}

impl FromStr for PeerSource {
    type Err = ParsePeerError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    ///
    /// [`ParsePeerError`] if the string is any other text.
    fn from_str(text: &str) -> Result<Self, ParsePeerError> {
        if let Some(address) = text.strip_prefix("peer ") {
            let parsed = address.parse().map(PeerSource::Peer);
            return parsed.map_err(|_| ParsePeerError::new("peer source", text));
        }
        let sources = [PeerSource::Manual, PeerSource::Seed, PeerSource::Inbound];
        find(&sources, "peer source", text)
    }
}

/// Returns the value with this text.
fn find<T: Copy + ToString>(
    values: &[T],
    expected: &'static str,
    text: &str,
) -> Result<T, ParsePeerError> {
    let found = values.iter().find(|value| value.to_string() == text);
    found
        .copied()
        .ok_or_else(|| ParsePeerError::new(expected, text))
}

/// The text of [`BanReason::Misbehaved`] before the score.
pub(super) const MISBEHAVIOR: &str = "misbehavior score ";

/// The maximum number of characters of an invalid string in an error.
const MAX_TEXT: usize = 64;

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn assert_round_trips<T>(values: &[T])
    where
        T: FromStr<Err = ParsePeerError> + fmt::Display + fmt::Debug + PartialEq + Copy,
    {
        for value in values {
            assert_eq!(value.to_string().parse(), Ok(*value), "{value}");
        }
        for text in [
            "", " ", "banned", "Manual", "manual ", "+1", "peer", "nonsense",
        ] {
            if let Ok(value) = text.parse::<T>() {
                assert_eq!(value.to_string(), text);
            }
        }
    }

    #[test]
    fn texts_of_peers_are_parsed_back() {
        let reasons = [
            BanReason::Misbehaved { score: 0 },
            BanReason::Misbehaved { score: u32::MAX },
            BanReason::FrameTooLarge,
            BanReason::WrongMagic,
            BanReason::WrongChain,
            BanReason::StreamAddressMismatch,
            BanReason::Manual,
        ];
        assert_round_trips(&reasons);
        assert_round_trips(&reasons.map(PeerStatus::Banned));
        assert_round_trips(&[
            PeerStatus::Unknown,
            PeerStatus::Valid,
            PeerStatus::Inaccessible,
        ]);
        assert_round_trips(&[PeerStatusKind::Unknown, PeerStatusKind::Banned]);
        assert_round_trips(&[BanOrigin::Manual, BanOrigin::Automatic]);
        assert_round_trips(&[
            PeerSource::Manual,
            PeerSource::Seed,
            PeerSource::Inbound,
            PeerSource::Peer([203, 0, 113, 7].into()),
            PeerSource::Peer("2001:db8::7".parse().unwrap()),
        ]);
    }

    #[test]
    fn other_texts_are_rejected_and_shortened() {
        for text in [
            "misbehavior score +1",
            "misbehavior score 01",
            "misbehavior score 4294967296",
        ] {
            assert!(text.parse::<BanReason>().is_err(), "{text}");
        }
        assert!("peer 203.0.113".parse::<PeerSource>().is_err());
        assert_eq!(
            "banned: x".parse::<PeerStatus>().unwrap_err().to_string(),
            r#"expected a ban reason, got "x""#
        );
        let long = "\n".repeat(1000).parse::<PeerStatusKind>().unwrap_err();
        assert_eq!(long.got.len(), 64);
        assert!(!long.to_string().contains('\n'));
    }
}
