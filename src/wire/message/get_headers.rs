//! `getblocks`, `getheaders` and `gethdrsen`: three messages with the same layout.

use super::{decode_list, encode_list, list_len};
use crate::wire::{BlockHash, Decode, DecodeError, Encode, Reader};

macro_rules! locator_requests {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name {
            /// The protocol version. Every receiver ignores it.
            pub version: i32,
            /// Hashes of blocks that the sender has, newest first. Limited by the size of the
            /// payload only.
            ///
            /// The answer starts after the first block that is on the receiver's chain. If none is,
            /// it starts after the genesis block.
            pub locator: Vec<BlockHash>,
            /// The block at which the answer stops, or zero to receive as many entries as fit.
            pub stop: BlockHash,
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self {
                    version: reader.i32("locator version")?,
                    locator: decode_list(reader, "locator", 32)?,
                    stop: Decode::decode(reader)?,
                })
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.version.to_le_bytes());
                encode_list(&self.locator, out);
                self.stop.encode(out);
            }

            fn encoded_len(&self) -> u64 {
                4 + list_len(self.locator.len(), 32) + 32
            }
        }
    )+};
}

locator_requests! {
    /// Requests an `inv` of at most 500 blocks after the locator. The block `stop` is not included.
    ///
    /// Nodes answer it and never send it. A Teranode answers with up to 500 blocks before the
    /// locator, newest first.
    GetBlocks;
    /// Requests the headers after the first locator block on the peer's chain.
    ///
    /// If the locator is empty, the answer is the header of `stop` only, or nothing if it is
    /// unknown.
    GetHeaders;
    /// Requests headers like [`GetHeaders`], each with its coinbase and a proof of it (`hdrsen`).
    ///
    /// A node that has not received a `protoconf` answers with a single header.
    GetHdrsEn;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locator_of_500_hashes_is_accepted() {
        let long = GetHeaders {
            version: 1,
            locator: vec![BlockHash::ZERO; 500],
            stop: BlockHash::ZERO,
        };
        let bytes = long.encode_to_vec();
        assert_eq!(GetHeaders::decode_from(&bytes), Ok(long));
        assert!(GetBlocks::decode_from(&bytes).is_ok());
        assert!(GetHdrsEn::decode_from(&bytes).is_ok());
    }

    #[test]
    fn empty_locator_is_accepted() {
        let empty = GetBlocks {
            version: 70016,
            locator: vec![],
            stop: BlockHash([7; 32]),
        };
        assert_eq!(empty.encoded_len(), 37);
        assert_eq!(GetBlocks::decode_from(&empty.encode_to_vec()), Ok(empty));
    }
}
