//! Fields with the limits of the decoder: a value that cannot be sent cannot be read either.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::serde_util::hex;
use crate::wire::{
    BlockHash, Hash256, MerkleProofTarget, MerkleRoot, Reject, RejectCode, WireString,
};

/// A type with a number of bytes or entries.
pub(in crate::wire) trait Length {
    /// Returns the number of bytes or entries.
    fn length(&self) -> usize;
}

impl Length for WireString {
    fn length(&self) -> usize {
        self.len()
    }
}

impl<T> Length for Vec<T> {
    fn length(&self) -> usize {
        self.len()
    }
}

impl<T: Length> Length for Option<T> {
    fn length(&self) -> usize {
        self.as_ref().map_or(0, T::length)
    }
}

/// Reads a text or a list of at most `MAX` bytes or entries.
pub(in crate::wire) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Length,
    D: Deserializer<'de>,
{
    let value = T::deserialize(deserializer)?;
    check_length::<D::Error>(value.length(), 0, MAX)?;
    Ok(value)
}

/// Reads `MIN` to `MAX` bytes in hexadecimal.
pub(in crate::wire) fn bytes_within<'de, const MIN: usize, const MAX: usize, D>(
    deserializer: D,
) -> Result<Vec<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    let bytes: Vec<u8> = hex::deserialize(deserializer)?;
    check_length::<D::Error>(bytes.len(), MIN, MAX)?;
    Ok(bytes)
}

fn check_length<E: Error>(got: usize, min: usize, max: usize) -> Result<(), E> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "expected a length of {min} to {max}, got {got}"
    )))
}

/// A `reject` before its fields are checked.
#[derive(Deserialize)]
pub(in crate::wire) struct RejectDe {
    message: WireString,
    code: RejectCode,
    reason: WireString,
    hash: Option<Hash256>,
}

impl TryFrom<RejectDe> for Reject {
    type Error = crate::wire::DecodeError;

    fn try_from(read: RejectDe) -> Result<Self, Self::Error> {
        let reject = Self {
            message: read.message,
            code: read.code,
            reason: read.reason,
            hash: read.hash,
        };
        reject.validate().map(|()| reject)
    }
}

/// A target before its flags are checked.
#[derive(Deserialize)]
#[serde(rename = "MerkleProofTarget", rename_all = "snake_case")]
pub(in crate::wire) enum MerkleProofTargetDe {
    Block(BlockHash),
    MerkleRoot(MerkleRoot),
    Unknown { flags: u8, hash: Hash256 },
}

impl TryFrom<MerkleProofTargetDe> for MerkleProofTarget {
    type Error = String;

    fn try_from(read: MerkleProofTargetDe) -> Result<Self, String> {
        match read {
            MerkleProofTargetDe::Block(hash) => Ok(Self::Block(hash)),
            MerkleProofTargetDe::MerkleRoot(root) => Ok(Self::MerkleRoot(root)),
            // The flags must not be those of the other variants, and must not contain bit 0.
            MerkleProofTargetDe::Unknown { flags, hash } => match Self::from_flags(flags, hash) {
                target if target == Self::Unknown { flags, hash } => Ok(target),
                _ => Err(format!("flags {flags} are not those of an unknown target")),
            },
        }
    }
}
