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

/// The error of a string that is not a hash of 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid hash {0:?}: expected 64 hexadecimal digits")]
pub struct ParseHashError(pub String);

/// The error of a slice or vector whose length is not that of a hash, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid hash: expected 32 bytes, got {0}")]
pub struct InvalidHashLength(pub usize);

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        ///
        /// The bytes are in wire order. `Display`, `Debug`, `LowerHex` and `FromStr` use the printed
        /// form: the hexadecimal digits of the reversed bytes.
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

            /// Creates a hash from its bytes in wire order.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                $name(bytes)
            }

            /// Parses the printed form: 64 hexadecimal digits of the reversed bytes, like `FromStr`.
            ///
            /// # Errors
            ///
            /// [`ParseHashError`] if `digits` is not a string of 64 hexadecimal digits.
            pub fn from_hex(digits: &str) -> Result<Self, ParseHashError> {
                parse_reversed(digits).map($name)
            }

            /// Returns the bytes in wire order.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            /// Returns the bytes in wire order.
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            /// Takes the bytes in wire order.
            fn from(bytes: [u8; 32]) -> Self {
                $name(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidHashLength;

            /// Takes the bytes in wire order.
            fn try_from(bytes: &[u8]) -> Result<Self, InvalidHashLength> {
                match bytes.try_into() {
                    Ok(bytes) => Ok($name(bytes)),
                    Err(_) => Err(InvalidHashLength(bytes.len())),
                }
            }
        }

        impl TryFrom<Vec<u8>> for $name {
            type Error = InvalidHashLength;

            /// Takes the bytes in wire order.
            fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidHashLength> {
                Self::try_from(&bytes[..])
            }
        }

        impl fmt::LowerHex for $name {
            /// Formats the digits of `Display`; with `#`, after `0x`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if f.alternate() {
                    f.write_str("0x")?;
                }
                write_reversed(&self.0, f)
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

            fn from_str(digits: &str) -> Result<Self, ParseHashError> {
                Self::from_hex(digits)
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

/// Returns the start of a string for an error: at most 80 characters.
pub(in crate::wire) fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

fn parse_reversed(text: &str) -> Result<[u8; 32], ParseHashError> {
    let bad = || ParseHashError(shorten(text));
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

    #[test]
    fn hex_forms_equal_display() {
        let txid = Txid(std::array::from_fn(|at| at as u8));
        assert_eq!(format!("{txid:x}"), txid.to_string());
        assert_eq!(format!("{txid:#x}"), format!("0x{txid}"));
        assert_eq!(Txid::from_hex(&txid.to_string()), Ok(txid));
        let error = Txid::from_hex("12").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid hash \"12\": expected 64 hexadecimal digits"
        );
    }

    #[test]
    fn bytes_convert_only_with_32_bytes() {
        let hash = BlockHash([7; 32]);
        assert_eq!(hash.as_ref(), [7; 32]);
        assert_eq!(BlockHash::from([7; 32]), BlockHash::from_bytes([7; 32]));
        assert_eq!(BlockHash::try_from(hash.as_ref()), Ok(hash));
        assert_eq!(BlockHash::try_from(vec![7; 32]), Ok(hash));
        for len in [0, 31, 33] {
            let error = MerkleRoot::try_from(vec![7; len]).unwrap_err();
            assert_eq!(error, InvalidHashLength(len));
            let text = format!("invalid hash: expected 32 bytes, got {len}");
            assert_eq!(error.to_string(), text);
        }
    }
}
