//! `sendcmpct` and `feefilter`: how the receiver should announce blocks and transactions.

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

/// The minimum fee rate of the transactions that the receiver should announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeeFilter {
    /// The fee rate in satoshi per 1,000 bytes, from 0 to [`FeeFilter::MAX_RATE`].
    pub rate: i64,
}

impl FeeFilter {
    /// The maximum valid fee rate: the total amount of money, in satoshi.
    pub const MAX_RATE: i64 = 2_100_000_000_000_000;

    /// Returns whether a node processes the message: only if the rate is a valid amount of money.
    pub const fn is_valid(self) -> bool {
        0 <= self.rate && self.rate <= Self::MAX_RATE
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_one_of_sendcmpct_counts() {
        for (version, counts) in [(0, false), (1, true), (2, false), (u64::MAX, false)] {
            let announce = true;
            assert_eq!(
                SendCmpct { announce, version }.is_valid(),
                counts,
                "{version}"
            );
        }
    }

    #[test]
    fn fee_rate_counts_within_money_range() {
        for (rate, counts) in [
            (i64::MIN, false),
            (-1, false),
            (0, true),
            (9_577_383, true),
            (2_100_000_000_000_000, true),
            (2_100_000_000_000_001, false),
        ] {
            assert_eq!(FeeFilter { rate }.is_valid(), counts, "{rate}");
        }
    }
}
