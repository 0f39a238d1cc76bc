//! Hashes of blocks, transactions and merkle roots.

use std::fmt;
use std::str::FromStr;

use super::{Decode, DecodeError, Encode, Reader, sha256d};

/// Returns the parent of two nodes of a merkle tree.
pub(in crate::wire) fn merkle_parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    sha256d(&both).0
}

/// The error of a text that is not a hash of 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid hash {0:?}: expected 64 hexadecimal digits")]
pub struct ParseHashError(pub String);

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        ///
        /// The bytes are in wire order. `Display`, `Debug` and `FromStr` use the printed form: the
        /// hexadecimal digits of the reversed bytes.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(transparent))]
        pub struct $name(
            #[cfg_attr(feature = "serde", serde(with = "super::serde_repr::printed_hash"))]
            pub [u8; 32],
        );

        impl $name {
            /// Thirty-two zero bytes, which mean "none" in the protocol.
            pub const ZERO: $name = $name([0; 32]);

            /// Returns the bytes in wire order.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_reversed(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_reversed(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                parse_reversed(text).map($name)
            }
        }

        impl Decode for $name {
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array("hash").map($name)
            }
        }

        impl Encode for $name {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn encoded_len(&self) -> u64 {
                32
            }
        }
    )+};
}

hashes! {
    /// A double SHA-256 hash of arbitrary data.
    Hash256;
    /// The hash of a block header, which identifies the block.
    BlockHash;
    /// The hash of a transaction, which identifies it.
    Txid;
    /// The root of the merkle tree over a block's transactions.
    MerkleRoot;
}

macro_rules! widen {
    ($($name:ident)+) => {$(
        impl From<$name> for Hash256 {
            fn from(hash: $name) -> Self {
                Hash256(hash.0)
            }
        }
    )+};
}

widen! { BlockHash Txid MerkleRoot }

fn write_reversed(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes.iter().rev() {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_reversed(text: &str) -> Result<[u8; 32], ParseHashError> {
    let bad = || ParseHashError(text.chars().take(80).collect());
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(bad());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().rev().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(bad);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_printed_reversed_and_parsed_back() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let printed = BlockHash(bytes).to_string();
        assert!(printed.starts_with("0000") && printed.ends_with("ab"));
        assert_eq!(printed.parse(), Ok(BlockHash(bytes)));
        assert!("ab".parse::<Txid>().is_err());
        assert!("é".repeat(32).parse::<Txid>().is_err());
    }
}
