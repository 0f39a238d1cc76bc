//! Transactions that borrow from a payload, without a copy or an allocation.

use std::fmt;

use super::super::{DecodeError, Reader, Txid, sha256d};
use super::OutPoint;
use super::entries::{Inputs, Outputs};

/// The minimum length of an input in bytes: outpoint, empty script and sequence.
pub(in crate::wire) const MIN_INPUT: usize = 36 + 1 + 4;
/// The minimum length of an output in bytes: value and empty script.
pub(in crate::wire) const MIN_OUTPUT: usize = 8 + 1;

/// A transaction that borrows its bytes from a payload.
///
/// Its structure has been checked. Its validity (scripts, amounts) has not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransactionView<'a> {
    bytes: &'a [u8],
    /// The offset of the output count.
    outputs_at: usize,
}

impl<'a> TransactionView<'a> {
    /// Reads the transaction at the reader and advances the reader past it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the remaining bytes do not start with a complete transaction.
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = reader.remaining();
        let at = |reader: &Reader<'_>| start.len() - reader.remaining().len();
        reader.read_bytes("transaction version", 4)?;
        for _ in 0..reader.count("inputs", MIN_INPUT)? {
            reader.read_bytes("input outpoint", 36)?;
            skip_script(reader, "input script", 4)?;
        }
        let outputs_at = at(reader);
        for _ in 0..reader.count("outputs", MIN_OUTPUT)? {
            reader.read_bytes("output value", 8)?;
            skip_script(reader, "output script", 0)?;
        }
        reader.read_bytes("transaction lock time", 4)?;
        Ok(Self {
            bytes: &start[..at(reader)],
            outputs_at,
        })
    }

    /// Creates a view of `bytes`, which must have been checked by [`TransactionView::read`].
    pub(in crate::wire) fn checked(bytes: &'a [u8], outputs_at: usize) -> Self {
        Self { bytes, outputs_at }
    }

    /// Returns the offset of the output count.
    pub(in crate::wire) fn outputs_at(&self) -> usize {
        self.outputs_at
    }

    /// Returns the wire form.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the ID of the transaction: the double SHA-256 of its bytes. Computed at each call.
    pub fn txid(&self) -> Txid {
        Txid(sha256d(self.bytes).0)
    }

    /// Returns the version.
    pub fn version(&self) -> i32 {
        Reader::new(self.bytes)
            .i32("transaction version")
            .unwrap_or_default()
    }

    /// Returns the lock time: a block height if below 500,000,000, else a Unix time in seconds.
    ///
    /// It determines when a block may include the transaction.
    pub fn lock_time(&self) -> u32 {
        let at = self.bytes.len().saturating_sub(4);
        Reader::new(&self.bytes[at..])
            .u32("transaction lock time")
            .unwrap_or_default()
    }

    /// Returns `true` if this is a coinbase: its only input spends no output ([`OutPoint::NULL`]).
    pub fn is_coinbase(&self) -> bool {
        let mut inputs = self.inputs();
        inputs.len() == 1 && inputs.all(|input| input.previous == OutPoint::NULL)
    }

    /// Returns an iterator over the inputs, in order.
    #[inline]
    pub fn inputs(&self) -> Inputs<'a> {
        Inputs::new(&self.bytes[..self.outputs_at])
    }

    /// Returns an iterator over the outputs, in order.
    #[inline]
    pub fn outputs(&self) -> Outputs<'a> {
        Outputs::new(&self.bytes[self.outputs_at..])
    }
}

/// Skips a script with its length, and the bytes that follow it in the same entry.
#[inline]
fn skip_script(
    reader: &mut Reader<'_>,
    field: &'static str,
    suffix_len: usize,
) -> Result<(), DecodeError> {
    // At most 2^32 + 4: no overflow in a `usize` of 64 bits. In 32 bits, `read_bytes` rejects the length.
    let len = reader
        .compact_size(field)?
        .saturating_add(suffix_len as u64);
    reader
        .read_bytes(field, usize::try_from(len).unwrap_or(usize::MAX))
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
