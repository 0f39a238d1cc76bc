//! The association ID, which is common to all TCP connections of one peer.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::hash::shorten;
use super::{DecodeError, Encode, Reader};

/// The association ID of a `version`, `createstrm` or `streamack` message.
///
/// `Display` and `FromStr` use the UUID, or `none` for [`AssociationId::Null`]. Source: Bitcoin SV
/// node 1.2.2, `src/net/association_id.cpp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssociationId {
    /// No ID: the sender rejects additional streams. Encoded as one zero byte.
    Null,
    /// A UUID, the only ID type in use. Encoded as its length, type 0 and 16 bytes.
    Uuid(Uuid),
}

/// The error of a string that is not an association ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid association ID {0:?}: expected a UUID or `{NULL_TEXT}`")]
pub struct ParseAssociationIdError(pub String);

/// The string form of [`AssociationId::Null`].
const NULL_TEXT: &str = "none";

impl AssociationId {
    /// The maximum length of the content in bytes, including the type byte.
    const MAX_CONTENT: u64 = 129;
    const UUID_TYPE: u8 = 0;

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = reader.var_bytes("association id", Self::MAX_CONTENT)?;
        match content {
            [] | [_] => Ok(AssociationId::Null),
            [Self::UUID_TYPE, id @ ..] => match <[u8; 16]>::try_from(id) {
                Ok(id) => Ok(AssociationId::Uuid(Uuid::from_bytes(id))),
                Err(_) => Err(DecodeError::InvalidValue {
                    field: "association id length",
                    expected: "16 bytes of a UUID",
                    got: id.len() as u64,
                }),
            },
            [kind, ..] => Err(DecodeError::InvalidValue {
                field: "association id type",
                expected: "0 (UUID)",
                got: u64::from(*kind),
            }),
        }
    }
}

impl Encode for AssociationId {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            AssociationId::Null => out.push(0),
            AssociationId::Uuid(uuid) => {
                out.extend_from_slice(&[17, Self::UUID_TYPE]);
                out.extend_from_slice(uuid.as_bytes());
            }
        }
    }

    fn encoded_len(&self) -> u64 {
        match self {
            AssociationId::Null => 1,
            AssociationId::Uuid(_) => 18,
        }
    }
}

impl fmt::Display for AssociationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AssociationId::Null => f.write_str(NULL_TEXT),
            AssociationId::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl FromStr for AssociationId {
    type Err = ParseAssociationIdError;

    /// Parses a UUID, or `none` for [`AssociationId::Null`].
    fn from_str(text: &str) -> Result<Self, ParseAssociationIdError> {
        if text == NULL_TEXT {
            return Ok(AssociationId::Null);
        }
        match text.parse() {
            Ok(uuid) => Ok(AssociationId::Uuid(uuid)),
            Err(_) => Err(ParseAssociationIdError(shorten(text))),
        }
    }
}

impl From<Uuid> for AssociationId {
    fn from(uuid: Uuid) -> Self {
        AssociationId::Uuid(uuid)
    }
}

impl fmt::Debug for AssociationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssociationId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<AssociationId, DecodeError> {
        AssociationId::decode(&mut Reader::new(bytes))
    }

    #[test]
    fn content_of_zero_or_one_byte_is_null() {
        assert_eq!(decode(&[0]), Ok(AssociationId::Null));
        assert_eq!(decode(&[1, 0]), Ok(AssociationId::Null));
    }

    #[test]
    fn unknown_type_or_wrong_length_is_rejected() {
        assert!(decode(&[2, 0, 5]).is_err(), "a UUID of one byte");
        assert!(decode(&[2, 1, 5]).is_err(), "type 1");
        let mut long = vec![130];
        long.extend([0; 130]);
        assert!(matches!(
            decode(&long),
            Err(DecodeError::TooLong { got: 130, .. })
        ));
    }

    #[test]
    fn parse_is_the_inverse_of_display() {
        for id in [AssociationId::Null, AssociationId::from(Uuid::from_u128(7))] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "None", "7", "00000000-0000-0000-0000-00000000000g"] {
            let error = text.parse::<AssociationId>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn uuid_round_trips() {
        let id = AssociationId::Uuid(Uuid::from_u128(7));
        assert_eq!(decode(&id.encode_to_vec()), Ok(id));
    }
}
