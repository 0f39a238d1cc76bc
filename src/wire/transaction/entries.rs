//! Iterators over the encoded inputs and outputs of a transaction.
//!
//! The bytes must have been checked, so the iterators return no errors: distinguishing errors would
//! dominate the cost of a step. For the same reason, lengths of one byte have a separate fast path.

use super::super::Reader;
use super::OutPoint;

/// A transaction input that borrows its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TransactionInputView<'a> {
    /// The output that is spent.
    pub previous: OutPoint,
    /// The unlocking script.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub script: &'a [u8],
    /// The sequence number.
    pub sequence: u32,
}

/// A transaction output that borrows its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TransactionOutputView<'a> {
    /// The amount in satoshis.
    pub value: i64,
    /// The locking script.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub script: &'a [u8],
}

/// The entries of a list: each has a fixed-size prefix, a length-prefixed script and a fixed-size
/// suffix.
///
/// After the last entry, fewer bytes remain than an entry has, so the end is found without the
/// count.
#[derive(Clone, Debug)]
struct Entries<'a, const PREFIX: usize, const SUFFIX: usize> {
    rest: &'a [u8],
    left: usize,
}

struct ScriptEntry<'a, const PREFIX: usize, const SUFFIX: usize> {
    prefix: &'a [u8; PREFIX],
    script: &'a [u8],
    suffix: &'a [u8; SUFFIX],
    rest: &'a [u8],
}

impl<'a, const PREFIX: usize, const SUFFIX: usize> Entries<'a, PREFIX, SUFFIX> {
    /// Starts after the count of the list, which is at offset `AT`.
    #[inline]
    fn after_count<const AT: usize>(bytes: &'a [u8]) -> Self {
        match bytes.split_at_checked(AT + 1) {
            Some((&[.., count @ ..0xfd], rest)) => Self {
                rest,
                left: usize::from(count),
            },
            _ => Self::after_long_count(&bytes[AT..]),
        }
    }

    /// Like [`after_count`](Self::after_count), for a count of more than one byte.
    #[cold]
    fn after_long_count(bytes: &'a [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let left = reader
            .count("entries", PREFIX + 1 + SUFFIX)
            .unwrap_or_default();
        Self {
            rest: reader.remaining(),
            left,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<ScriptEntry<'a, PREFIX, SUFFIX>> {
        let entry = match *self.rest.get(PREFIX)? {
            len @ ..0xfd => Self::split(self.rest, PREFIX + 1, usize::from(len))?,
            _ => Self::split_long(self.rest)?,
        };
        self.rest = entry.rest;
        self.left = self.left.saturating_sub(1);
        Some(entry)
    }

    #[inline]
    fn split(
        bytes: &'a [u8],
        script_at: usize,
        len: usize,
    ) -> Option<ScriptEntry<'a, PREFIX, SUFFIX>> {
        let (entry, rest) = bytes.split_at_checked(script_at + len + SUFFIX)?;
        Some(ScriptEntry {
            prefix: entry.first_chunk()?,
            script: entry.get(script_at..script_at + len)?,
            suffix: entry.last_chunk()?,
            rest,
        })
    }

    /// Splits off an entry whose script length has more than one byte.
    #[cold]
    fn split_long(bytes: &'a [u8]) -> Option<ScriptEntry<'a, PREFIX, SUFFIX>> {
        let mut reader = Reader::new(bytes);
        reader.read_bytes("entry", PREFIX).ok()?;
        let len = reader.compact_size("script").ok()?;
        let script_at = bytes.len() - reader.remaining().len();
        Self::split(bytes, script_at, usize::try_from(len).ok()?)
    }
}

/// An iterator over the inputs of a transaction, in order.
///
/// Returned by [`TransactionView::inputs`](super::TransactionView::inputs).
#[derive(Clone, Debug)]
pub struct Inputs<'a>(Entries<'a, 36, 4>);

/// An iterator over the outputs of a transaction, in order.
///
/// Returned by [`TransactionView::outputs`](super::TransactionView::outputs).
#[derive(Clone, Debug)]
pub struct Outputs<'a>(Entries<'a, 8, 0>);

impl<'a> Inputs<'a> {
    /// Creates the iterator from the start of a transaction, up to the output count.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Entries::after_count::<4>(bytes))
    }
}

impl<'a> Outputs<'a> {
    /// Creates the iterator from the end of a transaction, starting at the output count.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Entries::after_count::<0>(bytes))
    }
}

impl<'a> Iterator for Inputs<'a> {
    type Item = TransactionInputView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| TransactionInputView {
            previous: OutPoint::from_bytes(entry.prefix),
            script: entry.script,
            sequence: u32::from_le_bytes(*entry.suffix),
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl<'a> Iterator for Outputs<'a> {
    type Item = TransactionOutputView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| TransactionOutputView {
            value: i64::from_le_bytes(*entry.prefix),
            script: entry.script,
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl ExactSizeIterator for Inputs<'_> {}
impl ExactSizeIterator for Outputs<'_> {}
