//! `authch`: a challenge to miners.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Asks a miner to sign with the key of its miner ID. Peers that are no miners ignore it, without penalty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authch {
    /// The version of the challenge: 1.
    pub version: u32,
    /// What is to be signed.
    pub challenge: [u8; 32],
}

impl Decode for Authch {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u32("challenge version")?;
        let len = reader.u32("challenge length")?;
        if len != 32 {
            return Err(DecodeError::BadValue {
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
