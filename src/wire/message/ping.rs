//! `ping` and `pong`: whether a peer is there.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Asks for a [`Pong`] with the same nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ping {
    /// What the answer has to carry; `None` in the empty ping of peers with protocol version 60000 or lower,
    /// which get no answer.
    pub nonce: Option<u64>,
}

/// Answers a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pong {
    /// The nonce of the ping; `None` if the payload was too short for one.
    pub nonce: Option<u64>,
}

impl Ping {
    /// A ping with a nonce.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce: Some(nonce) }
    }
}

impl Pong {
    /// The answer to a ping with that nonce.
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
    /// A payload that is too short is no error: the node takes it as the end of the outstanding ping.
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
    fn an_empty_ping_is_that_of_an_old_peer_and_a_short_one_is_malformed() {
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
    fn a_short_pong_has_no_nonce_and_a_long_one_is_cut() {
        assert_eq!(Pong::decode_from(&[1, 2]), Ok(Pong { nonce: None }));
        assert_eq!(
            Pong::decode_from(&[1, 0, 0, 0, 0, 0, 0, 0, 9]),
            Ok(Pong::new(1))
        );
    }
}
