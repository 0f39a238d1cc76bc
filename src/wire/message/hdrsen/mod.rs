//! `hdrsen`: block headers with coinbases and miner information.

mod enriched_header;

pub use enriched_header::{EnrichedHeader, EnrichedHeaderError};

use std::fmt;

use bytes::Bytes;

use super::{MAX_HEADERS, check_entry_limit};
use crate::wire::encode::encode_payload;
use crate::wire::{Decode, DecodeError, Encode, Reader, write_compact_size};

/// A list of at most 2,000 headers in chain order, each with the coinbase of its block and a proof.
///
/// The message is kept in the buffer in which it arrived, which is checked once, when the message
/// is created. The headers of [`HdrsEn::headers`] share the buffer, so a transaction of them keeps
/// the whole message in memory.
///
/// A node that has not received a `protoconf` sends one header at a time.
#[derive(Clone, PartialEq, Eq)]
pub struct HdrsEn {
    payload: Bytes,
    count: usize,
}

impl HdrsEn {
    /// Creates a message from its headers.
    ///
    /// A message with more than 2,000 headers can be created, but
    /// [`Message::validate`](crate::wire::Message::validate) rejects it.
    pub fn new(headers: &[EnrichedHeader]) -> Self {
        let mut payload = Vec::new();
        write_compact_size(headers.len() as u64, &mut payload);
        for header in headers {
            header.encode(&mut payload);
        }
        Self {
            payload: payload.into(),
            count: headers.len(),
        }
    }

    /// Returns the message in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns the number of headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether the message has no headers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the headers, in order. Transactions and proofs are not copied.
    pub fn headers(&self) -> EnrichedHeaders<'_> {
        let mut reader = Reader::from_shared(&self.payload);
        // The bytes were checked when the message was created: this cannot fail.
        let left = reader.compact_size("headers").map_or(0, |_| self.count);
        EnrichedHeaders { reader, left }
    }
}

impl Decode for HdrsEn {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        check_entry_limit(reader, "headers", MAX_HEADERS)?;
        let count = reader.count("headers", EnrichedHeader::MIN_LEN)?;
        for _ in 0..count {
            EnrichedHeader::decode(reader)?;
        }
        Ok(Self {
            payload: reader.shared_since(&start),
            count,
        })
    }
}

encode_payload!(HdrsEn);

impl fmt::Debug for HdrsEn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers()).finish()
    }
}

/// An iterator over the headers of an `hdrsen`, in order.
///
/// Created by [`HdrsEn::headers`].
#[derive(Clone, Debug)]
pub struct EnrichedHeaders<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl Iterator for EnrichedHeaders<'_> {
    type Item = EnrichedHeader;

    fn next(&mut self) -> Option<EnrichedHeader> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the message was created: this cannot fail.
        EnrichedHeader::decode(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for EnrichedHeaders<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::BlockHeader;

    fn bare() -> EnrichedHeader {
        EnrichedHeader {
            header: BlockHeader::genesis(&Network::Regtest),
            transaction_count: 1,
            no_more_headers: false,
            coinbase: None,
            miner_info: None,
        }
    }

    #[test]
    fn message_with_over_2000_headers_is_rejected() {
        let full = HdrsEn::new(&vec![bare(); MAX_HEADERS]);
        assert_eq!(HdrsEn::decode_from(full.bytes()), Ok(full.clone()));
        assert_eq!((full.len(), full.headers().len()), (2000, 2000));
        assert!(full.headers().all(|header| header == bare()));
        let more = HdrsEn::new(&vec![bare(); MAX_HEADERS + 1]);
        assert_eq!(
            HdrsEn::decode_from(more.bytes()),
            Err(DecodeError::TooManyEntries {
                field: "headers",
                limit: 2000,
                got: 2001
            })
        );
    }

    #[test]
    fn message_without_headers_is_valid() {
        let none = HdrsEn::new(&[]);
        assert_eq!(none.bytes(), &[0][..]);
        assert_eq!(HdrsEn::decode_from(&[0]), Ok(none.clone()));
        assert!(none.is_empty());
        assert_eq!(none.headers().next(), None);
    }

    #[test]
    fn bytes_after_last_header_are_dropped() {
        let one = HdrsEn::new(&[bare()]);
        let longer = [&one.bytes()[..], b"more"].concat();
        assert_eq!(HdrsEn::decode_from(&longer), Ok(one));
    }

    #[test]
    fn any_nonzero_byte_is_true() {
        let one = HdrsEn::new(&[bare()]);
        let mut lax = one.bytes().to_vec();
        let at = lax.len() - 3;
        lax[at] = 0x80;
        let read = HdrsEn::decode_from(&lax).unwrap();
        assert!(read.headers().all(|header| header.no_more_headers));
        assert_eq!(read.bytes(), &lax, "what came is what goes out again");
    }
}
