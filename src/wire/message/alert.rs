//! `alert`: obsolete.

use super::{bytes_len, encode_bytes};
use crate::wire::hex_text::debug_in_hex;
use crate::wire::{Decode, DecodeError, Encode, Reader};

/// A warning to all users of the network. The key for it has been given up.
///
/// A node sends one fixed, last alert to peers up to protocol version 70012 and pays no attention to those that it gets.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Alert {
    /// What is said, in a form of its own.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))]
    pub message: Vec<u8>,
    /// The signature of it.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))]
    pub signature: Vec<u8>,
}

debug_in_hex!(Alert {
    message: hex,
    signature: hex
});

impl Decode for Alert {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            message: reader.var_bytes("alert message", u64::MAX)?.to_vec(),
            signature: reader.var_bytes("alert signature", u64::MAX)?.to_vec(),
        })
    }
}

impl Encode for Alert {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(&self.message, out);
        encode_bytes(&self.signature, out);
    }

    fn encoded_len(&self) -> u64 {
        bytes_len(&self.message) + bytes_len(&self.signature)
    }
}
