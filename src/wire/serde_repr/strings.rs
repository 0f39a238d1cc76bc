//! The forms of commands, association IDs, hashes, targets, work and strings.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde_util::{hex, plain_bytes};
use crate::wire::{AssociationId, Command, CompactTarget, Hash256, WireString, Work};

/// The name, in every format.
impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| {
            let expected = "up to twelve printable ASCII characters";
            D::Error::invalid_value(Unexpected::Str(&name), &expected)
        })
    }
}

/// The UUID or `none`, in every format. If the whole field can be missing, null means that.
impl Serialize for AssociationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssociationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"a UUID or `none`"))
    }
}

/// A hash: the printed form in human-readable formats, else 32 bytes in wire order.
pub(in crate::wire) mod printed_hash {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        hash: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&Hash256(*hash))
        } else {
            serializer.serialize_bytes(hash)
        }
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        if !deserializer.is_human_readable() {
            return hex::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        match text.parse::<Hash256>() {
            Ok(hash) => Ok(hash.0),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// A compact target: eight hexadecimal digits in human-readable formats, else a number.
pub(in crate::wire) mod printed_bits {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        bits: &u32,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&CompactTarget(*bits))
        } else {
            bits.serialize(serializer)
        }
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u32, D::Error> {
        if deserializer.is_human_readable() {
            hex::deserialize(deserializer).map(u32::from_be_bytes)
        } else {
            u32::deserialize(deserializer)
        }
    }
}

/// All 64 digits in human-readable formats, as in `Display`; else 32 bytes in big-endian order.
impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(&self.to_be_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for Work {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::deserialize(deserializer).map(Self::from_be_bytes)
    }
}

/// A wire string in human-readable formats: the text, or its bytes if it is not valid text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a string, or an object with `hex`")]
enum WireStringDe {
    Text(String),
    Bytes(HexStringSerde<Vec<u8>>),
}

#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "T: AsRef<[u8]>", deserialize = "T: TryFrom<Vec<u8>>"))]
struct HexStringSerde<T> {
    #[serde(with = "hex")]
    hex: T,
}

impl Serialize for WireString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex = self.as_bytes();
        match self.as_str() {
            _ if !serializer.is_human_readable() => serializer.serialize_bytes(hex),
            Some(text) => serializer.serialize_str(text),
            None => HexStringSerde { hex }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for WireString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return plain_bytes(deserializer).map(|bytes| Self::from(&bytes[..]));
        }
        Ok(match WireStringDe::deserialize(deserializer)? {
            WireStringDe::Text(text) => Self::from(text),
            WireStringDe::Bytes(bytes) => Self::from(&bytes.hex[..]),
        })
    }
}
