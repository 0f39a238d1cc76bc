//! A transaction where it lies: nothing is copied, nothing allocated.

use std::fmt;

use super::super::{DecodeError, Reader, Txid, sha256d};
use super::OutPoint;

/// The least bytes of an input: outpoint, empty script, sequence.
pub(in crate::wire) const MIN_INPUT: usize = 36 + 1 + 4;
/// The least bytes of an output: value, empty script.
pub(in crate::wire) const MIN_OUTPUT: usize = 8 + 1;

/// A transaction that borrows its bytes from a payload.
///
/// Its structure has been checked; its rules (scripts, amounts) have not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransactionView<'a> {
    bytes: &'a [u8],
    /// Where the count of outputs starts.
    outputs_at: usize,
}

impl<'a> TransactionView<'a> {
    /// Reads the transaction at the reader and leaves the reader behind it.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if the bytes left do not start with a whole transaction.
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = reader.rest();
        let at = |reader: &Reader<'_>| start.len() - reader.rest().len();
        reader.take("transaction version", 4)?;
        for _ in 0..reader.count("inputs", MIN_INPUT)? {
            reader.take("input outpoint", 36)?;
            skip_script(reader, "input script", 4)?;
        }
        let outputs_at = at(reader);
        for _ in 0..reader.count("outputs", MIN_OUTPUT)? {
            reader.take("output value", 8)?;
            skip_script(reader, "output script", 0)?;
        }
        reader.take("transaction lock time", 4)?;
        Ok(Self {
            bytes: &start[..at(reader)],
            outputs_at,
        })
    }

    /// The view of bytes that [`TransactionView::read`] has checked before.
    pub(in crate::wire) fn checked(bytes: &'a [u8], outputs_at: usize) -> Self {
        Self { bytes, outputs_at }
    }

    pub(in crate::wire) fn outputs_at(&self) -> usize {
        self.outputs_at
    }

    /// The whole serialisation.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The transaction's name: the double SHA-256 of its bytes.
    pub fn txid(&self) -> Txid {
        Txid(sha256d(self.bytes).0)
    }

    /// The transaction's version.
    pub fn version(&self) -> i32 {
        Reader::new(self.bytes)
            .i32("transaction version")
            .unwrap_or_default()
    }

    /// When the transaction may enter a block: a height below 500,000,000, else seconds since 1970.
    pub fn lock_time(&self) -> u32 {
        let at = self.bytes.len().saturating_sub(4);
        Reader::new(&self.bytes[at..])
            .u32("transaction lock time")
            .unwrap_or_default()
    }

    /// Whether this is a coinbase: its only input spends no output ([`OutPoint::NONE`]).
    pub fn is_coinbase(&self) -> bool {
        let mut inputs = self.inputs();
        inputs.len() == 1 && inputs.all(|input| input.previous == OutPoint::NONE)
    }

    /// The inputs, in order.
    #[inline]
    pub fn inputs(&self) -> Inputs<'a> {
        let mut reader = Reader::new(&self.bytes[4..self.outputs_at]);
        let left = reader.count("inputs", MIN_INPUT).unwrap_or_default();
        Inputs { reader, left }
    }

    /// The outputs, in order.
    #[inline]
    pub fn outputs(&self) -> Outputs<'a> {
        let mut reader = Reader::new(&self.bytes[self.outputs_at..]);
        let left = reader.count("outputs", MIN_OUTPUT).unwrap_or_default();
        Outputs { reader, left }
    }
}

#[inline]
fn skip_script(
    reader: &mut Reader<'_>,
    field: &'static str,
    behind: usize,
) -> Result<(), DecodeError> {
    // At most 2^32 + 4: no overflow where a usize has 64 bits, and `take` refuses the rest elsewhere.
    let len = reader.compact_size(field)?.saturating_add(behind as u64);
    reader
        .take(field, usize::try_from(len).unwrap_or(usize::MAX))
        .map(drop)
}

impl fmt::Debug for TransactionView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("txid", &self.txid())
            .field("bytes", &self.bytes.len())
            .field("inputs", &self.inputs().len())
            .field("outputs", &self.outputs().len())
            .finish()
    }
}

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

/// The inputs of a transaction, in order. Made by [`TransactionView::inputs`].
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Inputs<'a> {
    type Item = TransactionInputView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let reader = &mut self.reader;
        // The bytes were checked when the view was made: none of these can fail.
        let txid = Txid(reader.array("input outpoint").ok()?);
        let index = reader.u32("input outpoint").ok()?;
        let script = reader.var_bytes("input script", u64::MAX).ok()?;
        let sequence = reader.u32("input sequence").ok()?;
        Some(TransactionInputView {
            previous: OutPoint { txid, index },
            script,
            sequence,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Inputs<'_> {}

/// The outputs of a transaction, in order. Made by [`TransactionView::outputs`].
#[derive(Clone, Debug)]
pub struct Outputs<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Outputs<'a> {
    type Item = TransactionOutputView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let reader = &mut self.reader;
        // The bytes were checked when the view was made: none of these can fail.
        let value = reader.i64("output value").ok()?;
        let script = reader.var_bytes("output script", u64::MAX).ok()?;
        Some(TransactionOutputView { value, script })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Outputs<'_> {}
