//! `filteradd`: one more element for a bloom filter.

use super::{bytes_len, encode_bytes};
use crate::wire::hex_text::debug_in_hex;
use crate::wire::{BloomFilter, Decode, DecodeError, Encode, Reader};

/// Adds an element to the filter that the sender has loaded. Nodes that do not serve bloom filters ban for it.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FilterAdd {
    /// The element, at most [`BloomFilter::MAX_ELEMENT`] bytes; a node bans for a longer one.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::serde_with::hex::serialize",
            deserialize_with = "crate::wire::serde_form::bytes_within::<0, { BloomFilter::MAX_ELEMENT }, _>"
        )
    )]
    pub data: Vec<u8>,
}

debug_in_hex!(FilterAdd { data: hex });

impl FilterAdd {
    pub(super) fn validate(&self) -> Result<(), DecodeError> {
        let limit = BloomFilter::MAX_ELEMENT as u64;
        DecodeError::unless_within("filter element", limit, self.data.len())
    }
}

impl Decode for FilterAdd {
    /// An element above the limit is [`DecodeError::TooLong`].
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let data = reader.var_bytes("filter element", u64::MAX)?;
        // Judged last, as at the node: an element that is cut off is another fault.
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
    fn an_element_of_520_bytes_is_taken_and_one_of_521_refused() {
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
