//! `alert`: obsolete warnings.

use super::{bytes_len, encode_bytes};
use crate::wire::hex_debug::impl_hex_debug;
use crate::wire::{Decode, DecodeError, Encode, Reader};

/// A warning to all users of the network. It is obsolete, because its key was retired.
///
/// A node sends one fixed, final alert to peers with a protocol version of at most 70012. It
/// ignores the alerts that it receives.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Alert {
    /// The warning in its own encoding.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub message: Vec<u8>,
    /// The signature of the warning.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub signature: Vec<u8>,
}

impl_hex_debug!(Alert {
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
