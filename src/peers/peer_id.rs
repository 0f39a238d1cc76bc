//! The identity of a peer.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// Identifies a peer in events, results and requests.
///
/// A peer keeps its id when its connection restarts. A [`PeerStore`](super::PeerStore) keeps the ids
/// of the peers of a [`Manager`](crate::manager::Manager) across restarts of the program. An inbound
/// peer gets a new id with each connection. Ids are local: they never appear on the wire.
///
/// The text form is that of a UUID in lower case. With serde, ids are strings in that form.
///
/// ```
/// use bsv_p2p::peers::PeerId;
///
/// let id = PeerId::random();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(Uuid);

impl PeerId {
    /// Creates a random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Creates the id with a given number, for example for tests.
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// Creates the id with the bits of a UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the number of the id.
    pub const fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// Returns the UUID, for example as the key of a database.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

/// Returned if a string is not the id of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("invalid peer id {0:?}: expected a UUID")]
pub struct ParsePeerIdError(String);

/// The most characters of an invalid id that its error repeats.
const MAX_REPEATED: usize = 64;

impl FromStr for PeerId {
    type Err = ParsePeerIdError;

    /// Parses a UUID, with or without hyphens, in upper or lower case.
    ///
    /// # Errors
    /// - [`ParsePeerIdError`] if the string is not a UUID.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |_| ParsePeerIdError(text.chars().take(MAX_REPEATED).collect());
        text.parse().map(Self).map_err(invalid)
    }
}

impl From<Uuid> for PeerId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<PeerId> for Uuid {
    fn from(id: PeerId) -> Self {
        id.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.0)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = PeerId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PeerId, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PeerId = PeerId::from_u128(0x67e5504410b1426f9247bb680e5fe0c8);

    #[test]
    fn text_round_trips() {
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(ID.to_string(), text);
        assert_eq!(format!("{ID:?}"), format!("PeerId({text})"));
        assert_eq!(text.parse(), Ok(ID));
        assert_eq!(text.to_uppercase().replace('-', "").parse(), Ok(ID));
    }

    #[test]
    fn invalid_text_is_named_in_the_error() {
        let error = "67e55044\n".parse::<PeerId>().unwrap_err();
        let expected = r#"invalid peer id "67e55044\n": expected a UUID"#;
        assert_eq!(error.to_string(), expected);
        let long = "x".repeat(1_000).parse::<PeerId>().unwrap_err();
        assert!(long.to_string().len() < 120);
    }

    #[test]
    fn serde_form_is_a_string() {
        let json = serde_json::to_string(&ID).unwrap();
        assert_eq!(json, format!("\"{ID}\""));
        assert_eq!(serde_json::from_str::<PeerId>(&json).unwrap(), ID);
        assert!(serde_json::from_str::<PeerId>("7").is_err());
        assert!(serde_json::from_str::<PeerId>("\"7\"").is_err());
    }

    #[test]
    fn uuids_convert_both_ways() {
        assert_eq!(PeerId::from(Uuid::from(ID)), ID);
        assert_eq!(PeerId::from_uuid(*ID.as_uuid()), ID);
        assert_ne!(PeerId::random(), PeerId::random());
    }
}
