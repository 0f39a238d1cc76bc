//! A transaction where it lies: nothing is copied, nothing allocated.

use std::fmt;

use super::super::{DecodeError, Reader, Txid, sha256d};
use super::OutPoint;
use super::entries::{Inputs, Outputs};

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

    /// Whether this is a coinbase: its only input spends no output ([`OutPoint::NULL`]).
    pub fn is_coinbase(&self) -> bool {
        let mut inputs = self.inputs();
        inputs.len() == 1 && inputs.all(|input| input.previous == OutPoint::NULL)
    }

    /// The inputs, in order.
    #[inline]
    pub fn inputs(&self) -> Inputs<'a> {
        Inputs::of(&self.bytes[..self.outputs_at])
    }

    /// The outputs, in order.
    #[inline]
    pub fn outputs(&self) -> Outputs<'a> {
        Outputs::of(&self.bytes[self.outputs_at..])
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
