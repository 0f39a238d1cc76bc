//! The inputs and outputs of a transaction where they lie.
//!
//! What is here reads bytes that have been checked, and knows no errors: to tell one from another would cost more than all the
//! rest of an iteration's step. For the same reason lengths of one byte have a way of their own.

use super::super::Reader;
use super::OutPoint;

/// An input of a transaction, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TransactionInputView<'a> {
    /// The output that is spent.
    pub previous: OutPoint,
    /// The script that unlocks it.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))]
    pub script: &'a [u8],
    /// The sequence number.
    pub sequence: u32,
}

/// An output of a transaction, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TransactionOutputView<'a> {
    /// The amount in satoshi.
    pub value: i64,
    /// The script that locks it.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::hex"))]
    pub script: &'a [u8],
}

/// The entries of a list, each of `BEFORE` bytes, a script behind its length, and `BEHIND` bytes.
///
/// Behind the last one are fewer bytes than an entry has, so that the count is not needed to find the end.
#[derive(Clone, Debug)]
struct Entries<'a, const BEFORE: usize, const BEHIND: usize> {
    rest: &'a [u8],
    left: usize,
}

struct Entry<'a, const BEFORE: usize, const BEHIND: usize> {
    before: &'a [u8; BEFORE],
    script: &'a [u8],
    behind: &'a [u8; BEHIND],
    rest: &'a [u8],
}

impl<'a, const BEFORE: usize, const BEHIND: usize> Entries<'a, BEFORE, BEHIND> {
    /// A list behind its count, which stands at `AT`.
    #[inline]
    fn behind_count<const AT: usize>(bytes: &'a [u8]) -> Self {
        match bytes.split_at_checked(AT + 1) {
            Some((&[.., count @ ..0xfd], rest)) => Self {
                rest,
                left: usize::from(count),
            },
            _ => Self::behind_long_count(&bytes[AT..]),
        }
    }

    #[cold]
    fn behind_long_count(bytes: &'a [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let left = reader
            .count("entries", BEFORE + 1 + BEHIND)
            .unwrap_or_default();
        Self {
            rest: reader.rest(),
            left,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Entry<'a, BEFORE, BEHIND>> {
        let entry = match *self.rest.get(BEFORE)? {
            len @ ..0xfd => Self::split(self.rest, BEFORE + 1, usize::from(len))?,
            _ => Self::split_long(self.rest)?,
        };
        self.rest = entry.rest;
        self.left = self.left.saturating_sub(1);
        Some(entry)
    }

    #[inline]
    fn split(bytes: &'a [u8], script_at: usize, len: usize) -> Option<Entry<'a, BEFORE, BEHIND>> {
        let (entry, rest) = bytes.split_at_checked(script_at + len + BEHIND)?;
        Some(Entry {
            before: entry.first_chunk()?,
            script: entry.get(script_at..script_at + len)?,
            behind: entry.last_chunk()?,
            rest,
        })
    }

    #[cold]
    fn split_long(bytes: &'a [u8]) -> Option<Entry<'a, BEFORE, BEHIND>> {
        let mut reader = Reader::new(bytes);
        reader.take("entry", BEFORE).ok()?;
        let len = reader.compact_size("script").ok()?;
        let script_at = bytes.len() - reader.rest().len();
        Self::split(bytes, script_at, usize::try_from(len).ok()?)
    }
}

/// The inputs of a transaction, in order. Made by [`TransactionView::inputs`](super::TransactionView::inputs).
#[derive(Clone, Debug)]
pub struct Inputs<'a>(Entries<'a, 36, 4>);

/// The outputs of a transaction, in order. Made by [`TransactionView::outputs`](super::TransactionView::outputs).
#[derive(Clone, Debug)]
pub struct Outputs<'a>(Entries<'a, 8, 0>);

impl<'a> Inputs<'a> {
    /// Of the start of a transaction, up to the count of outputs.
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(Entries::behind_count::<4>(bytes))
    }
}

impl<'a> Outputs<'a> {
    /// Of the end of a transaction, from the count of outputs on.
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(Entries::behind_count::<0>(bytes))
    }
}

impl<'a> Iterator for Inputs<'a> {
    type Item = TransactionInputView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| TransactionInputView {
            previous: OutPoint::from_bytes(entry.before),
            script: entry.script,
            sequence: u32::from_le_bytes(*entry.behind),
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
            value: i64::from_le_bytes(*entry.before),
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
