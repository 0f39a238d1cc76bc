//! `getblocks`, `getheaders` and `gethdrsen`: three messages with one layout, which ask by a locator.

use super::{decode_list, encode_list, list_len};
use crate::wire::{BlockHash, Decode, DecodeError, Encode, Reader};

macro_rules! locator_requests {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name {
            /// The protocol version; every receiver ignores it.
            pub version: i32,
            /// Hashes of blocks that the sender has, newest first. There is no limit but the payload's.
            ///
            /// The first that is on the receiver's chain counts; if none is, the answer begins behind the first
            /// block of all.
            pub locator: Vec<BlockHash>,
            /// The block with which the answer ends; zero for as many as fit.
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
    /// Asks for an `inv` of the blocks behind the locator, at most 500, and without that of `stop`. Nodes answer it and
    /// never send it. A Teranode answers with up to 500 blocks before the locator, newest first.
    GetBlocks;
    /// Asks for the headers behind the first block of the locator that the peer has on its chain.
    ///
    /// With an empty locator the answer is the header of `stop` alone, or nothing if it is unknown.
    GetHeaders;
    /// Asks for headers like [`GetHeaders`], each with its coinbase and the proof of it (`hdrsen`).
    ///
    /// A node that has had no `protoconf` answers with one header alone.
    GetHdrsEn;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_has_no_limit_of_its_own() {
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
    fn a_locator_may_be_empty() {
        let empty = GetBlocks {
            version: 70016,
            locator: vec![],
            stop: BlockHash([7; 32]),
        };
        assert_eq!(empty.encoded_len(), 37);
        assert_eq!(GetBlocks::decode_from(&empty.encode_to_vec()), Ok(empty));
    }
}
