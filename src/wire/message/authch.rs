//! `authch` and `authresp`: a challenge to a miner and the answer.

use super::{bytes_len, encode_bytes};
use crate::wire::hex_debug::impl_hex_debug;
use crate::wire::{Decode, DecodeError, Encode, Reader, sha256d};

/// Requests a signature with the key of the receiver's miner ID.
///
/// Peers that are not miners ignore the message without a penalty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Authch {
    /// The version of the challenge: [`Authch::VERSION`].
    pub version: u32,
    /// The bytes to sign.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub challenge: [u8; 32],
}

impl_hex_debug!(Authch {
    version: as_debug,
    challenge: hex
});

impl Authch {
    /// The only version of the message.
    pub const VERSION: u32 = 1;
}

impl Decode for Authch {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u32("challenge version")?;
        let len = reader.u32("challenge length")?;
        if len != 32 {
            return Err(DecodeError::InvalidValue {
                field: "challenge length",
                expected: "32",
                got: u64::from(len),
            });
        }
        Ok(Self {
            version,
            challenge: reader.array("challenge")?,
        })
    }
}

impl Encode for Authch {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&32_u32.to_le_bytes());
        out.extend_from_slice(&self.challenge);
    }

    fn encoded_len(&self) -> u64 {
        40
    }
}

/// Answers an [`Authch`] with the miner ID of the sender and a signature.
///
/// The signature is not verified by this library. The caller should verify it as an ECDSA signature
/// in DER by `public_key` over [`Authresp::digest`].
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Authresp {
    /// The miner ID, a compressed public key.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub public_key: [u8; 33],
    /// A random number of the sender, not zero. It is signed together with the challenge.
    pub client_nonce: u64,
    /// The signature, 70 to 72 bytes long.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::serde_util::hex::serialize",
            deserialize_with = "crate::wire::serde_repr::bytes_within::<70, 72, _>"
        )
    )]
    pub signature: Vec<u8>,
}

impl_hex_debug!(Authresp {
    public_key: hex,
    client_nonce: as_debug,
    signature: hex
});

impl Authresp {
    const SIGNATURE_LEN: std::ops::RangeInclusive<u64> = 70..=72;

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        Self::check_signature(&self.signature)
    }

    fn check_signature(signature: &[u8]) -> Result<(), DecodeError> {
        let len = signature.len() as u64;
        if Self::SIGNATURE_LEN.contains(&len) {
            return Ok(());
        }
        Err(DecodeError::InvalidValue {
            field: "signature length",
            expected: "70 to 72",
            got: len,
        })
    }

    /// Returns the signed digest: the double SHA-256 of the challenge and the nonce.
    ///
    /// Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `ProcessAuthRespMessage`.
    pub fn digest(&self, challenge: &[u8; 32]) -> [u8; 32] {
        let mut signed = [0; 40];
        signed[..32].copy_from_slice(challenge);
        signed[32..].copy_from_slice(&self.client_nonce.to_le_bytes());
        sha256d(&signed).0
    }
}

impl Decode for Authresp {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = reader.var_bytes("public key", 33)?;
        let public_key = key.try_into().map_err(|_| DecodeError::InvalidValue {
            field: "public key length",
            expected: "33",
            got: key.len() as u64,
        })?;
        let client_nonce = reader.u64("client nonce")?;
        let signature = reader.var_bytes("signature", *Self::SIGNATURE_LEN.end())?;
        Self::check_signature(signature)?;
        Ok(Self {
            public_key,
            client_nonce,
            signature: signature.to_vec(),
        })
    }
}

impl Encode for Authresp {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(&self.public_key, out);
        out.extend_from_slice(&self.client_nonce.to_le_bytes());
        encode_bytes(&self.signature, out);
    }

    fn encoded_len(&self) -> u64 {
        bytes_len(&self.public_key) + 8 + bytes_len(&self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_must_have_70_to_72_bytes() {
        for (len, taken) in [(0, false), (69, false), (70, true), (72, true), (73, false)] {
            let answer = Authresp {
                public_key: [2; 33],
                client_nonce: 7,
                signature: vec![0x30; len],
            };
            let read = Authresp::decode_from(&answer.encode_to_vec());
            assert_eq!(read.ok(), taken.then_some(answer), "{len}");
        }
    }

    #[test]
    fn public_key_must_have_33_bytes() {
        for (len, taken) in [(32, false), (33, true), (34, false)] {
            let key = [&[len as u8][..], &vec![2; len]].concat();
            let bytes = [&key[..], &[7; 8], &[70], &[0x30; 70]].concat();
            assert_eq!(Authresp::decode_from(&bytes).is_ok(), taken, "{len}");
        }
    }
}
