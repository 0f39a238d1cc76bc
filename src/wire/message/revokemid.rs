//! `revokemid`: revocation of a miner ID.

use sha2::{Digest, Sha256};

use crate::wire::hex_debug::impl_hex_debug;
use crate::wire::{Decode, DecodeError, Encode, Reader, compact_size_len, write_compact_size};

/// Revokes a miner ID and proves the right to revoke it.
///
/// The keys and signatures are not verified by this library. The caller should verify both
/// signatures as ECDSA signatures in DER over [`RevokeMid::digest`]. A node with a database of
/// miner IDs adds a score of 10 if a signature is invalid. A node without one ignores the message.
/// Source: Bitcoin SV node 1.2.2, `src/miner_id/revokemid.h`.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RevokeMid {
    /// The compressed public key that the miner uses for revocation.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub revocation_key: [u8; 33],
    /// The miner ID, a compressed public key.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub miner_id: [u8; 33],
    /// The ID to revoke, a compressed public key.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub id_to_revoke: [u8; 33],
    /// The signature by `revocation_key`. Only the first 255 bytes are encoded.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::serde_util::hex::serialize",
            deserialize_with = "crate::wire::serde_repr::bytes_within::<0, { RevokeMid::MAX_SIGNATURE }, _>"
        )
    )]
    pub signature1: Vec<u8>,
    /// The signature by `miner_id`. Only the first 255 bytes are encoded.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::serde_util::hex::serialize",
            deserialize_with = "crate::wire::serde_repr::bytes_within::<0, { RevokeMid::MAX_SIGNATURE }, _>"
        )
    )]
    pub signature2: Vec<u8>,
}

impl_hex_debug!(RevokeMid {
    revocation_key: hex,
    miner_id: hex,
    id_to_revoke: hex,
    signature1: hex,
    signature2: hex
});

impl RevokeMid {
    /// The only version of the message.
    pub const VERSION: u32 = 0;
    const MAX_SIGNATURE: usize = 255;

    /// Returns the digest of both signatures: the single SHA-256 of the ID to revoke.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.id_to_revoke).into()
    }

    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let limit = Self::MAX_SIGNATURE as u64;
        DecodeError::unless_within("signature 1", limit, self.signature1.len())?;
        DecodeError::unless_within("signature 2", limit, self.signature2.len())
    }

    /// Returns the encoded length of both signatures with their lengths, in bytes.
    fn signatures_len(&self) -> u64 {
        2 + writable(&self.signature1).len() as u64 + writable(&self.signature2).len() as u64
    }
}

/// Returns the part of a signature that a length of one byte can describe.
///
/// Valid signatures have at most 72 bytes.
fn writable(signature: &[u8]) -> &[u8] {
    &signature[..signature.len().min(RevokeMid::MAX_SIGNATURE)]
}

/// Reads one signature with its length from the field of both signatures.
fn read_signature(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<u8>, DecodeError> {
    let len = reader.u8(field)?;
    reader
        .read_bytes(field, usize::from(len))
        .map(<[u8]>::to_vec)
}

impl Decode for Box<RevokeMid> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u32("revocation version")?;
        if version != RevokeMid::VERSION {
            return Err(DecodeError::InvalidValue {
                field: "revocation version",
                expected: "0",
                got: u64::from(version),
            });
        }
        let revocation_key = reader.array("revocation key")?;
        let miner_id = reader.array("miner id")?;
        let id_to_revoke = reader.array("id to revoke")?;
        let mut both = Reader::new(reader.var_bytes("signatures", u64::MAX)?);
        let signature1 = read_signature(&mut both, "signature 1")?;
        let signature2 = read_signature(&mut both, "signature 2")?;
        if !both.is_empty() {
            return Err(DecodeError::InvalidValue {
                field: "bytes after the signatures",
                expected: "0",
                got: both.remaining().len() as u64,
            });
        }
        Ok(Box::new(RevokeMid {
            revocation_key,
            miner_id,
            id_to_revoke,
            signature1,
            signature2,
        }))
    }
}

impl Encode for RevokeMid {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::VERSION.to_le_bytes());
        out.extend_from_slice(&self.revocation_key);
        out.extend_from_slice(&self.miner_id);
        out.extend_from_slice(&self.id_to_revoke);
        write_compact_size(self.signatures_len(), out);
        for signature in [&self.signature1, &self.signature2] {
            let signature = writable(signature);
            out.push(signature.len() as u8);
            out.extend_from_slice(signature);
        }
    }

    fn encoded_len(&self) -> u64 {
        let signatures = self.signatures_len();
        4 + 3 * 33 + compact_size_len(signatures) + signatures
    }
}

impl Encode for Box<RevokeMid> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_len(&self) -> u64 {
        (**self).encoded_len()
    }
}

impl From<RevokeMid> for super::Message {
    fn from(revokemid: RevokeMid) -> Self {
        super::Message::RevokeMid(Box::new(revokemid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revokemid(len1: usize, len2: usize) -> RevokeMid {
        RevokeMid {
            revocation_key: [2; 33],
            miner_id: [3; 33],
            id_to_revoke: [4; 33],
            signature1: vec![5; len1],
            signature2: vec![6; len2],
        }
    }

    fn decode(bytes: &[u8]) -> Result<RevokeMid, DecodeError> {
        Box::<RevokeMid>::decode_from(bytes).map(|read| *read)
    }

    #[test]
    fn signatures_up_to_255_bytes_round_trip() {
        for (len1, len2) in [(0, 0), (71, 70), (255, 255)] {
            let message = revokemid(len1, len2);
            let bytes = message.encode_to_vec();
            assert_eq!(message.encoded_len(), bytes.len() as u64);
            assert_eq!(decode(&bytes), Ok(message));
        }
        let cut = decode(&revokemid(256, 1_000).encode_to_vec());
        assert_eq!(cut, Ok(revokemid(255, 255)));
    }

    #[test]
    fn signatures_must_fill_their_field() {
        let bytes = revokemid(2, 3).encode_to_vec();
        let field_at = 4 + 99;
        assert_eq!(&bytes[field_at..], [7, 2, 5, 5, 3, 6, 6, 6]);
        let with_field = |field: &[u8]| decode(&[&bytes[..field_at], field].concat());
        assert!(with_field(&[7, 2, 5, 5, 3, 6, 6, 6]).is_ok());
        for field in [
            &[8, 2, 5, 5, 3, 6, 6, 6, 0][..],
            &[6, 2, 5, 5, 3, 6, 6],
            &[3, 2, 5, 5],
            &[1, 9],
            &[0],
        ] {
            assert!(with_field(field).is_err(), "{field:?}");
        }
    }

    #[test]
    fn digest_is_single_sha256_of_revoked_id() {
        assert_eq!(
            hex::encode(revokemid(0, 0).digest()),
            "cf96d76e70c873396e50141eb13288e68f37f14cd988c385ebd084ef8bbcd158"
        );
    }

    #[test]
    fn unknown_version_is_rejected() {
        let mut bytes = revokemid(2, 3).encode_to_vec();
        bytes[0] = 1;
        assert!(matches!(
            decode(&bytes),
            Err(DecodeError::InvalidValue { got: 1, .. })
        ));
    }
}
