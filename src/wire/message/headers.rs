//! `headers`: block headers in chain order.

use super::list_message::impl_list_message;
use super::{check_entry_limit, list_len};
use crate::wire::{BlockHeader, Decode, DecodeError, Encode, Reader};

/// The maximum number of headers in a `headers` message. A node adds 20 to the score of a peer that
/// exceeds it.
///
/// If a message contains the maximum, the sender may have more headers.
pub const MAX_HEADERS: usize = 2000;

/// A list of at most 2,000 block headers in chain order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Headers {
    /// The headers.
    #[cfg_attr(
        feature = "serde",
        serde(deserialize_with = "crate::wire::serde_repr::at_most::<MAX_HEADERS, _, _>")
    )]
    pub headers: Vec<BlockHeader>,
}

impl_list_message!(Headers {
    headers: BlockHeader
});

/// A header in this message, followed by a count of transactions, which is written as 0 and
/// ignored.
struct HeaderEntry(BlockHeader);

impl HeaderEntry {
    const MIN_LEN: usize = BlockHeader::LEN + 1;
}

impl Decode for HeaderEntry {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = BlockHeader::decode(reader)?;
        reader.compact_size("transaction count")?;
        Ok(Self(header))
    }
}

impl Decode for Headers {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        check_entry_limit(reader, "headers", MAX_HEADERS)?;
        let count = reader.count("headers", HeaderEntry::MIN_LEN)?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            headers.push(HeaderEntry::decode(reader)?.0);
        }
        Ok(Self { headers })
    }
}

impl Encode for Headers {
    fn encode(&self, out: &mut Vec<u8>) {
        super::super::write_compact_size(self.headers.len() as u64, out);
        for header in &self.headers {
            header.encode(out);
            out.push(0);
        }
    }

    fn encoded_len(&self) -> u64 {
        list_len(self.headers.len(), HeaderEntry::MIN_LEN as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn headers_with_over_2000_entries_are_rejected() {
        let header = BlockHeader::genesis(&Network::Regtest);
        let full = Headers {
            headers: vec![header; MAX_HEADERS],
        };
        assert_eq!(Headers::decode_from(&full.encode_to_vec()), Ok(full));
        let more = Headers {
            headers: vec![header; MAX_HEADERS + 1],
        };
        assert_eq!(
            Headers::decode_from(&more.encode_to_vec()),
            Err(DecodeError::TooManyEntries {
                field: "headers",
                limit: 2000,
                got: 2001
            })
        );
    }

    #[test]
    fn transaction_count_is_required_and_ignored() {
        let header = BlockHeader::genesis(&Network::Regtest);
        let mut bytes = vec![1];
        bytes.extend_from_slice(&header.to_bytes());
        assert!(Headers::decode_from(&bytes).is_err());
        bytes.extend_from_slice(&[0xfd, 0x00, 0x01]);
        assert_eq!(
            Headers::decode_from(&bytes),
            Ok(Headers {
                headers: vec![header]
            })
        );
    }
}
