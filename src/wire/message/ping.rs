//! `ping` and `pong`: keepalive.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Requests a [`Pong`] with the same nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ping {
    /// The nonce of the answer. `None` in the empty ping of peers with a protocol version of at
    /// most 60000, which receive no answer.
    pub nonce: Option<u64>,
}

/// Answers a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pong {
    /// The nonce of the ping. `None` if the payload was too short.
    pub nonce: Option<u64>,
}

impl Ping {
    /// Creates a ping with a nonce.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce: Some(nonce) }
    }
}

impl Pong {
    /// Creates the answer to a ping with this nonce.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce: Some(nonce) }
    }
}

impl Decode for Ping {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.is_empty() {
            return Ok(Self { nonce: None });
        }
        reader.u64("ping nonce").map(Self::new)
    }
}

impl Decode for Pong {
    /// A payload that is too short is not an error. For the node it ends the outstanding ping.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nonce: reader.u64("pong nonce").ok(),
        })
    }
}

impl Encode for Ping {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_nonce(self.nonce, out);
    }

    fn encoded_len(&self) -> u64 {
        nonce_len(self.nonce)
    }
}

impl Encode for Pong {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_nonce(self.nonce, out);
    }

    fn encoded_len(&self) -> u64 {
        nonce_len(self.nonce)
    }
}

fn encode_nonce(nonce: Option<u64>, out: &mut Vec<u8>) {
    if let Some(nonce) = nonce {
        out.extend_from_slice(&nonce.to_le_bytes());
    }
}

fn nonce_len(nonce: Option<u64>) -> u64 {
    if nonce.is_some() { 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_ping_is_valid_and_truncated_is_not() {
        assert_eq!(Ping::decode_from(&[]), Ok(Ping { nonce: None }));
        assert_eq!(
            Ping::decode_from(&[1, 2, 3, 4]),
            Err(DecodeError::Truncated {
                field: "ping nonce",
                needed: 8,
                left: 4
            })
        );
    }

    #[test]
    fn pong_of_any_length_is_valid() {
        assert_eq!(Pong::decode_from(&[1, 2]), Ok(Pong { nonce: None }));
        assert_eq!(
            Pong::decode_from(&[1, 0, 0, 0, 0, 0, 0, 0, 9]),
            Ok(Pong::new(1))
        );
    }
}
