//! `sendcmpct`: whether and how the receiver should send compact blocks.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Whether and how the receiver should send compact blocks. Only version 1 is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SendCmpct {
    /// Whether the receiver should announce new blocks with an unsolicited `cmpctblock`.
    pub announce: bool,
    /// The version of the compact form.
    pub version: u64,
}

impl SendCmpct {
    /// The only supported version.
    pub const VERSION: u64 = 1;

    /// Returns whether a node processes the message: only if the version is 1.
    pub const fn is_valid(self) -> bool {
        self.version == Self::VERSION
    }
}

impl Decode for SendCmpct {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            announce: reader.bool("announce")?,
            version: reader.u64("version")?,
        })
    }
}

impl Encode for SendCmpct {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.announce));
        out.extend_from_slice(&self.version.to_le_bytes());
    }

    fn encoded_len(&self) -> u64 {
        9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_one_is_valid() {
        for (version, valid) in [(0, false), (1, true), (2, false), (u64::MAX, false)] {
            let announce = true;
            assert_eq!(
                SendCmpct { announce, version }.is_valid(),
                valid,
                "{version}"
            );
        }
    }
}
