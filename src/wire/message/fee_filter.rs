//! `feefilter`: the minimum fee rate of transactions that the receiver should announce.

use crate::wire::{Decode, DecodeError, Encode, Reader};

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
    fn fee_rate_is_valid_within_money_range() {
        for (rate, valid) in [
            (i64::MIN, false),
            (-1, false),
            (0, true),
            (9_577_383, true),
            (2_100_000_000_000_000, true),
            (2_100_000_000_000_001, false),
        ] {
            assert_eq!(FeeFilter { rate }.is_valid(), valid, "{rate}");
        }
    }
}
