//! `addr`: addresses of nodes.

use super::list_message::impl_list_message;
use super::{check_entry_limit, decode_entries, encode_list, list_len};
use crate::wire::{Decode, DecodeError, Encode, Reader, TimestampedAddress};

/// The maximum number of addresses in an `addr`. The node adds a score of 20 for more.
pub const MAX_ADDRESSES: usize = 1000;

/// A list of at most 1,000 addresses of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Addr {
    /// The addresses, each with the time at which the node was last seen.
    #[cfg_attr(
        feature = "serde",
        serde(deserialize_with = "crate::wire::serde_repr::at_most::<MAX_ADDRESSES, _, _>")
    )]
    pub addresses: Vec<TimestampedAddress>,
}

impl_list_message!(Addr {
    addresses: TimestampedAddress
});

impl Decode for Addr {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        check_entry_limit(reader, "addresses", MAX_ADDRESSES)?;
        decode_entries(reader, "addresses", TimestampedAddress::from_bytes)
            .map(|addresses| Self { addresses })
    }
}

impl Encode for Addr {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(&self.addresses, out);
    }

    fn encoded_len(&self) -> u64 {
        list_len(self.addresses.len(), TimestampedAddress::LEN as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NetworkAddress, Services};

    #[test]
    fn addr_with_over_1000_addresses_is_rejected() {
        let entry = TimestampedAddress {
            time: 1,
            address: NetworkAddress::unspecified(Services::NETWORK),
        };
        let full = Addr {
            addresses: vec![entry; MAX_ADDRESSES],
        };
        assert_eq!(Addr::decode_from(&full.encode_to_vec()), Ok(full));
        let more = Addr {
            addresses: vec![entry; MAX_ADDRESSES + 1],
        };
        assert_eq!(
            Addr::decode_from(&more.encode_to_vec()),
            Err(DecodeError::TooManyEntries {
                field: "addresses",
                limit: 1000,
                got: 1001
            })
        );
    }
}
