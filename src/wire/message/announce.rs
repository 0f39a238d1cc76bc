//! `sendcmpct` and `feefilter`: how a peer wants to hear of blocks and transactions.

use crate::wire::{Decode, DecodeError, Encode, Reader};

/// Whether and how the sender wants compact blocks. Only version 1 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SendCmpct {
    /// Whether new blocks are to be announced with `cmpctblock` at once, unasked.
    pub announce: bool,
    /// The version of the compact form.
    pub version: u64,
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

/// The least fee rate of transactions that the sender wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeeFilter {
    /// In satoshi for 1,000 bytes. The node ignores values outside 0 to 21 * 10^14.
    pub rate: i64,
}

impl Decode for FeeFilter {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            rate: reader.i64("fee rate")?,
        })
    }
}

impl Encode for FeeFilter {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rate.to_le_bytes());
    }

    fn encoded_len(&self) -> u64 {
        8
    }
}
