//! The wire form of a bloom filter, which is the payload of `filterload`.

use super::{BloomFilter, BloomFlags};
use crate::wire::{Decode, DecodeError, Encode, Reader, compact_size_len, write_compact_size};

impl Decode for BloomFilter {
    /// Decodes a filter.
    ///
    /// # Errors
    ///
    /// - [`DecodeError::TooLong`] if the filter has more than
    ///   [`MAX_BYTES`](BloomFilter::MAX_BYTES).
    /// - [`DecodeError::TooManyEntries`] if it has more than
    ///   [`MAX_HASH_FUNCTIONS`](BloomFilter::MAX_HASH_FUNCTIONS).
    /// - Other variants of [`DecodeError`] if the encoding is malformed.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let data = reader.var_bytes("filter", u64::MAX)?;
        let hash_functions = reader.u32("hash functions")?;
        let tweak = reader.u32("filter tweak")?;
        let flags = BloomFlags(reader.u8("filter flags")?);
        // Checked last, as in the node: a truncated filter is a different error.
        if data.len() > Self::MAX_BYTES {
            return Err(DecodeError::TooLong {
                field: "filter",
                limit: Self::MAX_BYTES as u64,
                got: data.len() as u64,
            });
        }
        if hash_functions > Self::MAX_HASH_FUNCTIONS {
            return Err(DecodeError::TooManyEntries {
                field: "hash functions",
                limit: u64::from(Self::MAX_HASH_FUNCTIONS),
                got: u64::from(hash_functions),
            });
        }
        Ok(Self {
            data: data.to_vec(),
            hash_functions,
            tweak,
            flags,
        })
    }
}

impl Encode for BloomFilter {
    fn encode(&self, out: &mut Vec<u8>) {
        write_compact_size(self.data.len() as u64, out);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(&self.hash_functions.to_le_bytes());
        out.extend_from_slice(&self.tweak.to_le_bytes());
        out.push(self.flags.0);
    }

    fn encoded_len(&self) -> u64 {
        let len = self.data.len() as u64;
        compact_size_len(len) + len + 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_above_limits_are_rejected() {
        let of = |bytes: usize, functions: u32| {
            let filter = BloomFilter {
                data: vec![7; bytes],
                hash_functions: functions,
                ..BloomFilter::match_all()
            };
            let read = BloomFilter::decode_from(&filter.encode_to_vec());
            if let Ok(read) = &read {
                assert_eq!(*read, filter);
            }
            read.map(|_| ())
        };
        assert_eq!(of(36_000, 50), Ok(()));
        assert_eq!(of(0, 0), Ok(()));
        assert_eq!(
            of(36_001, 50),
            Err(DecodeError::TooLong {
                field: "filter",
                limit: 36_000,
                got: 36_001
            })
        );
        assert_eq!(
            of(36_000, 51),
            Err(DecodeError::TooManyEntries {
                field: "hash functions",
                limit: 50,
                got: 51
            })
        );
    }
}
