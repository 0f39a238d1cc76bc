//! `filteradd`: an additional element for a bloom filter.

use super::{bytes_len, encode_bytes};
use crate::wire::hex_debug::impl_hex_debug;
use crate::wire::{BloomFilter, Decode, DecodeError, Encode, Reader};

/// Adds an element to the bloom filter that the sender has loaded.
///
/// A node that does not serve bloom filters bans the sender.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FilterAdd {
    /// The element, at most [`BloomFilter::MAX_ELEMENT`] bytes. A node bans the sender of a longer
    /// one.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::serde_util::hex::serialize",
            deserialize_with = "crate::wire::serde_repr::bytes_within::<0, { BloomFilter::MAX_ELEMENT }, _>"
        )
    )]
    pub data: Vec<u8>,
}

impl_hex_debug!(FilterAdd { data: hex });

impl FilterAdd {
    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let limit = BloomFilter::MAX_ELEMENT as u64;
        DecodeError::unless_within("filter element", limit, self.data.len())
    }
}

impl Decode for FilterAdd {
    /// Returns [`DecodeError::TooLong`] if the element is above the limit.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let data = reader.var_bytes("filter element", u64::MAX)?;
        // Checked last, as by the node: a truncated element is another error.
        let add = Self {
            data: data.to_vec(),
        };
        add.validate()?;
        Ok(add)
    }
}

impl Encode for FilterAdd {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(&self.data, out);
    }

    fn encoded_len(&self) -> u64 {
        bytes_len(&self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_over_520_bytes_is_rejected() {
        for (len, taken) in [(0, true), (520, true), (521, false)] {
            let add = FilterAdd { data: vec![7; len] };
            let read = FilterAdd::decode_from(&add.encode_to_vec());
            assert_eq!(read.is_ok(), taken, "{len}");
        }
        let long = FilterAdd { data: vec![7; 521] }.encode_to_vec();
        let error = |bytes| FilterAdd::decode_from(bytes).unwrap_err();
        assert!(matches!(
            error(&long),
            DecodeError::TooLong { got: 521, .. }
        ));
        let cut = &long[..long.len() - 1];
        assert!(matches!(error(cut), DecodeError::Truncated { .. }));
    }
}
