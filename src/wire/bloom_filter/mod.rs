//! Bloom filters (BIP37), with which a peer selects the transactions to send.

mod encoding;
mod matching;
mod murmur3;
mod script;

use std::f64::consts::LN_2;
use std::fmt;

use self::murmur3::murmur3_32;
use super::TransactionView;

/// A set of byte strings that can report false positives but no false negatives.
///
/// A caller inserts the keys, key hashes, outpoints and transaction IDs to watch. It sends the
/// filter in a `filterload` to a peer that offers [`Services::BLOOM`](super::Services::BLOOM). The
/// peer then sends only matching transactions.
///
/// A filter without bytes matches everything. Source: Bitcoin SV node 1.2.2, `src/bloom.cpp`.
///
/// ```
/// use bsv_p2p::wire::{BloomFilter, BloomFlags};
///
/// # fn main() -> Result<(), bsv_p2p::wire::InvalidFalsePositiveRate> {
/// let mut filter = BloomFilter::new(10, 0.0001, 0x1234_5678, BloomFlags::ALL)?;
/// filter.insert(&[0x99; 20]);
/// assert!(filter.contains(&[0x99; 20]));
/// assert!(!filter.contains(&[0x11; 20]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BloomFilter {
    data: Vec<u8>,
    hash_functions: u32,
    tweak: u32,
    flags: BloomFlags,
}

/// The error of a false-positive rate that is not between 0 and 1. Contains the rate.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected a false-positive rate above 0 and below 1, got {0}")]
pub struct InvalidFalsePositiveRate(pub f64);

impl BloomFilter {
    /// The maximum length of a filter in bytes. A node bans a peer that exceeds it.
    pub const MAX_BYTES: usize = 36_000;

    /// The maximum number of hash functions. A node bans a peer that exceeds it.
    pub const MAX_HASH_FUNCTIONS: u32 = 50;

    /// The maximum length of an element in bytes. A longer element is never inserted or found.
    pub const MAX_ELEMENT: usize = 520;

    /// Creates an empty filter for `items` elements with the given maximum false-positive rate.
    ///
    /// The size is that of a node. The maximum is [`MAX_BYTES`](Self::MAX_BYTES) and
    /// [`MAX_HASH_FUNCTIONS`](Self::MAX_HASH_FUNCTIONS). If more is required, the false-positive
    /// rate is higher. `tweak` should be random, so that filters of different connections cannot be
    /// compared.
    ///
    /// # Errors
    ///
    /// [`InvalidFalsePositiveRate`] if the rate is not above 0 and below 1.
    pub fn new(
        items: u32,
        false_positive_rate: f64,
        tweak: u32,
        flags: BloomFlags,
    ) -> Result<Self, InvalidFalsePositiveRate> {
        // The negated form also rejects NaN.
        if !(false_positive_rate > 0.0 && false_positive_rate < 1.0) {
            return Err(InvalidFalsePositiveRate(false_positive_rate));
        }
        let items = items.max(1);
        let bits = -f64::from(items) * false_positive_rate.ln() / (LN_2 * LN_2);
        // At least one byte and one function: without them the filter would match everything.
        let bytes = (bits as usize / 8).clamp(1, Self::MAX_BYTES);
        let bits_for_each = (bytes * 8) as u32 / items;
        let hash_functions = (f64::from(bits_for_each) * LN_2) as u32;
        Ok(Self {
            data: vec![0; bytes],
            hash_functions: hash_functions.clamp(1, Self::MAX_HASH_FUNCTIONS),
            tweak,
            flags,
        })
    }

    /// Creates the filter that matches everything and ignores insertions: it has no bytes.
    pub const fn match_all() -> Self {
        Self {
            data: Vec::new(),
            hash_functions: 0,
            tweak: 0,
            flags: BloomFlags::NONE,
        }
    }

    /// Returns the bits, eight in each byte, the lowest bit first.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns the number of hash functions, which is the maximum number of bits that an element
    /// sets.
    pub const fn hash_functions(&self) -> u32 {
        self.hash_functions
    }

    /// Returns the number that is added to the seed of every hash function.
    pub const fn tweak(&self) -> u32 {
        self.tweak
    }

    /// Returns the flags, which determine the outputs to add if a transaction matches.
    pub const fn flags(&self) -> BloomFlags {
        self.flags
    }

    /// Inserts an element. Like the node, ignores an element above
    /// [`MAX_ELEMENT`](Self::MAX_ELEMENT).
    pub fn insert(&mut self, element: &[u8]) {
        if element.len() > Self::MAX_ELEMENT || self.data.is_empty() {
            return;
        }
        for function in 0..self.hash_functions {
            let (byte, bit) = self.bit_position(function, element);
            self.data[byte] |= bit;
        }
    }

    /// Returns whether the filter contains an element. May return `true` for other elements.
    pub fn contains(&self, element: &[u8]) -> bool {
        if element.len() > Self::MAX_ELEMENT {
            return false;
        }
        self.data.is_empty()
            || (0..self.hash_functions).all(|function| {
                let (byte, bit) = self.bit_position(function, element);
                self.data[byte] & bit != 0
            })
    }

    /// Returns the byte and the bit in it that a hash function selects for an element.
    ///
    /// The filter must have at least one byte.
    fn bit_position(&self, function: u32, element: &[u8]) -> (usize, u8) {
        let seed = function.wrapping_mul(0xfba4_c795).wrapping_add(self.tweak);
        let index = murmur3_32(seed, element) as usize % (self.data.len() * 8);
        (index / 8, 1 << (index % 8))
    }

    /// Returns whether a transaction matches, and adds matching outputs to the filter.
    ///
    /// The [`flags`](BloomFilter::flags) determine which outputs are added. A transaction that
    /// spends an added output matches later.
    ///
    /// A transaction matches if the filter contains any of the following (Bitcoin SV node 1.2.2,
    /// `src/bloom.cpp`, `IsRelevantAndUpdate`):
    ///
    /// - the ID of the transaction,
    /// - data that a script of an output or input pushes,
    /// - an outpoint that the transaction spends.
    pub fn match_and_update(&mut self, transaction: TransactionView<'_>) -> bool {
        self.matches_transaction(transaction)
    }
}

impl fmt::Debug for BloomFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BloomFilter")
            .field("bytes", &self.data.len())
            .field("hash_functions", &self.hash_functions)
            .field("tweak", &self.tweak)
            .field("flags", &self.flags)
            .finish()
    }
}

/// The outputs that a filter adds if a transaction matches, so that spending transactions match
/// too.
///
/// Only outputs with a matching push are added. Only the two lowest bits are significant; the
/// others are preserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct BloomFlags(pub u8);

impl BloomFlags {
    /// Inserts no outpoints of matching outputs into the filter.
    pub const NONE: BloomFlags = BloomFlags(0);
    /// Inserts the outpoint of every output with a matching push.
    pub const ALL: BloomFlags = BloomFlags(1);
    /// Inserts only outpoints of matching outputs that pay to a bare key or to m of n bare keys.
    pub const P2PUBKEY_ONLY: BloomFlags = BloomFlags(2);

    /// Returns the two significant bits.
    const fn update(self) -> BloomFlags {
        BloomFlags(self.0 & 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(items: u32, rate: f64) -> BloomFilter {
        BloomFilter::new(items, rate, 0, BloomFlags::ALL).unwrap()
    }

    #[test]
    fn filter_size_matches_node() {
        for (items, rate, bytes, functions) in [
            (3, 0.01, 3, 5),
            (2, 0.001, 3, 8),
            (10, 0.000001, 35, 19),
            (20_000, 0.001, 35_943, 9),
            (10_000, 0.000001, 35_943, 19),
            // At the limits.
            (20_100, 0.001, 36_000, 9),
            (1, 1e-300, 179, 50),
            (u32::MAX, 0.5, 36_000, 1),
            // Too few bits for one byte.
            (1, 0.999, 1, 5),
            (0, 0.01, 1, 5),
        ] {
            let filter = filter(items, rate);
            let made = (filter.data().len(), filter.hash_functions());
            assert_eq!(made, (bytes, functions), "{items} at {rate}");
        }
    }

    #[test]
    fn rate_outside_zero_to_one_is_rejected() {
        for rate in [0.0, -0.0, 1.0, -0.5, f64::INFINITY, f64::NAN] {
            let made = BloomFilter::new(3, rate, 0, BloomFlags::NONE);
            assert!(made.is_err(), "{rate}");
        }
    }

    #[test]
    fn elements_produce_filters_of_node_vectors() {
        // Test vectors of the node (`src/test/bloom_tests.cpp`): 3 elements at 1 %.
        for (tweak, data) in [(0, [0x61, 0x4e, 0x9b]), (2_147_483_649, [0xce, 0x42, 0x99])] {
            let mut filter = BloomFilter::new(3, 0.01, tweak, BloomFlags::ALL).unwrap();
            for element in [
                "99108ad8ed9bb6274d3980bab5a85c048f0950c8",
                "b5a2c786d9ef4658287ced5914b37a1b4aa32eee",
                "b9300670b4c5366e95b2699e8b18bc75e5f729c5",
            ] {
                filter.insert(&hex::decode(element).unwrap());
            }
            assert_eq!(filter.data(), data);
            let other = hex::decode("19108ad8ed9bb6274d3980bab5a85c048f0950c8").unwrap();
            assert!(!filter.contains(&other));
        }
    }

    #[test]
    fn inserted_elements_match_with_few_false_positives() {
        let mut filter = BloomFilter::new(1_000, 0.01, 7, BloomFlags::NONE).unwrap();
        for number in 0..1_000_u32 {
            filter.insert(&number.to_le_bytes());
        }
        assert!((0..1_000_u32).all(|number| filter.contains(&number.to_le_bytes())));
        let wrong = (1_000..11_000_u32)
            .filter(|number| filter.contains(&number.to_le_bytes()))
            .count();
        assert!((50..150).contains(&wrong), "{wrong} of 10,000 at 1 %");
    }

    #[test]
    fn element_above_520_bytes_is_ignored() {
        let mut filter = filter(3, 0.01);
        filter.insert(&[7; 521]);
        assert_eq!(filter.data(), [0; 3]);
        filter.insert(&[7; 520]);
        assert!(filter.contains(&[7; 520]));
        filter.data.fill(0xff);
        assert!(!filter.contains(&[7; 521]));
    }

    #[test]
    fn empty_filter_contains_everything_and_stays_empty() {
        let mut all = BloomFilter::match_all();
        all.insert(b"x");
        assert_eq!(all, BloomFilter::match_all());
        assert!(all.contains(b"") && all.contains(&[7; 520]));
        assert!(!all.contains(&[7; 521]));
    }
}
